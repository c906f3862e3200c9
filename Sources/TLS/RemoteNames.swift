import EventLoops
import GoText

/// Whether a client comes from where the names in its certificate lead.
///
/// - Source: etcd `transport.checkCertSAN`.
enum RemoteNames {
  /// Names of a certificate that are looked up, one after the other.
  static let lookupsMax = 32

  /// - Parameter done: gets what is wrong in etcd's words, `nil` for nothing; on the loop, now or later.
  static func check(
    _ facts: CertificateFacts, host: String, loop: EventLoop,
    _ done: @escaping (String?) -> Void
  ) {
    if facts.ipAddresses.isEmpty, facts.dnsNames.isEmpty { return done(nil) }
    if facts.ipAddresses.contains(host) { return done(nil) }
    if facts.dnsNames.isEmpty { return done(CertificateProblem.mismatch(facts, host)) }
    let exact = facts.dnsNames.filter { !$0.hasPrefix("*.") }
    let endings = facts.dnsNames.filter { $0.hasPrefix("*.") }.map { String($0.dropFirst()) }
    NameLookup.names(of: host, loop: loop) { names in
      let isNamed = names.contains { name in
        exact.contains(name) || endings.contains(where: name.hasSuffix)
      }
      guard !isNamed else { return done(nil) }
      let failure = names.isEmpty ? "lookup \(host): no such host" : nil
      forward(exact.prefix(lookupsMax), host, loop, failure) { isFound, failure in
        guard !isFound else { return done(nil) }
        let reason = failure.map { " (\($0))" } ?? ""
        done(
          "tls: \(GoQuote.text(host)) does not match any of DNSNames "
            + "\(GoQuote.list(facts.dnsNames))\(reason)")
      }
    }
  }

  /// Looks for an address among those of names.
  private static func forward(
    _ names: ArraySlice<String>, _ host: String, _ loop: EventLoop, _ failure: String?,
    _ done: @escaping (_ isFound: Bool, _ failure: String?) -> Void
  ) {
    guard let name = names.first else { return done(false, failure) }
    NameLookup.addresses(of: name, loop: loop) { result in
      switch result {
      case .success(let addresses):
        if addresses.contains(host) { return done(true, nil) }
        forward(names.dropFirst(), host, loop, failure, done)
      case .failure(let error):
        forward(names.dropFirst(), host, loop, "\(error)", done)
      }
    }
  }
}
