import Bytes
import JSON

/// What a page still has to hear. Pure.
///
/// Of what has a state the newest counts: it replaces what was not sent. Of lines the oldest are left out, and
/// counted. Changes of keys that were lost are told as such, and the page reads them anew. What happened (events)
/// may not be lost: a page that does not read them in time is given up.
struct PageQueue: Sendable {
  /// What has a state.
  enum Subject: String, Sendable, CaseIterable { case hello, status, sample, scenario }

  static let eventsMax = 1_000
  static let linesMax = 500
  static let changesMax = 500
  static let textBytesMax = 4_096

  private var newest: [Subject: JSONValue] = [:]
  private var events: [JSONValue] = []
  private var lines: [JSONValue] = []
  private var linesLeftOut = 0
  private var changes: [JSONValue] = []
  private var haveChangesBeenLost = false
  private var watchNote: String?
  /// Whether more happened than it may be behind.
  private(set) var isLost = false

  mutating func set(_ subject: Subject, _ value: JSONObject) { newest[subject] = .object(value) }

  mutating func add(event: JSONValue) {
    guard events.count < Self.eventsMax else {
      isLost = true
      return
    }
    events.append(event)
  }

  mutating func add(line: LogLine, of member: String) {
    if lines.count >= Self.linesMax {
      lines.removeFirst(Self.linesMax / 10)
      linesLeftOut += Self.linesMax / 10
    }
    lines.append(Self.json(line, of: member))
  }

  mutating func add(change: JSONValue) {
    guard changes.count < Self.changesMax else { return loseChanges() }
    changes.append(change)
  }

  /// The page reads all keys anew.
  mutating func loseChanges() {
    changes = []
    haveChangesBeenLost = true
  }

  /// Why the watch does not work at the moment; empty when it does.
  mutating func note(watch text: String) { watchNote = text }

  static func json(_ line: LogLine, of member: String) -> JSONValue {
    let text = line.human
    return [
      "member": .string(member), "level": .string("\(line.level ?? .info)"),
      "text": .string(
        text.utf8.count > textBytesMax ? text.prefix(textBytesMax / 4) + " …" : text),
    ]
  }

  /// All that waits, as server-sent events; empty when nothing does.
  /// - Source: the HTML standard §9.2.
  mutating func take() -> Bytes {
    var out = ByteWriter(capacity: 256)
    for subject in Subject.allCases {
      if let value = newest.removeValue(forKey: subject) {
        Self.write(subject.rawValue, value, &out)
      }
    }
    if !events.isEmpty { Self.write("events", .array(exchange(&events, with: [])), &out) }
    if !lines.isEmpty {
      Self.write(
        "logs",
        [
          "lines": .array(exchange(&lines, with: [])),
          "leftOut": .integer(exchange(&linesLeftOut, with: 0)),
        ], &out)
    }
    if !changes.isEmpty || haveChangesBeenLost || watchNote != nil {
      var object: JSONObject = [
        "changes": .array(exchange(&changes, with: [])),
        "lost": .bool(exchange(&haveChangesBeenLost, with: false)),
      ]
      if let note = exchange(&watchNote, with: nil) { object["note"] = .string(note) }
      Self.write("keys", .object(object), &out)
    }
    return out.finish()
  }

  private static func write(_ name: String, _ value: JSONValue, _ out: inout ByteWriter) {
    out.append("event: \(name)\ndata: ")
    out.append(value.encoded())
    out.append("\n\n")
  }
}
