import GoText

/// What `--check-config` prints: every setting, its value, and where that comes from.
struct CheckReport {
  let given: [FlagParser.Given]
  let server: ServerConfig
  let notices: [Notice]
  /// Whether a configuration file was read, which has a default of its own.
  let isOfFile: Bool

  /// Lines of three columns, then what a start would warn of.
  var text: String {
    let last = Dictionary(given.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    var rows: [(String, String, String)] = []
    for flag in FlagTable.all where flag.group != .hidden || last[flag.name] != nil {
      guard !["config-file", "check-config"].contains(flag.name), isShown(flag, last) else {
        continue
      }
      let item = last[flag.name]
      rows.append(
        (flag.name, shown(flag, item), item.map { Self.origin($0, flag) } ?? "default"))
    }
    let widths = (
      rows.map(\.0.count).max() ?? 0, min(60, rows.map(\.1.count).max() ?? 0)
    )
    var out = ""
    for row in rows {
      out += "\(Self.padded(row.0, widths.0))  \(Self.padded(row.1, widths.1))  \(row.2)\n"
    }
    for notice in notices where notice.level == .warn {
      let details = notice.fields.map { " \($0.name)=\($0.value)" }.joined()
      out += "warning: \(notice.message)\(details)\n"
    }
    if let problem = server.bootstrapProblem(resolve: { $0 }) {
      out +=
        "warning: with an empty data directory a start would fail (names are not looked up): "
        + "\(problem)\n"
    }
    return out
  }

  /// Of two names the one that was given, else the first.
  private func isShown(_ flag: Flag, _ last: [String: FlagParser.Given]) -> Bool {
    if flag.sameAs != nil { return last[flag.name] != nil }
    return !FlagTable.laterNames.contains { $0.old == flag.name && last[$0.name] != nil }
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    // checked: at least 0
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func origin(_ item: FlagParser.Given, _ flag: Flag) -> String {
    switch item.origin {
    case .line: "flag --\(flag.name)"
    case .variable: "variable \(flag.environmentName)"
    case .file(let path, let line): "\(path):\(line)"
    }
  }

  /// The value that counts: what follows from others is shown as it follows.
  private func shown(_ flag: Flag, _ item: FlagParser.Given?) -> String {
    switch flag.name {
    case "data-dir": return server.dataDirectory
    case "initial-cluster" where server.initialClusterProblem == nil:
      return server.initialClusterText
    case "auto-compaction-mode" where item == nil && isOfFile: return "''"
    default: break
    }
    let text = item?.value.shown ?? flag.fallback
    return text.isEmpty ? "''" : text
  }
}

extension FlagValue {
  /// As it would be written on a command line.
  var shown: String {
    switch self {
    case .text(let value), .exception(let value): value
    case .bool(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .signed(let value): "\(value)"
    case .duration(let value): Self.duration(value)
    case .urls(let urls): urls.map(\.description).joined(separator: ",")
    case .words(let words): words.joined(separator: ",")
    }
  }

  private static func duration(_ nanoseconds: Int64) -> String {
    for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")] as [(Int64, String)]
    where nanoseconds.isMultiple(of: unit) {
      return "\(nanoseconds / unit)\(name)"  // checked: the units are above 0
    }
    return "\(nanoseconds)ns"
  }
}
