import Bytes
import EtcdAPI
import GoText
import Protobuf

/// Events as lines that a person reads, one each: revision, type, key, value, and what was there before.
/// Columns grow with what they hold and never shrink. Pure.
struct WatchTable: Sendable {
  private var hasHeader = false
  private var revisionWidth = 8
  private var keyWidth = 12

  /// Characters of a key or a value that are shown at most.
  static let longestCell = 80

  /// Lines for the events of a response.
  mutating func lines(_ response: Etcdserverpb.WatchResponse) -> String {
    let rows = response.events.map { event in
      (
        revision: "\(event.kv?.modRevision ?? 0)", type: event.type.goName,
        key: Self.cell(event.kv?.key ?? Bytes()), value: Self.value(event)
      )
    }
    revisionWidth = Swift.max(revisionWidth, rows.map(\.revision.count).max() ?? 0)
    keyWidth = Swift.max(keyWidth, rows.map(\.key.count).max() ?? 0)
    var text = ""
    if !hasHeader, !rows.isEmpty {
      hasHeader = true
      text += line("REVISION", "TYPE", "KEY", "VALUE")
    }
    for row in rows { text += line(row.revision, row.type, row.key, row.value) }
    return text
  }

  private func line(_ revision: String, _ type: String, _ key: String, _ value: String) -> String {
    let start = String(repeating: " ", count: Swift.max(0, revisionWidth - revision.count))
    let cells = start + revision + "  " + Self.padded(type, 6) + "  "
    return value.isEmpty ? cells + key + "\n" : cells + Self.padded(key, keyWidth) + "  \(value)\n"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: Swift.max(0, width - text.count))
  }

  private static func value(_ event: Mvccpb.Event) -> String {
    let now = event.type == .delete ? "" : cell(event.kv?.value ?? Bytes())
    guard let before = event.prevKv else { return now }
    return (now.isEmpty ? "" : now + "  ") + "(was \(cell(before.value)))"
  }

  /// Text as it is, anything else as Go quotes it, cut where it is too long for a line.
  static func cell(_ bytes: Bytes) -> String {
    let quoted = GoQuote.text(bytes)
    let plain = String(quoted.dropFirst().dropLast())
    let text = plain == bytes.string && !plain.isEmpty ? plain : quoted
    return text.count > longestCell ? text.prefix(longestCell - 1) + "\u{2026}" : text
  }
}
