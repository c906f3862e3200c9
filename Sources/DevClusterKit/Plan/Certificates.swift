import Bytes
import FileSystem
import Platform
import TLS

/// Makes and renews the certificates of a cluster in its directory.
enum Certificates {
  /// Of the authority, and of what it signs.
  private static let authorityDays = 3650
  private static let days = 825
  /// What runs out within so many days is made anew.
  private static let renewalDays: Int64 = 30

  /// Makes what is missing or about to run out; the authority stays as long as it is valid.
  /// - Returns: what was made.
  /// - Throws: `DevClusterError`.
  @discardableResult
  static func prepare(
    _ files: CertificateFiles, now: Int64 = WallClock.seconds
  ) throws(DevClusterError) -> [String] {
    try System.makeDirectory(files.directory)
    var made: [String] = []
    do throws(TLSFailure) {
      let authority: CertificateAuthority
      if isGood(files.authority, now), let certificate = System.read(files.authority),
        let key = System.read(files.authorityKey)
      {
        authority = CertificateAuthority(.init(certificate: certificate, key: key))
      } else {
        authority = try .make(name: "devcluster", days: authorityDays, now: now)
        made.append("ca")
      }
      var pairs: [(CertificateFiles.Use, CertificateAuthority.Pair)] = []
      for use in CertificateFiles.Use.allCases
      where !made.isEmpty || !isGood(files.certificate(use), now)
        || !Paths.exists(files.key(use))
      {
        pairs.append((use, try issue(use, authority, now)))
      }
      try write(files, authority: made.isEmpty ? nil : authority, pairs)
      made += pairs.map(\.0.rawValue)
    } catch { throw DevClusterError("cannot make certificates: \(error.description)") }
    return made
  }

  private static func issue(
    _ use: CertificateFiles.Use, _ authority: CertificateAuthority, _ now: Int64
  ) throws(TLSFailure) -> CertificateAuthority.Pair {
    // The gateway of a member is a client of its own gRPC: a server's certificate is shown there as well. A
    // client's has no common name: etcd would take it for a user, and refuse it at the gateway.
    try authority.issue(
      name: use == .client ? "" : "devcluster-\(use.rawValue)",
      hosts: use == .client ? [] : ["localhost", "127.0.0.1", "::1"],
      use: use == .client ? .client : .both, days: days, now: now)
  }

  private static func write(
    _ files: CertificateFiles, authority: CertificateAuthority?,
    _ pairs: [(CertificateFiles.Use, CertificateAuthority.Pair)]
  ) throws(TLSFailure) {
    do throws(DevClusterError) {
      if let authority {
        try System.replace(files.authorityKey, authority.own.key.string)
        try System.replace(files.authority, authority.own.certificate.string)
      }
      for (use, pair) in pairs {
        try System.replace(files.key(use), pair.key.string)
        try System.replace(files.certificate(use), pair.certificate.string)
      }
    } catch { throw TLSFailure(error.description) }
  }

  private static func isGood(_ path: String, _ now: Int64) -> Bool {
    guard let pem = System.read(path), let facts = CertificateFacts(pem: pem) else { return false }
    return facts.notBefore <= now && facts.notAfter - now > renewalDays * 86_400
  }

  /// How clients of the cluster prove themselves and whom they trust; `nil` for plain connections.
  static func settings(_ plan: ClusterPlan) -> TLSSettings? {
    var settings = TLSSettings()
    switch plan.security {
    case .none: return nil
    case .auto: settings.insecureSkipVerify = true
    case .own:
      settings.trustedCAFile = plan.certificates.authority
      settings.certificateFile = plan.certificates.certificate(.client)
      settings.keyFile = plan.certificates.key(.client)
    }
    return settings
  }
}
