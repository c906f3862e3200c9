import Bytes
import COpenSSL

/// What settings become once their files are read: immutable, shared by every connection that begins while it
/// is the current one. Unsafe: OpenSSL's contexts are pointers, freed with this object; none escapes.
public final class TLSContext: @unchecked Sendable {
  // @unchecked: immutable after init; OpenSSL lets threads share a context that nobody changes.

  public let settings: TLSSettings
  /// What a server shows; `nil` when there is none.
  public let leaf: CertificateFacts?
  /// What a client shows, when that is another.
  public let clientLeaf: CertificateFacts?
  /// The first of those who may sign.
  public let authority: CertificateFacts?
  /// When a newer list of revoked certificates was promised, in seconds since 1970.
  let revoked: Set<String>
  /// `nil` without a certificate.
  let server: OpaquePointer?
  let client: OpaquePointer

  /// - Parameters:
  ///   - files: the contents of the files that the settings name.
  ///   - protocols: what is spoken above, in order of preference, as ALPN names it; empty to leave it open.
  /// - Throws: `TLSFailure` in Go's words.
  public init(
    _ settings: TLSSettings, _ files: TLSFiles, protocols: [String]
  ) throws(TLSFailure) {
    let builder = ContextBuilder(settings, files, protocols)
    self.settings = settings
    leaf = builder.own?.chain.first.map(CertificateFacts.init)
    clientLeaf = builder.clientOwn?.chain.first.map(CertificateFacts.init)
    authority = builder.authorities?.certificates.first.map(CertificateFacts.init)
    revoked =
      try files.revoked.map { list throws(TLSFailure) in try RevocationList.serials(list) }
      ?? []
    client = try builder.client()
    do throws(TLSFailure) { server = try builder.server() } catch {
      SSL_CTX_free(client)
      throw error
    }
  }

  deinit {
    SSL_CTX_free(server)
    SSL_CTX_free(client)
  }
}

/// The contents of the files of `TLSSettings`; `nil` where none is named.
public struct TLSFiles: Sendable, Equatable {
  public var certificate: Bytes?
  public var key: Bytes?
  public var clientCertificate: Bytes?
  public var clientKey: Bytes?
  public var authorities: Bytes?
  public var revoked: Bytes?

  public init() {}

  /// Reads what the settings name.
  /// - Parameter read: the contents of a file.
  /// - Throws: `TLSFailure` when certificate and key do not come together, and what `read` throws.
  public init(
    _ settings: TLSSettings, _ read: (String) throws(TLSFailure) -> Bytes
  ) throws(TLSFailure) {
    if settings.certificateFile.isEmpty != settings.keyFile.isEmpty {
      throw TLSFailure(
        "KeyFile and CertFile must both be present[key: \(settings.keyFile), cert: "
          + "\(settings.certificateFile)]")
    }
    if settings.clientCertificateFile.isEmpty != settings.clientKeyFile.isEmpty {
      throw TLSFailure(
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: "
          + "\(settings.clientKeyFile), cert: \(settings.clientCertificateFile)]")
    }
    func contents(_ path: String) throws(TLSFailure) -> Bytes? {
      path.isEmpty ? nil : try read(path)
    }
    certificate = try contents(settings.certificateFile)
    key = try contents(settings.keyFile)
    clientCertificate = try contents(settings.clientCertificateFile)
    clientKey = try contents(settings.clientKeyFile)
    authorities = try contents(settings.trustedCAFile)
    revoked = try contents(settings.crlFile)
  }
}

/// Lists of revoked certificates.
/// - Source: etcd `transport.checkCRL`: serial numbers, whoever issued them.
enum RevocationList {
  static func serials(_ file: Bytes) throws(TLSFailure) -> Set<String> {
    let list =
      PEMReader.withInput(file) { PEM_read_bio_X509_CRL($0, nil, noPassword, nil) }
      ?? PEMReader.withInput(file) { d2i_X509_CRL_bio($0, nil) }
    guard let list else { throw TLSFailure("x509: malformed crl") }
    defer { X509_CRL_free(list) }
    guard let entries = X509_CRL_get_REVOKED(list) else { return [] }
    var found: Set<String> = []
    for at in 0..<max(0, cossl_count_revoked(entries)) {
      found.insert(
        CertificateFacts.serial(X509_REVOKED_get0_serialNumber(cossl_revoked_at(entries, at))))
    }
    return found
  }
}
