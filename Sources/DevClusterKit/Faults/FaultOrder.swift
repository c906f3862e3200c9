import DiskFaults
import FaultRelay
import JSON

/// A fault between members as it is asked for. Pure.
struct FaultOrder: Sendable, Equatable {
  enum Kind: Sendable, Equatable {
    case cut(LinkRule.Cut)
    /// Nanoseconds.
    case slow(UInt64, jitter: UInt64)
    /// Bytes a second.
    case limit(UInt64)
    /// A share, 0 to 1.
    case loss(Double)
    case reset
    /// Of members' disks; a rule that is clear ends what was before.
    case disk(DiskRule)
    /// Of members' clocks: nanoseconds by which they are ahead; 0 ends what was before.
    case clock(Int64)

    var name: String {
      switch self {
      case .cut: "cut"
      case .slow: "slow"
      case .limit: "limit"
      case .loss: "loss"
      case .reset: "reset-link"
      case .disk: "disk"
      case .clock: "clock"
      }
    }

    /// For people.
    var text: String {
      switch self {
      case .cut(let mode): "cut (\(mode.rawValue))"
      case .slow(let delay, let jitter):
        "slow by \(FaultOrder.milliseconds(delay))"
          + (jitter > 0 ? " ± \(FaultOrder.milliseconds(jitter))" : "")
      case .limit(let rate): "limited to \(rate) bytes a second"
      case .loss(let share): "losing \(share * 100) %"
      case .reset: "reset"
      case .disk(let rule): FaultOrder.text(rule)
      case .clock(let offset):
        offset == 0
          ? "clock as it should be"
          : "clock \(FaultOrder.milliseconds(offset.magnitude)) \(offset > 0 ? "ahead" : "behind")"
      }
    }
  }

  /// How wrong a clock may be: ten years.
  static let clockOffsets = -315_360_000_000_000_000...Int64(315_360_000_000_000_000)

  var kind: Kind
  /// Who sends, and who is sent to: members, roles, `clients`; empty for all others. Of a fault of disks or clocks, whose.
  var from: [String]
  var to: [String]
  var isOneWay: Bool
  /// Nanoseconds after which it ends by itself.
  var duration: UInt64?

  init(
    _ kind: Kind, from: [String], to: [String], isOneWay: Bool, duration: UInt64? = nil
  ) {
    self.kind = kind
    self.from = from
    self.to = to
    self.isOneWay = isOneWay
    self.duration = duration
  }

  var json: JSONObject {
    var object: JSONObject = [
      "command": .string(kind.name), "from": .array(from.map(JSONValue.string)),
      "to": .array(to.map(JSONValue.string)), "oneWay": .bool(isOneWay),
    ]
    if let duration { object["for"] = .integer(duration) }
    switch kind {
    case .cut(let mode): object["mode"] = .string(mode.rawValue)
    case .slow(let delay, let jitter):
      object["delay"] = .integer(delay)
      object["jitter"] = .integer(jitter)
    case .limit(let rate): object["rate"] = .integer(rate)
    // In millionths: a whole number.
    case .loss(let share): object["loss"] = .integer(Int(share * 1_000_000))
    case .reset: break
    case .disk(let rule):
      object["delay"] = .integer(rule.delay)
      object["failure"] = rule.failure.map { .string($0.rawValue) }
    case .clock(let offset): object["offset"] = .integer(offset)
    }
    return object
  }

