import GoText
import YAML

/// Reads a configuration file into the values of flags.
///
/// Go etcd turns the YAML into JSON, which it reads into its configuration: types are strict, `null`
/// leaves a default alone, a key that comes twice counts the last time, and unknown ones are skipped. So
/// it is here; the last two are warned of.
///
/// - Source: etcd `embed.ConfigFromFile`, `etcdmain.configFromFile`.
struct ConfigFile {
  /// What a file says.
  struct Contents {
    var given: [FlagParser.Given] = []
    var notices: [Notice] = []
  }

  private let path: String
  private var contents = Contents()
  /// Keys seen, and where.
  private var seen: [String: YAMLNode.Mark] = [:]

  /// - Parameters:
  ///   - text: the file.
  ///   - path: its name, for messages.
  /// - Throws: `ConfigFailure` with place, what was found and what was expected.
  static func read(_ text: [UInt8], path: String) throws(ConfigFailure) -> Contents {
    if let refusal = EnvironmentFile(text)?.refusal(path) { throw ConfigFailure(refusal) }
    var file = ConfigFile(path: path)
    let document: YAMLNode?
    do throws(YAMLError) { document = try YAMLReader.read(text) } catch {
      let hint =
        error.message.holds("cannot start any token")
        ? "; if it is a tab: YAML is indented with spaces" : ""
      throw file.failure(error.mark, error.message + hint)
    }
    guard let document, document.content != .scalar(.null) else { return file.contents }
    guard case .mapping(let entries) = document.content else {
      throw file.failure(
        document.mark, "a mapping of keys to values expected, found \(document.found)")
    }
    try file.read(entries, in: nil)
    return file.contents
  }

  private init(path: String) { self.path = path }

  private func place(_ mark: YAMLNode.Mark) -> String { "\(path):\(mark.line):\(mark.column)" }

  private func failure(_ mark: YAMLNode.Mark, _ message: String) -> ConfigFailure {
    ConfigFailure("\(place(mark)): \(message)")
  }

  private mutating func warn(_ mark: YAMLNode.Mark, _ message: String, _ key: String) {
    contents.notices.append(Notice(.warn, message, ("key", key), ("place", place(mark))))
  }

  private mutating func read(
    _ entries: [YAMLNode.Entry], in section: String?
  ) throws(ConfigFailure) {
    for entry in entries {
      guard case .scalar(.text(let written)) = entry.key.content else {
        warn(entry.key.mark, "skipped a key that is no text", entry.key.found)
        continue
      }
      let name = written.lowercased()
      let full = section.map { "\($0).\(name)" } ?? name
      if let before = seen.updateValue(entry.key.mark, forKey: full) {
        warn(
          entry.key.mark, "a key comes again; what it says here counts, not line \(before.line)",
          full)
        contents.given.removeAll { $0.name == ConfigFileKey.byPath[full]?.flag }
      }
      if ConfigFileKey.sections.contains(where: { $0.key == full }) {
        try read(section: full, entry.value)
      } else if let key = ConfigFileKey.byPath[full] {
        try read(key, entry.value)
      } else {
        let meant = ConfigFileKey.like(full).map { "; did you mean \($0)?" } ?? ""
        warn(entry.key.mark, "skipped a key that no version of etcd in use has" + meant, full)
      }
    }
  }

  private mutating func read(section name: String, _ value: YAMLNode) throws(ConfigFailure) {
    switch value.content {
    case .mapping(let entries): try read(entries, in: name)
    case .scalar(.null): break
    default:
      throw failure(
        value.mark, "\(name): a mapping of keys to values expected, found \(value.found)")
    }
  }

  private mutating func read(_ key: ConfigFileKey, _ node: YAMLNode) throws(ConfigFailure) {
    if node.content == .scalar(.null) { return }
    if let reason = ConfigFileKey.idle[key.path] {
      guard case .scalar(let scalar) = node.content, scalar.wholeNumber != nil else {
        throw failure(
          node.mark, "\(key.path): \(Flag.Kind.signed.expected) expected, found \(node.found)")
      }
      return warn(node.mark, reason, key.path)
    }
    guard let name = key.flag, let flag = FlagTable.byName[name] else {
      let words = try texts(key, node)
      guard words.isEmpty else {
        throw failure(node.mark, "\(key.path) is not supported by this version yet")
      }
      return
    }
    guard let value = try value(key, flag, node) else { return }
    contents.given.append(
      FlagParser.Given(
        name: name, value: value, origin: .file(path, line: node.mark.line)))
  }

