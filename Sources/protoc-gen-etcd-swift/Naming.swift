/// Swift names from names in .proto files.
enum Naming {
  /// Words that Swift reads as something else when they stand alone.
  private static let keywords: Set<String> = [
    "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer",
    "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
    "func", "guard", "if", "import", "in", "init", "inout", "internal", "is", "let", "nil",
    "operator", "precedencegroup", "private", "protocol", "public", "repeat", "rethrows", "return",
    "self", "static", "struct", "subscript", "super", "switch", "throw", "throws", "true", "try",
    "typealias", "var", "where", "while",
  ]

  /// Words that keep their capitals, unless they come first.
  private static let acronyms = [
    "id": "ID", "ids": "IDs", "url": "URL", "urls": "URLs", "ttl": "TTL",
  ]

  /// Names that Swift does not allow for a nested type.
  private static let reservedTypes = [
    "Any": "AnyMessage", "Protocol": "ProtocolEnum", "Self": "SelfEnum", "Type": "TypeEnum",
  ]

  /// A name in backticks when it is a keyword.
  static func escaped(_ name: String) -> String { keywords.contains(name) ? "`\(name)`" : name }

  static func capitalized(_ word: some StringProtocol) -> String {
    word.prefix(1).uppercased() + word.dropFirst()
  }

  private static func isAllCaps(_ word: some StringProtocol) -> Bool {
    !word.contains { $0.isLowercase }
  }

  private static func lowercasedFirst(_ word: some StringProtocol) -> String {
    isAllCaps(word) ? word.lowercased() : word.prefix(1).lowercased() + word.dropFirst()
  }

  /// `cluster_id` → `clusterID`, `TTL` → `ttl`, `peerURLs` → `peerURLs`.
  static func field(_ name: String) -> String {
    let words = name.split(separator: "_")
    guard let first = words.first else { return name }
    return lowercasedFirst(first)
      + words.dropFirst().map { acronyms[$0.lowercased()] ?? capitalized($0) }.joined()
  }

  /// `target_union` → `TargetUnion`, `snapshot` → `Snapshot`.
  static func type(_ name: String) -> String {
    let camel = name.split(separator: "_").map(capitalized).joined()
    return reservedTypes[camel] ?? camel
  }

  /// `grpc.health.v1` → `GrpcHealthV1`.
  static func namespace(_ package: String) -> String {
    package.split(separator: ".").map { type(String($0)) }.joined()
  }

  /// `LeaseKeepAlive` → `leaseKeepAlive`, `HashKV` → `hashKV`.
  static func method(_ name: String) -> String { lowercasedFirst(name) }

  /// Names of enum cases, without the words that all of them start with.
  static func enumCases(_ names: [String]) -> [String] {
    let prefix = commonPrefix(names)
    return names.map { enumCase(String($0.dropFirst(prefix))) }
  }

  /// `NOT_EQUAL` → `notEqual`, `ConfChangeV2` → `confChangeV2`.
  private static func enumCase(_ name: String) -> String {
    guard isAllCaps(name) else { return lowercasedFirst(name) }
    let words = name.lowercased().split(separator: "_")
    return (words.first.map(String.init) ?? "") + words.dropFirst().map(capitalized).joined()
  }

  /// Length of the longest common start that ends between two words of every name.
  private static func commonPrefix(_ names: [String]) -> Int {
    guard names.count > 1, let first = names.first.map(Array.init) else { return 0 }
    let all = names.map(Array.init)
    var best = 0
    for length in 1..<first.count {
      guard all.allSatisfy({ $0.count > length && $0[..<length] == first[..<length] }) else {
        break
      }
      let last = first[length - 1]
      let boundary =
        last == "_" || last.isLowercase && all.allSatisfy { $0[length].isUppercase }
      if boundary && all.allSatisfy({ $0[length].isLetter }) { best = length }
    }
    return best
  }
}
