import EtcdClient
import EtcdServer
import EventLoops
import GRPC
import GoText
import TLS

/// How the connections of a proxy are secured, on both sides.
///
/// - Source: etcd `etcdmain/grpc_proxy.go`, `newTLS`, `newClientCfg`, `mustListenCMux`.
struct GRPCProxyPolicies {
  /// For clients; `nil` for plain text.
  let listening: TLSMaterial?
  /// For members, and for what asks the proxy itself.
  let members: EtcdClientConfiguration.TLS?
  let itself: EtcdClientConfiguration.TLS?

  private let logger: Logger

  init(_ options: GRPCProxyOptions, _ logger: Logger) throws(GRPCProxyRefusal) {
    self.logger = logger
    let settings = try Self.listening(options, logger)
    itself = settings.map { settings in
      EtcdClientConfiguration.TLS(
        certificateFile: settings.certificateFile, keyFile: settings.keyFile,
        trustedCAFile: settings.trustedCAFile, insecureSkipVerify: settings.isSelfSigned)
    }
    listening = try settings.map { (settings) throws(GRPCProxyRefusal) in
      try Self.material(settings)
    }
    members = try Self.members(options, logger)
  }

  private static func material(
    _ settings: TLSSettings
  ) throws(GRPCProxyRefusal) -> TLSMaterial {
    do throws(TLSFailure) { return try TLSMaterial(settings) } catch {
      throw GRPCProxyRefusal(error.description)
    }
  }

  private static func listening(
    _ options: GRPCProxyOptions, _ logger: Logger
  ) throws(GRPCProxyRefusal) -> TLSSettings? {
    var settings = TLSSettings()
    if let unknown = options.listenCipherSuites.first(where: { !CipherSuites.isKnown($0) }) {
      throw GRPCProxyRefusal("unexpected TLS cipher suite \(GoQuote.text(unknown))")
    }
    settings.cipherSuites = options.listenCipherSuites
    settings.leastVersion = TLSVersion(rawValue: options.leastTLSVersion) ?? .v12
    settings.mostVersion = TLSVersion(rawValue: options.mostTLSVersion)
    settings.crlFile = options.listenCRLFile
    if options.hasListenTLS {
      settings.certificateFile = options.listenCertificateFile
      settings.keyFile = options.listenKeyFile
      settings.trustedCAFile = options.listenTrustedCAFile
      guard !settings.isEmpty else {
        throw GRPCProxyRefusal(
          "cannot listen on TLS for \(options.listenAddress): KeyFile and CertFile are not presented"
        )
      }
    } else if options.isAutomaticTLS {
      let host = HostPort(options.listenAddress)?.host ?? options.listenAddress
      do throws(StartError) {
        let files = try AutomaticTLS(
          dataDirectory: options.dataDirectory, validity: Int(clamping: options.selfSignedValidity),
          logger: logger
        ).files("proxy", hosts: [host])
        (settings.certificateFile, settings.keyFile) = (files.cert, files.key)
      } catch { throw GRPCProxyRefusal(error.description) }
      settings.isSelfSigned = true
    } else {
      return nil
    }
    logger.info("gRPC proxy server TLS", [LogField("tls-info", .string(settings.summary))])
    return settings
  }

  private static func members(
    _ options: GRPCProxyOptions, _ logger: Logger
  ) throws(GRPCProxyRefusal) -> EtcdClientConfiguration.TLS? {
    guard options.hasTLS || options.skipsVerification else { return nil }
    var settings = TLSSettings()
    settings.certificateFile = options.certificateFile
    settings.keyFile = options.keyFile
    settings.trustedCAFile = options.trustedCAFile
    settings.insecureSkipVerify = options.skipsVerification
    let material = try material(settings)
    // A name would make every client of the proxy the user of that name.
    if let leaf = material.current.leaf, !leaf.commonName.isEmpty {
      throw GRPCProxyRefusal(
        "cert has non empty Common Name (\(leaf.commonName)): \(options.certificateFile)")
    }
    if options.skipsVerification {
      logger.warn(
        "--insecure-skip-tls-verify was given, this grpc proxy process skips authentication of etcd "
          + "server TLS certificates. This option should be enabled only for testing purposes.")
    }
    logger.info("gRPC proxy client TLS", [LogField("tls-info", .string(settings.summary))])
    return EtcdClientConfiguration.TLS(
      certificateFile: options.certificateFile, keyFile: options.keyFile,
      trustedCAFile: options.trustedCAFile, insecureSkipVerify: options.skipsVerification)
  }

  /// How clients are listened for.
  /// - Parameter checksNames: whether a client has to come from where its certificate says.
  func policy(checksNames: Bool) -> ChannelPolicy {
    guard let listening else { return .plain }
    return .layered(
      TLSLayer(listening, nameCheck: checksNames ? .fromPeers : .none) { [logger] rejection in
        logger.log(
          rejection.isQuiet ? .debug : .warn, "rejected connection on client endpoint",
          rejection.fields)
      })
  }
}
