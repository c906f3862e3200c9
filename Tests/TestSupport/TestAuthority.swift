import Foundation

/// A certificate authority of a test and what it has signed, as files made by openssl's command line.
public final class TestAuthority: Sendable {
  /// Certificate and key, each a path.
  public struct Pair: Sendable {
    public let certificate: String
    public let key: String
  }

  private let scratch = Scratch()
  public let name: String
  public var certificate: String { folder + "/ca.pem" }
  public var folder: String { scratch.path }

  /// - Parameter name: its common name.
  public init(_ name: String = "test authority") throws {
    self.name = name
    try Self.openssl(
      ["req", "-x509"] + Self.newKey
        + ["-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=\(name)"],
      in: folder)
    // What `openssl ca` wants for lists of revoked certificates.
    try """
    [ca]
    default_ca = own
    [own]
    database = \(folder)/index
    default_md = sha256
    default_crl_days = 30
    crlnumber = \(folder)/number
    """.write(toFile: folder + "/ca.conf", atomically: true, encoding: .utf8)
    try "".write(toFile: folder + "/index", atomically: true, encoding: .utf8)
    try "01\n".write(toFile: folder + "/number", atomically: true, encoding: .utf8)
  }

  private static let newKey = [
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
  ]

  /// A certificate for servers and clients.
  /// - Parameters:
  ///   - file: the name of its files, without an ending.
  ///   - names: as openssl writes alternative names, `IP:127.0.0.1,DNS:localhost`; empty for none.
  ///   - days: of validity; -1: it ended a day ago.
  ///   - usage: openssl's names of what it may be used for.
  @discardableResult
  public func issue(
    _ file: String, commonName: String = "localhost", names: String = "IP:127.0.0.1,DNS:localhost",
    days: Int = 20, usage: String = "serverAuth,clientAuth"
  ) throws -> Pair {
    try Self.openssl(
      ["req"] + Self.newKey
        + ["-keyout", "\(file).key", "-out", "\(file).csr", "-subj", "/CN=\(commonName)"],
      in: folder)
    let alternatives = names.isEmpty ? "" : "subjectAltName=\(names)\n"
    try "\(alternatives)extendedKeyUsage=\(usage)\n".write(
      toFile: "\(folder)/\(file).ext", atomically: true, encoding: .utf8)
    try Self.openssl(
      [
        "x509", "-req", "-in", "\(file).csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "\(file).pem", "-days", "\(days)", "-extfile", "\(file).ext",
      ], in: folder)
    return Pair(certificate: "\(folder)/\(file).pem", key: "\(folder)/\(file).key")
  }

  /// Revokes certificates and writes the list of all that are.
  /// - Returns: the list's path.
  @discardableResult
  public func revoke(_ pairs: [Pair]) throws -> String {
    let common = ["ca", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"]
    for pair in pairs { try Self.openssl(common + ["-revoke", pair.certificate], in: folder) }
    try Self.openssl(common + ["-gencrl", "-out", "crl.pem"], in: folder)
    return folder + "/crl.pem"
  }

  /// Why openssl did not do what it was asked for.
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  private static func openssl(_ words: [String], in folder: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = words
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    let output = Pipe()
    process.standardError = output
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(description: "\(words): \(String(decoding: text, as: UTF8.self))")
    }
  }
}
