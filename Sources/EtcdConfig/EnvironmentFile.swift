/// A file of variables, as systemd's `EnvironmentFile=` and shells read it, that was given where YAML is
/// expected: packages ship both under the name `etcd.conf`.
struct EnvironmentFile {
  /// A variable and its value, without its quotes.
  struct Variable: Equatable {
    let name: String
    let value: String
    let line: Int
  }

  let variables: [Variable]

  /// `nil` unless the first line that is no comment sets an `ETCD_` variable.
  init?(_ text: [UInt8]) {
    var found: [Variable] = []
    for (index, bytes) in text.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    )
    .enumerated() {
      let line = String(decoding: bytes, as: UTF8.self)
      let words = Self.trimmed(line[...])
      if words.isEmpty || words.hasPrefix("#") { continue }
      if let variable = Self.variable(words, index + 1) {  // checked: lines of a short file
        found.append(variable)
      } else if found.isEmpty {
        return nil
      }
    }
    guard !found.isEmpty else { return nil }
    variables = found
  }

  private static func variable(_ line: Substring, _ number: Int) -> Variable? {
    var rest = line
    if rest.hasPrefix("export ") { rest = trimmed(rest.dropFirst(7)) }
    guard rest.hasPrefix("ETCD_"), let equals = rest.firstIndex(of: "=") else { return nil }
    let name = rest[..<equals]
    guard
      name.utf8.allSatisfy({
        $0 == UInt8(ascii: "_") || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
      })
    else { return nil }
    let written = trimmed(rest[equals...].dropFirst())
    let value: Substring
    if let quote = written.first, quote == "\"" || quote == "'" {
      value = written.dropFirst().prefix { $0 != quote }
    } else {
      value = written.prefix { $0 != " " && $0 != "\t" }
    }
    return Variable(name: String(name), value: String(value), line: number)
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var rest = text
    while let first = rest.first, first.isWhitespace { rest = rest.dropFirst() }
    while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
    return rest
  }

  /// Why it is not taken, and what to do instead: both ways, with the file's own values.
  func refusal(_ path: String) -> String {
    let lines = yaml
    let shown = lines.prefix(20).joined(separator: "\n")
    let more = lines.count > 20 ? "\n…" : ""
    return "\(path):\(variables.first?.line ?? 1):1: this is a file of environment variables"
      + " (\(variables.first?.name ?? "ETCD_NAME")=…), --config-file takes YAML. Either have them set"
      + " and start etcd without --config-file (systemd: EnvironmentFile=\(path); shell: set -a; ."
      + " \(path); set +a; etcd), or write this instead:\n\(shown)\(more)"
  }

  /// The same as lines of YAML; variables that no flag has are left out.
  var yaml: [String] {
    let keys = ConfigFileKey.all.compactMap { key in key.flag.map { ($0, key) } }
    let byFlag = Dictionary(keys, uniquingKeysWith: { first, _ in first })
    var top: [String] = []
    var sections: [String: [String]] = [:]
    for variable in variables {
      guard let flag = FlagTable.all.first(where: { $0.environmentName == variable.name }),
        let key = byFlag[flag.name]
      else { continue }
      let line = "\(key.name): \(Self.written(variable.value, flag, key))"
      if let section = key.section {
        sections[section, default: []].append(line)
      } else {
        top.append(line)
      }
    }
    var open: [Substring] = []
    for (section, lines) in sections.sorted(by: { $0.key < $1.key }) {
      let parts = section.split(separator: ".")
      func indentation(_ depth: Int) -> String { String(repeating: "  ", count: depth) }
      for (depth, part) in parts.enumerated() where !open.starts(with: parts.prefix(depth + 1)) {
        top.append("\(indentation(depth))\(part):")
      }
      top += lines.map { indentation(parts.count) + $0 }
      open = parts
    }
    return top
  }

  private static func written(_ value: String, _ flag: Flag, _ key: ConfigFileKey) -> String {
    func quoted(_ text: some StringProtocol) -> String {
      "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        + "'"
    }
    if ConfigFileKey.lists.contains(key.path) {
      return "[" + value.split(separator: ",").map { quoted($0) }.joined(separator: ", ") + "]"
    }
    guard flag.kind.isUnquoted, let read = try? flag.read(value) else { return quoted(value) }
    switch read {
    case .bool(let isOn): return "\(isOn)"
    case .unsigned(let number): return "\(number)"
    case .signed(let number), .duration(let number): return "\(number)"
    default: return quoted(value)
    }
  }
}
