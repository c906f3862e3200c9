import GoText

/// A flag of a command of the v2 API.
///
/// - Source: urfave/cli v1 `flag.go`, with which etcd's `etcdctl/ctlv2` is made.
struct V2Flag: Sendable {
  enum Kind: Sendable {
    case bool
    case string
    case int
    case duration
    /// May be given more than once.
    case strings
  }

  /// The name by which values are found, then its short forms.
  let names: [String]
  let kind: Kind
  /// The value without the flag, as it is written.
  let standard: String
  let usage: String

  init(_ names: [String], _ kind: Kind, default standard: String = "", _ usage: String) {
    self.names = names
    self.kind = kind
    self.standard = standard
    self.usage = usage
  }

  init(_ name: String, _ kind: Kind, default standard: String = "", _ usage: String) {
    self.init([name], kind, default: standard, usage)
  }

  static let help = V2Flag(["help", "h"], .bool, "show help")
  static let version = V2Flag(["version", "v"], .bool, "print the version")

  /// What a help text says of it: its names, and what it does.
  ///
  /// - Source: urfave/cli's `stringifyFlag`: what stands in backquotes first is the name of the value.
  var helpCells: (String, String) {
    let parts = usage.split(
      separator: "`", maxSplits: 2, omittingEmptySubsequences: false)
    let isNamed = parts.count == 3
    let value = kind == .bool ? "" : isNamed ? " \(parts[1])" : " value"
    let text = isNamed ? parts.joined() : usage
    let shown =
      switch kind {
      case .string: standard.isEmpty ? "" : " (default: \(GoQuote.text(standard)))"
      case .int, .duration: " (default: \(standard))"
      case .bool, .strings: ""
      }
    let all = names.map { ($0.utf8.count == 1 ? "-" : "--") + $0 + value }
    return (all.joined(separator: ", "), text + shown)
  }

  /// What is wrong with a value, in the words of Go's `flag` package.
  func problem(_ text: String) -> String? {
    switch kind {
    case .string, .strings: return nil
    case .bool: return GoNumber.bool(text) == nil ? "parse error" : nil
    case .duration: return (try? GoDuration.parse(text)) == nil ? "parse error" : nil
    case .int:
      do throws(GoNumber.Failure) { _ = try GoNumber.signed(text) } catch {
        return error == .range ? "value out of range" : "parse error"
      }
      return nil
    }
  }
}

/// A command line, read by its flags.
struct V2Words: Sendable {
  /// What stands in front of a command line that cannot be read.
  struct Failure: Error, Equatable { let message: String }

  private let flags: [V2Flag]
  /// What was given for each flag, by its first name.
  private var given: [String: [String]] = [:]
  /// From the first word that is no flag on.
  private(set) var arguments: [String] = []

  /// - Throws: in the words of Go's `flag` package.
  init(_ flags: [V2Flag], _ words: [String]) throws(Failure) {
    self.flags = flags
    var rest = words[...]
    var forms: [String: String] = [:]
    while let word = rest.first, word.utf8.count >= 2, word.hasPrefix("-") {
      rest = rest.dropFirst()
      if word == "--" { break }
      let body = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
      guard let first = body.first, first != "-", first != "=" else {
        throw Failure(message: "bad flag syntax: \(word)")
      }
      let equals = body.firstIndex(of: "=")
      let name = String(equals.map { body[..<$0] } ?? body)
      guard let flag = flags.first(where: { $0.names.contains(name) }), let key = flag.names.first
      else { throw Failure(message: "flag provided but not defined: -\(name)") }
      var text = equals.map { String(body[body.index(after: $0)...]) }
      if text == nil, flag.kind == .bool { text = "true" }
      guard let value = text ?? rest.popFirst() else {
        throw Failure(message: "flag needs an argument: -\(name)")
      }
      if let problem = flag.problem(value) {
        let what =
          flag.kind == .bool
          ? "invalid boolean value \(GoQuote.text(value)) for -\(name)"
          : "invalid value \(GoQuote.text(value)) for flag -\(name)"
        throw Failure(message: "\(what): \(problem)")
      }
      if let other = forms[key], other != name {
        let names = flag.names.reversed().joined(separator: " ")
        throw Failure(message: "Cannot use two forms of the same flag: \(names)")
      }
      forms[key] = name
      given[key, default: []].append(value)
    }
    arguments = Array(rest)
  }

  func string(_ name: String) -> String {
    given[name]?.last ?? flags.first { $0.names.first == name }?.standard ?? ""
  }
  func strings(_ name: String) -> [String] { given[name] ?? [] }
  func bool(_ name: String) -> Bool { GoNumber.bool(string(name)) == true }
  func int(_ name: String) -> Int64 { (try? GoNumber.signed(string(name))) ?? 0 }
  func duration(_ name: String) -> Duration {
    .nanoseconds((try? GoDuration.parse(string(name))) ?? 0)
  }

  /// Flags, and what they seem to be followed by, in front of everything else.
  ///
  /// - Source: urfave/cli v1.20 `reorderArgs`, whose mistakes scripts count on: what follows a flag without `=`
  ///   goes along with it, even where the flag takes no value.
  static func reordered(_ words: [String], _ flags: [V2Flag]) -> [String] {
    var front: [String] = []
    var back: [String] = []
    var mayBeValue = false
    for (at, word) in words.enumerated() {
      if word == "--" {
        back += words[at...]
        break
      } else if mayBeValue, !word.hasPrefix("-") {
        mayBeValue = false
        front.append(word)
      } else if isFlag(word, flags) {
        front.append(word)
        mayBeValue = !word.contains("=")
      } else {
        back.append(word)
      }
    }
    return front + back
  }

  private static func isFlag(_ word: String, _ flags: [V2Flag]) -> Bool {
    guard word.hasPrefix("-"), word != "-", word != "--" else { return false }
    let name = word.drop { $0 == "-" }.prefix { $0 != "=" }
    return flags.contains { $0.names.contains(String(name)) }
  }
}