  /// A value of the flag's kind; `nil` when it leaves the default alone.
  private func value(
    _ key: ConfigFileKey, _ flag: Flag, _ node: YAMLNode
  ) throws(ConfigFailure) -> FlagValue? {
    if ConfigFileKey.lists.contains(key.path) {
      let words = try texts(key, node)
      guard !words.isEmpty else { return nil }
      if case .words = flag.kind { return .words(words) }
      return try read(flag, words.joined(separator: ","), key, node)
    }
    switch (flag.kind, node.content) {
    case (.bool, .scalar(.bool(let isOn))): return .bool(isOn)
    case (.unsigned, .scalar(let scalar)), (.unsigned32, .scalar(let scalar)),
      (.signed, .scalar(let scalar)):
      guard let digits = scalar.wholeNumber else { throw mismatch(key, flag, node) }
      return try read(flag, digits, key, node)
    case (.duration, .scalar(let scalar)):
      guard let digits = scalar.wholeNumber, let value = Int64(digits) else {
        throw mismatch(key, flag, node)
      }
      return .duration(value)
    case (.text, .scalar(.text(let text))): return .text(text)
    case (.urls, .scalar(.text(let text))), (.words, .scalar(.text(let text))):
      return text.isEmpty ? nil : try read(flag, text, key, node)
    case (.choice, .scalar(.text(let text))):
      return text.isEmpty ? nil : try read(flag, text, key, node)
    default: throw mismatch(key, flag, node)
    }
  }

  private func read(
    _ flag: Flag, _ text: String, _ key: ConfigFileKey, _ node: YAMLNode
  ) throws(ConfigFailure) -> FlagValue {
    do throws(Flag.Failure) { return try flag.read(text) } catch {
      switch flag.kind {
      case .urls, .words, .text: throw failure(node.mark, "\(key.path): \(error.message)")
      default: throw mismatch(key, flag, node)
      }
    }
  }

  private func texts(
    _ key: ConfigFileKey, _ node: YAMLNode
  ) throws(ConfigFailure) -> [String] {
    guard case .list(let parts) = node.content else {
      throw failure(
        node.mark, "\(key.path): a list of texts expected, as in [a, b], found \(node.found)")
    }
    var found: [String] = []
    for part in parts {
      switch part.content {
      case .scalar(.text(let text)): found.append(text)
      case .scalar(.null): found.append("")
      default: throw failure(part.mark, "\(key.path): text expected, found \(part.found)")
      }
    }
    return found
  }

  private func mismatch(
    _ key: ConfigFileKey, _ flag: Flag, _ node: YAMLNode
  ) -> ConfigFailure {
    var hint = ""
    if case .scalar(.text(let text)) = node.content {
      if case .duration = flag.kind, let value = try? GoDuration.parse(text) {
        hint = "; write \(value)"
      } else if flag.kind.isUnquoted {
        hint = "; write it without quotes"
      }
    } else if case .scalar = node.content, !flag.kind.isUnquoted {
      hint = "; write it in quotes"
    }
    return failure(
      node.mark, "\(key.path): \(flag.kind.expected) expected, found \(node.found)\(hint)")
  }
}

extension Flag.Kind {
  /// What a value in a file has to be, in words.
  var expected: String {
    switch self {
    case .text, .retired: "text"
    case .bool: "true or false"
    case .unsigned: "a whole number from 0 to \(UInt64.max)"
    case .unsigned32: "a whole number from 0 to \(UInt32.max)"
    case .signed: "a whole number from \(Int64.min) to \(Int64.max)"
    case .duration: "a whole number of nanoseconds (5000000000 for 5s)"
    case .urls, .words: "text, separated by commas,"
    case .choice(let valid, _):
      "one of " + valid.map { "'\($0)'" }.joined(separator: ", ")
    }
  }

  /// Whether a value stands without quotes.
  var isUnquoted: Bool {
    switch self {
    case .bool, .unsigned, .unsigned32, .signed, .duration: true
    default: false
    }
  }
}

extension YAMLNode {
  /// What it is, for messages.
  var found: String {
    switch content {
    case .list: "a list"
    case .mapping: "a mapping"
    case .scalar(.null): "nothing"
    case .scalar(.bool(let value)): "the truth value \(value)"
    case .scalar(.integer(let value, let isNegative)): "the number \(isNegative ? "-" : "")\(value)"
    case .scalar(.number(let value)): "the number \(value)"
    case .scalar(.text(let value)): "the text \(GoQuote.text(String(value.prefix(80))))"
    }
  }
}

extension YAMLScalar {
  /// Its digits where it is a whole number, whichever way it is written.
  var wholeNumber: String? {
    switch self {
    case .integer(let value, let isNegative): (isNegative && value > 0 ? "-" : "") + "\(value)"
    case .number(let value):
      Int64(exactly: value).map { "\($0)" } ?? UInt64(exactly: value).map { "\($0)" }
    default: nil
    }
  }
}
