import EventLoops
import HTTP
import TLS

extension EtcdClientConfiguration {
  /// How members are told from others, and what is shown to them.
  public struct TLS: Sendable, Equatable {
    /// PEM files of the client's own certificate and key; both or none.
    public var certificateFile: String
    public var keyFile: String
    /// A PEM file of those who may sign members' certificates; empty for those that the system trusts.
    public var trustedCAFile: String
    /// What members' certificates must be valid for; empty for the host of the endpoint.
    public var serverName: String
    /// Whether any certificate is taken. Whoever sits in between can then read and change everything.
    public var insecureSkipVerify: Bool

    /// By default members are verified by the system's trusted certificates, and nothing is shown to them.
    public init(
      certificateFile: String = "", keyFile: String = "", trustedCAFile: String = "",
      serverName: String = "", insecureSkipVerify: Bool = false
    ) {
      self.certificateFile = certificateFile
      self.keyFile = keyFile
      self.trustedCAFile = trustedCAFile
      self.serverName = serverName
      self.insecureSkipVerify = insecureSkipVerify
    }

    fileprivate var settings: TLSSettings {
      var settings = TLSSettings()
      settings.certificateFile = certificateFile
      settings.keyFile = keyFile
      settings.trustedCAFile = trustedCAFile
      settings.serverName = serverName
      settings.insecureSkipVerify = insecureSkipVerify
      return settings
    }
  }
}

/// How the endpoints of a configuration are reached.
///
/// - Source: etcd `client/v3/internal/endpoint`, `RequiresCredentials`: `https` and `unixs` need TLS, `http` has
///   none, the others have it when it is configured.
package struct ClientSecurity: Sendable {
  /// What is spoken over the connections.
  package enum Use: Sendable {
    case grpc
    case http

    fileprivate var protocols: [String] { self == .grpc ? ["h2"] : [] }
  }

  package let dial: HTTPClient.Dial
  private let isConfigured: Bool

  /// Reads the files of the configuration; nothing where no endpoint needs TLS.
  /// - Throws: `TLSFailure` in Go's words.
  package init(_ configuration: EtcdClientConfiguration, for use: Use) throws(TLSFailure) {
    isConfigured = configuration.tls != nil
    guard isConfigured || configuration.endpoints.contains(where: Endpoint.isSecure) else {
      dial = HTTPClient.dial(.plain)
      return
    }
    let settings = (configuration.tls ?? .init()).settings
    dial = HTTPClient.dial(
      .layered(TLSLayer(try TLSMaterial(settings, protocols: use.protocols))))
  }

  /// Where an endpoint is, and whether it is reached by TLS; `nil` when it is none.
  package func origin(_ endpoint: String) -> HTTPOrigin? {
    guard let origin = Endpoint.target(endpoint), isConfigured, Endpoint.mayBeSecure(endpoint)
    else { return Endpoint.target(endpoint) }
    return HTTPOrigin(origin.endpoint, scheme: .https)
  }
}
