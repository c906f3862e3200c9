import EtcdConfig
import EventLoops
import GoText
import HTTP
import Synchronization
import TLS

/// How the connections of a member are secured: one value that is needed to open any listener and to dial any
/// peer.
struct ServerPolicies: Sendable {
  /// Listeners for clients at secure URLs.
  let clients: ChannelPolicy
  /// Listeners for clients at secure and plain URLs of the same address.
  let mixedClients: ChannelPolicy
  /// Listeners for metrics at secure URLs: as for clients, and their names are checked.
  let metrics: ChannelPolicy
  /// Listeners for peers at secure URLs.
  let peers: ChannelPolicy
  /// How peers are reached.
  let dial: HTTPClient.Dial
  /// What is read again when its files change, and what it is for.
  let materials: [(use: String, material: TLSMaterial)]

  /// Reads, or makes, the certificates that the configuration names.
  /// - Throws: `StartError` in etcd's words.
  /// - Source: etcd `embed.configurePeerListeners`, `configureClientListeners`, `serveMetrics`.
  init(_ config: ServerConfig, _ logger: Logger) throws(StartError) {
    let builder = PolicyBuilder(config, logger)
    let peer = try builder.peers()
    let client = try builder.clients()
    peers =
      peer.map { builder.listening($0, "rejected connection on peer endpoint", .fromPeers) }
      ?? .plain
    let refusal = "rejected connection on client endpoint"
    clients = client.map { builder.listening($0, refusal, .none) } ?? .plain
    mixedClients =
      client.map { builder.listening($0, refusal, .none, takesPlain: true) } ?? .plain
    metrics = client.map { builder.listening($0, refusal, .fromPeers) } ?? .plain
    let unconfigured = try builder.settings(config.peerTLS)
    dial = HTTPClient.dial(
      .layered(peer.map { TLSLayer($0) } ?? UnconfiguredTLS(unconfigured)))
    materials = [("client", client), ("peer", peer)].compactMap { use, material in
      material.map { (use, $0) }
    }
  }
}

/// Puts `ServerPolicies` and `ProxyPolicies` together.
struct PolicyBuilder {
  private let config: ServerConfig
  private let logger: Logger

  init(_ config: ServerConfig, _ logger: Logger) {
    self.config = config
    self.logger = logger
  }

  func listening(
    _ material: TLSMaterial, _ message: String, _ check: TLSLayer.NameCheck,
    takesPlain: Bool = false
  ) -> ChannelPolicy {
    .layered(
      TLSLayer(material, nameCheck: check, takesPlain: takesPlain) { [logger] rejection in
        logger.log(rejection.isQuiet ? .debug : .warn, message, rejection.fields)
      })
  }

  func peers() throws(StartError) -> TLSMaterial? {
    let security = try completed(config.peerTLS, "peer", config.listenPeerURLs)
    let material = try material(security)
    if let material { tellStart(material, "peer") }
    for url in config.listenPeerURLs {
      if url.scheme.isTLS, material == nil {
        throw StartError(
          "cannot listen on TLS for \(address(url)): KeyFile and CertFile are not presented")
      }
      guard url.scheme == .http else { continue }
      warnOfPlain(
        "HTTP", "--peer-client-cert-auth", LogField("peer-url", .string(url.description)), security)
    }
    return material
  }

