/// A key of a configuration file, and the flag with the same meaning.
///
/// - Source: etcd `embed.Config`, `configJSON` and `securityConfig` (the names of their JSON members), and
///   etcdmain's `configProxy`.
struct ConfigFileKey: Sendable {
  /// The mapping that it stands in; `nil` at the top.
  let section: String?
  let name: String
  /// The flag; `nil` for a key that has none, whose values no flag can take.
  let flag: String?

  /// As users read it: `peer-transport-security.cert-file`.
  var path: String { section.map { "\($0).\(name)" } ?? name }

  /// Keys with a list of texts.
  static let lists: Set<String> = [
    "log-outputs", "cipher-suites", "client-transport-security.allowed-cn",
    "client-transport-security.allowed-hostname", "peer-transport-security.allowed-cn",
    "peer-transport-security.allowed-hostname",
  ]

  /// All keys, in the order of the flags.
  static let all: [ConfigFileKey] = {
    let nested = sections.flatMap { section, keys in
      keys.map { ConfigFileKey(section: section, name: $0.name, flag: $0.flag) }
    }
    let apart = Set(nested.compactMap(\.flag) + ["version", "config-file", "check-config"])
    var top: [ConfigFileKey] = []
    for flag in FlagTable.all where !apart.contains(flag.name) {
      if case .retired = flag.kind { continue }
      top.append(ConfigFileKey(section: nil, name: flag.name, flag: flag.name))
    }
    // etcd's key has one hyphen more than its flag.
    let longer = "experimental-snapshot-catch-up-entries"
    top.append(
      ConfigFileKey(section: nil, name: longer, flag: "experimental-snapshot-catchup-entries"))
    return top + nested
  }()

  /// By path in lower case: encoding/json knows no case.
  static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

  /// Mappings inside the file.
  static let sections: KeyValuePairs<String, [(name: String, flag: String?)]> = [
    "socket-options": [
      ("reuse-port", "socket-reuse-port"), ("reuse-address", "socket-reuse-address"),
    ],
    "client-transport-security": [
      ("cert-file", "cert-file"), ("key-file", "key-file"),
      ("client-cert-file", "client-cert-file"), ("client-key-file", "client-key-file"),
      ("client-cert-auth", "client-cert-auth"), ("trusted-ca-file", "trusted-ca-file"),
      ("auto-tls", "auto-tls"), ("allowed-cn", nil),
      ("allowed-hostname", "client-cert-allowed-hostname"),
    ],
    "peer-transport-security": [
      ("cert-file", "peer-cert-file"), ("key-file", "peer-key-file"),
      ("client-cert-file", "peer-client-cert-file"), ("client-key-file", "peer-client-key-file"),
      ("client-cert-auth", "peer-client-cert-auth"), ("trusted-ca-file", "peer-trusted-ca-file"),
      ("auto-tls", "peer-auto-tls"), ("allowed-cn", "peer-cert-allowed-cn"),
      ("allowed-hostname", "peer-cert-allowed-hostname"),
      ("skip-client-san-verification", "experimental-peer-skip-client-san-verification"),
    ],
  ]

  /// The known key that a user most likely meant: the only one that is the same without its hyphens,
  /// underscores and case, or that differs in one letter.
  static func like(_ path: String) -> String? {
    func bare(_ text: String) -> [UInt8] {
      text.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
    }
    let wanted = bare(path)
    if let same = all.first(where: { bare($0.path) == wanted }) { return same.path }
    let near = all.filter { areNear(bare($0.path), wanted) }
    return near.count == 1 ? near[0].path : nil
  }

  /// Whether one letter was added, left out, changed or swapped with the next.
  private static func areNear(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    let start = zip(a, b).prefix { $0 == $1 }.count
    let (restA, restB) = (a.dropFirst(start), b.dropFirst(start))  // checked: both begin with it
    if restA.dropFirst() == restB || restB.dropFirst() == restA { return true }
    if restA.dropFirst() == restB.dropFirst() { return true }
    return restA.prefix(2).reversed() == Array(restB.prefix(2))
      && restA.dropFirst(2) == restB.dropFirst(2)
  }
}
