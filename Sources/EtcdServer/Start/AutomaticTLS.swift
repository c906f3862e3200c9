import Bytes
import EtcdConfig
import EventLoops
import FileSystem
import GoText
import Platform
import TLS

/// Certificates that a member makes for itself, below its data directory: used again at the next start, made
/// anew when they have expired.
///
/// - Source: etcd `embed.Config.ClientSelfCert`, `PeerSelfCert`, `transport.SelfCert`.
package struct AutomaticTLS {
  private let dataDirectory: String
  /// In years.
  private let validity: Int
  private let logger: Logger
  private let disk = RealFileSystem()

  init(_ config: ServerConfig, _ logger: Logger) {
    self.init(
      dataDirectory: config.dataDirectory, validity: config.selfSignedCertValidity, logger: logger)
  }

  /// - Parameters:
  ///   - dataDirectory: certificates lie in its folder `fixtures`.
  ///   - validity: years that a certificate is valid.
  package init(dataDirectory: String, validity: Int, logger: Logger) {
    self.dataDirectory = dataDirectory
    self.validity = validity
    self.logger = logger
  }

  /// What is used instead of files that were given.
  /// - Parameters:
  ///   - use: `client` or `peer`, the folder's name.
  ///   - urls: what is listened on.
  /// - Returns: the two files.
  /// - Throws: `StartError` in etcd's words.
  func files(_ use: String, _ urls: [ListenURL]) throws(StartError) -> (cert: String, key: String) {
    try files(use, hosts: urls.map { $0.scheme.isUnix ? "localhost" : $0.host })
  }

  /// What is used instead of files that were given.
  /// - Parameters:
  ///   - use: the folder's name.
  ///   - hosts: names and addresses that the certificate is for.
  /// - Returns: the two files.
  /// - Throws: `StartError` in etcd's words.
  package func files(
    _ use: String, hosts: [String]
  ) throws(StartError) -> (cert: String, key: String) {
    let folder = absolute("\(dataDirectory)/fixtures/\(use)")
    let (cert, key) = ("\(folder)/cert.pem", "\(folder)/key.pem")
    do {
      guard validity > 0 else {
        throw TLSFailure("selfSignedCertValidity is invalid,it should be greater than 0")
      }
      if isUsable(cert, key) { return (cert, key) }
      let made = try SelfSignedCertificate.make(
        hosts: hosts, years: validity, now: WallClock.seconds)
      logger.warn(
        "automatically generate certificates",
        [
          LogField(
            "certificate-validity-bound-not-after",
            .string(CivilTime(secondsSinceEpoch: Int(made.notAfter)).rfc3339()))
        ])
      try write(made, folder, cert, key)
      return (cert, key)
    } catch {
      logger.warn("cannot generate cert", [LogField("error", .string("\(error)"))])
      throw StartError("failed to get \(use) self-signed certs: \(error)")
    }
  }

  private func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : "\(Paths.working ?? "")/\(path)"
  }

  /// Whether both files are there and the certificate is still valid. Go uses expired ones, too, which nobody
  /// can connect to.
  private func isUsable(_ cert: String, _ key: String) -> Bool {
    guard Paths.exists(cert), Paths.exists(key) else { return false }
    guard let text = try? TLSMaterial.contents(cert), let facts = CertificateFacts(pem: text),
      facts.notAfter <= WallClock.seconds
    else { return true }
    logger.warn(
      "the generated certificate has expired; making another",
      [
        LogField("path", .string(cert)), LogField("serial", .string(facts.serial)),
        LogField(
          "not-after", .string(CivilTime(secondsSinceEpoch: Int(facts.notAfter)).rfc3339())),
      ])
    return false
  }

  private func write(
    _ made: SelfSignedCertificate, _ folder: String, _ cert: String, _ key: String
  ) throws {
    try disk.makeDirectory(folder, permissions: 0o700)
    // The certificate goes first and comes last: where it is, the key is its.
    Paths.remove(cert)
    try put(made.key, key, permissions: 0o600)
    try put(made.certificate, cert, permissions: 0o644)
    logger.info("created cert file", [LogField("path", .string(cert))])
    logger.info("created key file", [LogField("path", .string(key))])
  }

  private func put(_ bytes: Bytes, _ path: String, permissions: UInt32) throws(FileError) {
    let file = try disk.open(path, .create(permissions: permissions))
    defer { file.close() }
    try file.truncate(to: 0)
    try bytes.withUnsafeBytes { memory throws(FileError) in try file.write(memory, at: 0) }
    try file.sync()
  }
}
