/// A key of a configuration file, and the flag with the same meaning.
///
/// - Source: etcd `embed.Config`, `configJSON` and `securityConfig` (the names of their JSON members), 3.6's
///   `v3discovery.DiscoveryConfig` and `clientv3.ConfigSpec`, and etcdmain's `configProxy`.
struct ConfigFileKey: Sendable {
  /// The mapping that it stands in, with dots between it and those around it; `nil` at the top.
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
    "peer-transport-security.allowed-hostname", "discovery-config.client.endpoints",
  ]

  /// Keys with a whole number that bounds nothing here, and what is said of them.
  static let idle: [String: String] = [
    "discovery-config.client.max-request-bytes":
      "what is sent to a discovery service is small, so this does nothing",
    "discovery-config.client.max-recv-bytes":
      "answers of a discovery service have a bound of their own, so this does nothing",
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
    "discovery-config": [("token", "discovery-token")],
    "discovery-config.client": [
      ("endpoints", "discovery-endpoints"), ("dial-timeout", "discovery-dial-timeout"),
      ("request-timeout", "discovery-request-timeout"),
      ("keepalive-time", "discovery-keepalive-time"),
      ("keepalive-timeout", "discovery-keepalive-timeout"), ("max-request-bytes", nil),
      ("max-recv-bytes", nil),
    ],
    "discovery-config.client.secure": [
      ("cert", "discovery-cert"), ("key", "discovery-key"), ("cacert", "discovery-cacert"),
      ("server-name", "discovery-server-name"),
      ("insecure-transport", "discovery-insecure-transport"),
      ("insecure-skip-tls-verify", "discovery-insecure-skip-tls-verify"),
    ],
    "discovery-config.client.auth": [
      ("username", "discovery-user"), ("password", "discovery-password"),
    ],
  ]

  /// The known key that a user most likely meant: the one of the flag of that name, or the only one that is the
  /// same without its hyphens, underscores and case, or that differs in one letter.
  static func like(_ path: String) -> String? {
    func bare(_ text: String) -> [UInt8] {
      text.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
    }
    if let moved = all.first(where: { $0.flag == path }) { return moved.path }
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