  func clients() throws(StartError) -> TLSMaterial? {
    let urls = config.listenClientURLs + config.listenClientHTTPURLs
    let security = try completed(config.clientTLS, "client", urls)
    for url in urls {
      if url.scheme.isTLS, security.isEmpty {
        throw StartError(
          "TLS key/cert (--cert-file, --key-file) must be provided for client url \(url) with HTTPS"
            + " scheme")
      }
      guard !url.scheme.isTLS else { continue }
      warnOfPlain(
        "http or unix", "--client-cert-auth", LogField("client-url", .string(url.description)),
        security)
    }
    if security.isEmpty, config.listenMetricsURLs.contains(where: \.scheme.isTLS) {
      throw StartError(
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url")
    }
    guard let material = try material(security) else { return nil }
    tellStart(material, "client")
    return material
  }

  private func tellStart(_ material: TLSMaterial, _ use: String) {
    logger.info(
      "starting with \(use) TLS",
      [
        LogField("tls-info", .string(material.settings.summary)),
        LogField("cipher-suites", .strings(config.cipherSuites)),
      ])
  }

  /// Settings of TLS count for nothing at a URL in plain text.
  private func warnOfPlain(
    _ scheme: String, _ flag: String, _ url: LogField, _ security: TransportSecurity
  ) {
    if !security.isEmpty {
      logger.warn(
        "scheme is \(scheme) while key and cert files are present; ignoring key and cert files",
        [url])
    }
    if security.certificateAuth {
      logger.warn(
        "scheme is \(scheme) while \(flag) is enabled; ignoring client cert auth for this URL",
        [url])
    }
  }

  private func address(_ url: ListenURL) -> String {
    url.scheme.isUnix
      ? url.host : "\(url.host.contains(":") ? "[\(url.host)]" : url.host):\(url.port)"
  }

  /// With generated certificates where those are wanted.
  func completed(
    _ given: TransportSecurity, _ use: String, _ urls: [ListenURL]
  ) throws(StartError) -> TransportSecurity {
    guard given.isAutomatic else { return given }
    guard given.isEmpty else {
      logger.warn("ignoring \(use) auto TLS since certs given")
      return given
    }
    var security = given
    let files = try AutomaticTLS(config, logger).files(use, urls)
    // As in Go, nothing else that was given for this use counts then.
    security = TransportSecurity()
    security.isAutomatic = true
    (security.certificateFile, security.keyFile) = files
    (security.clientCertificateFile, security.clientKeyFile) = files
    return security
  }

  private func material(_ security: TransportSecurity) throws(StartError) -> TLSMaterial? {
    let settings = try settings(security)
    guard !settings.isEmpty else { return nil }
    do throws(TLSFailure) { return try TLSMaterial(settings) } catch {
      throw StartError(error.description)
    }
  }

  func settings(_ security: TransportSecurity) throws(StartError) -> TLSSettings {
    if let unknown = config.cipherSuites.first(where: { !CipherSuites.isKnown($0) }) {
      throw StartError("unexpected TLS cipher suite \(GoQuote.text(unknown))")
    }
    let (names, hosts) = (security.allowedCommonNames, security.allowedHostNames)
    if !names.isEmpty, !hosts.isEmpty {
      throw StartError(
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns=\(GoQuote.list(names)), "
          + "hostnames=\(GoQuote.list(hosts)))")
    }
    var settings = TLSSettings()
    settings.certificateFile = security.certificateFile
    settings.keyFile = security.keyFile
    settings.clientCertificateFile = security.clientCertificateFile
    settings.clientKeyFile = security.clientKeyFile
    settings.clientCertificateAuth = security.certificateAuth
    settings.trustedCAFile = security.trustedCAFile
    settings.crlFile = security.crlFile
    settings.serverName = security.serverName
    settings.allowedCommonNames = names
    settings.allowedHostNames = hosts
    settings.skipsClientNames = security.skipsClientNames
    settings.isSelfSigned = security.isAutomatic && !security.isEmpty
    settings.cipherSuites = config.cipherSuites
    settings.leastVersion = TLSVersion(rawValue: config.tlsMinVersion) ?? .v12
    settings.mostVersion = TLSVersion(rawValue: config.tlsMaxVersion)
    return settings
  }
}

/// TLS of whoever has no certificate of his own and meets a secure URL: made when it is needed.
final class UnconfiguredTLS: ChannelLayer {
  private let settings: TLSSettings
  private let made = Mutex<TLSLayer?>(nil)

  init(_ settings: TLSSettings) { self.settings = settings }

  func accept(_ channel: any ByteChannel, _ ready: @escaping (any ByteChannel) -> Void) {
    channel.abort()
  }

  func dial(
    over channel: any ByteChannel, host: String, timeout: Duration,
    _ done: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    do {
      let layer = try made.withLock { made in
        let layer = try made ?? TLSLayer(try TLSMaterial(settings))
        made = layer
        return layer
      }
      layer.dial(over: channel, host: host, timeout: timeout, done)
    } catch {
      channel.abort()
      done(.failure(.layer("\(error)")))
    }
  }
}
