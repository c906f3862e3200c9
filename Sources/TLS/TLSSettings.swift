/// Everything that says how TLS is spoken at one place: whom to trust, what to show, what to demand. A value;
/// `TLSContext` is what it becomes once its files are read.
///
/// - Source: etcd `transport.TLSInfo`.
public struct TLSSettings: Sendable, Equatable {
  /// What a server shows, and a client when it has no other.
  public var certificateFile = ""
  public var keyFile = ""
  /// What a client shows; both or none.
  public var clientCertificateFile = ""
  public var clientKeyFile = ""
  /// Who may sign what the other side shows; empty for those that the system trusts.
  public var trustedCAFile = ""
  /// Serial numbers that are refused, whoever signed them.
  public var crlFile = ""
  /// Whether a server demands a certificate; it does with a `trustedCAFile`, too.
  public var clientCertificateAuth = false
  /// Common names of which a client's certificate must have one; empty for any.
  public var allowedCommonNames: [String] = []
  /// Names and addresses of which a client's certificate must be valid for one; empty for any.
  public var allowedHostNames: [String] = []
  /// Whether a server lets clients in whose certificate names another address than theirs.
  public var skipsClientNames = false
  /// What a server's certificate must be valid for; empty for the host that is dialled.
  public var serverName = ""
  /// Whether a client takes any certificate.
  public var insecureSkipVerify = false
  /// Whether the certificate was made by the member for itself: whoever dials cannot verify those of others.
  public var isSelfSigned = false
  /// Go's names, in order of preference; empty for the default.
  public var cipherSuites: [String] = []
  public var leastVersion = TLSVersion.v12
  /// `nil` for the newest.
  public var mostVersion: TLSVersion?

  public init() {}

  /// Whether there is nothing to show.
  public var isEmpty: Bool { certificateFile.isEmpty && keyFile.isEmpty }

  /// Whether a server demands a certificate.
  public var demandsCertificate: Bool { clientCertificateAuth || !trustedCAFile.isEmpty }

  /// For the log.
  /// - Source: etcd `TLSInfo.String`.
  public var summary: String {
    "cert = \(certificateFile), key = \(keyFile), client-cert=\(clientCertificateFile), "
      + "client-key=\(clientKeyFile), trusted-ca = \(trustedCAFile), "
      + "client-cert-auth = \(clientCertificateAuth), crl-file = \(crlFile)"
  }
}

/// Versions of the protocol that etcd's flags know.
/// - Source: etcd `tlsutil.GetTLSVersion`.
public enum TLSVersion: String, Sendable, Comparable, CaseIterable {
  case v12 = "TLS1.2"
  case v13 = "TLS1.3"

  public static func < (a: TLSVersion, b: TLSVersion) -> Bool { a.rawValue < b.rawValue }
}

/// Why TLS cannot be spoken as the settings say, in Go's words.
public struct TLSFailure: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
