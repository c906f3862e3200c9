/// How one kind of connection is secured: that of clients, or that of peers.
///
/// - Source: etcd `transport.TLSInfo`.
public struct TransportSecurity: Sendable, Equatable {
  public var certificateFile = ""
  public var keyFile = ""
  /// What the member shows when it is the client; both or none.
  public var clientCertificateFile = ""
  public var clientKeyFile = ""
  /// Whether whoever connects has to show a certificate.
  public var certificateAuth = false
  public var trustedCAFile = ""
  public var crlFile = ""
  /// What those who are dialled must have a certificate for; empty for the host of their URL.
  public var serverName = ""
  /// Common names, or names and addresses, of which a certificate has to have one; empty for any.
  public var allowedCommonNames: [String] = []
  public var allowedHostNames: [String] = []
  /// Whether certificates are generated where none is given.
  public var isAutomatic = false
  /// Whether peers are let in whose certificate names another address than theirs.
  public var skipsClientNames = false

  public init() {}

  /// Whether neither certificate nor key is given.
  public var isEmpty: Bool { certificateFile.isEmpty && keyFile.isEmpty }
}

extension Validation {
  private static let versions = ["TLS1.2", "TLS1.3"]

  /// - Source: etcd `tlsutil.GetTLSVersion` and `embed.Config.Validate`.
  func checkTLS() throws(ConfigFailure) {
    let (least, most) = (settings.server.tlsMinVersion, settings.server.tlsMaxVersion)
    for version in [least, most] where !version.isEmpty && !Self.versions.contains(version) {
      throw ConfigFailure(
        "unexpected TLS version \"\(version)\" (must be one of: TLS1.2, TLS1.3)")
    }
    if !most.isEmpty, least > most {
      throw ConfigFailure("min version (\(least)) is greater than max version (\(most))")
    }
    if least == "TLS1.3", !settings.server.cipherSuites.isEmpty {
      throw ConfigFailure("cipher suites cannot be configured when only TLS1.3 is enabled")
    }
  }
}