  /// `nil` when `json` is no such order.
  init?(_ json: JSONValue) {
    func number(_ name: String) -> UInt64? { json[name]?.integer(as: UInt64.self) }
    switch json["command"]?.string {
    case "cut":
      guard let mode = LinkRule.Cut(rawValue: json["mode"]?.string ?? "hold") else { return nil }
      kind = .cut(mode)
    case "slow":
      guard let delay = number("delay") else { return nil }
      kind = .slow(delay, jitter: number("jitter") ?? 0)
    case "limit":
      guard let rate = number("rate"), rate > 0 else { return nil }
      kind = .limit(rate)
    case "loss":
      guard let share = number("loss"), share <= 1_000_000 else { return nil }
      kind = .loss(Double(share) / 1_000_000)
    case "reset-link": kind = .reset
    case "disk":
      let failure = json["failure"]?.string.map(DiskRule.Failure.init(rawValue:))
      guard failure != .some(nil) else { return nil }
      kind = .disk(DiskRule(delay: number("delay") ?? 0, failure: failure ?? nil))
    case "clock":
      guard let offset = json["offset"]?.integer(as: Int64.self), Self.clockOffsets.contains(offset)
      else { return nil }
      kind = .clock(offset)
    default: return nil
    }
    func words(_ name: String) -> [String] {
      (json[name]?.array ?? []).compactMap(\.string)
    }
    from = words("from")
    to = words("to")
    isOneWay = json["oneWay"]?.bool ?? false
    duration = number("for")
    guard !from.isEmpty else { return nil }
  }

  /// Reads the links of a command line: `A->B`, `A<-B`, `A<->B`, `A B`, or `A` alone for A and all others.
  /// - Throws: `DevClusterError` for anything else.
  static func links(
    _ words: [String]
  ) throws(DevClusterError) -> (from: [String], to: [String], isOneWay: Bool) {
    var text = ""
    for word in words {
      let joins = text.isEmpty || text.hasSuffix("-") || text.hasSuffix(">") || text.hasSuffix(",")
      let isArrow = word.hasPrefix("<") || word.hasPrefix("-") || word.hasPrefix(",")
      text += (joins || isArrow ? "" : "<->") + word
    }
    var isOneWay = false
    var isReversed = false
    let parts: [Substring]
    if let range = text.firstRange(of: "<->") {
      parts = [text[..<range.lowerBound], text[range.upperBound...]]
    } else if let range = text.firstRange(of: "->") {
      isOneWay = true
      parts = [text[..<range.lowerBound], text[range.upperBound...]]
    } else if let range = text.firstRange(of: "<-") {
      (isOneWay, isReversed) = (true, true)
      parts = [text[..<range.lowerBound], text[range.upperBound...]]
    } else {
      parts = [text[...], ""]
    }
    let groups = parts.map { $0.split(separator: ",").map(String.init) }
    let isClear = parts.allSatisfy { !$0.contains(">") && !$0.contains("<") }
    guard isClear, !groups[0].isEmpty, parts[1].isEmpty || !groups[1].isEmpty,
      !(isReversed && groups[1].isEmpty)
    else {
      throw .usage("'\(words.joined(separator: " "))' is no link; one is m1->m2, m1<->m2 or leader")
    }
    return isReversed
      ? (from: groups[1], to: groups[0], isOneWay: isOneWay)
      : (from: groups[0], to: groups[1], isOneWay: isOneWay)
  }

  /// Whether it is between members, and not one of theirs.
  var isOfLinks: Bool {
    switch kind {
    case .disk, .clock: false
    case .cut, .slow, .limit, .loss, .reset: true
    }
  }

  /// For people.
  var text: String { kind.text }

  /// Where it is to be and what it is, as it was asked for.
  var description: String {
    let others = to.isEmpty ? "" : (isOneWay ? "->" : "<->") + to.joined(separator: ",")
    let length = duration.map { " for \(Self.milliseconds($0))" } ?? ""
    return from.joined(separator: ",") + others + " \(text)" + length
  }

  fileprivate static func text(_ rule: DiskRule) -> String {
    let parts =
      (rule.delay > 0 ? ["slow by \(milliseconds(rule.delay))"] : [])
      + (rule.failure.map { [$0 == .full ? "full" : "failing"] } ?? [])
    return "disk " + (parts.isEmpty ? "as it should be" : parts.joined(separator: ", "))
  }

  fileprivate static func milliseconds(_ nanoseconds: UInt64) -> String {
    "\(Double(nanoseconds) / 1_000_000) ms"
  }
}
