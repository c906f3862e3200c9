import Bytes
import Checkers
import JSON

/// A line of a history file: one JSON value each, told apart by what they have: `scenario`, `op`, `watch`, `event`,
/// `end`. Pure.
enum HistoryLine: Sendable, Equatable {
  case header(History.Header)
  case operation(HistoryOperation)
  case watch(History.WatchRecord)
  case event(HistoryEvent)
  case end(History.End)

  var text: String { JSONValue.object(object).encoded().string + "\n" }

  private var object: JSONObject {
    switch self {
    case .header(let header): header.json
    case .operation(let operation): operation.json
    case .watch(let record):
      [
        "watch": .integer(record.client), "member": .string(record.member),
        "time": .integer(record.time), "from": record.from.map { .integer($0) } ?? .null,
        "whole": .bool(record.isWhole),
        "changes": .array(
          record.changes.map { [.integer($0.revision), .string($0.key), .integer($0.value)] }),
      ]
    case .event(let event): event.json
    case .end(let end):
      [
        "end": .integer(end.time), "loadEnded": .integer(end.loadEnded),
        "failure": end.failure.map { .string($0) } ?? .null,
        "hashes": .array(
          end.hashes.map { [.string($0.member), .integer($0.revision), .integer($0.hash)] }),
      ]
    }
  }

  /// `nil` when a line is none of these.
  init?(_ line: Bytes) {
    guard let json = try? JSONValue.parse(line) else { return nil }
    if json["op"] != nil {
      guard let operation = HistoryOperation(json) else { return nil }
      self = .operation(operation)
    } else if json["watch"] != nil {
      guard let record = Self.watch(json) else { return nil }
      self = .watch(record)
    } else if json["event"] != nil {
      guard let event = HistoryEvent(json) else { return nil }
      self = .event(event)
    } else if json["scenario"] != nil {
      guard let header = History.Header(json) else { return nil }
      self = .header(header)
    } else if let end = Self.end(json) {
      self = .end(end)
    } else {
      return nil
    }
  }

  private static func watch(_ json: JSONValue) -> History.WatchRecord? {
    guard let client = json["watch"]?.integer(as: Int.self), let member = json["member"]?.string,
      let time = json["time"]?.integer(as: Int.self), let changes = json["changes"]?.array
    else { return nil }
    var record = History.WatchRecord(client: client, member: member, time: time)
    record.from = json["from"]?.integer(as: Int64.self)
    record.isWhole = json["whole"]?.bool ?? false
    for change in changes {
      guard let parts = change.array, parts.count == 3,
        let revision = parts[0].integer(as: Int64.self), let key = parts[1].string,
        let value = parts[2].integer(as: Int.self)
      else { return nil }
      record.changes.append(.init(revision: revision, key: key, value: value))
    }
    return record
  }

  private static func end(_ json: JSONValue) -> History.End? {
    guard let time = json["end"]?.integer(as: Int.self),
      let loadEnded = json["loadEnded"]?.integer(as: Int.self)
    else { return nil }
    var end = History.End(loadEnded: loadEnded, time: time, failure: json["failure"]?.string)
    for hash in json["hashes"]?.array ?? [] {
      guard let parts = hash.array, parts.count == 3, let member = parts[0].string,
        let revision = parts[1].integer(as: Int64.self),
        let value = parts[2].integer(as: UInt32.self)
      else { return nil }
      end.hashes.append(.init(member: member, revision: revision, hash: value))
    }
    return end
  }
}

extension History {
  /// Reads a whole file.
  /// - Throws: `DevClusterError` naming the line that is none.
  init(_ text: [UInt8], path: String) throws(DevClusterError) {
    var number = 0
    for line in text.split(separator: 0x0a) {
      number += 1
      switch HistoryLine(Bytes(line)) {
      case .header(let header): self.header = header
      case .operation(let operation): operations.append(operation)
      case .watch(let record): watches.append(record)
      case .event(let event): events.append(event)
      case .end(let end): self.end = end
      case nil: throw DevClusterError.usage("\(path):\(number) is no line of a history")
      }
    }
    guard !header.members.isEmpty else {
      throw DevClusterError.usage(
        "\(path) is no history: its first line names scenario and members")
    }
    // Written as they ended.
    operations.sort { $0.called < $1.called }
  }
}

extension History.Header {
  fileprivate var json: JSONObject {
    var object: JSONObject = [
      "scenario": .string(scenario), "seed": .integer(seed), "load": .string(load),
      "command": .string(command), "started": .string(started),
      "members": .array(members.map(JSONValue.string)),
      "expect": [
        "linearizable": .bool(expect.isLinearizable), "watch": .bool(expect.hasWholeWatches),
        "leases": .bool(expect.keepsLeases), "locks": .bool(expect.hasSafeLocks),
        "hashes": .bool(expect.hasEqualHashes), "minority": .bool(expect.refusesInMinority),
      ],
    ]
    if let gap = expect.longestGap { object["writesWithin"] = .integer(gap) }
    if let time = expect.longestLeaderless { object["leaderWithin"] = .integer(time) }
    if let count = expect.leaderChangesMax { object["leaderChanges"] = .integer(count) }
    return object
  }

  fileprivate init?(_ json: JSONValue) {
    guard let scenario = json["scenario"]?.string, let members = json["members"]?.array,
      let seed = json["seed"]?.integer(as: UInt64.self), let expect = json["expect"]
    else { return nil }
    self.scenario = scenario
    self.seed = seed
    self.members = members.compactMap(\.string)
    load = json["load"]?.string ?? ""
    command = json["command"]?.string ?? ""
    started = json["started"]?.string ?? ""
    self.expect.isLinearizable = expect["linearizable"]?.bool ?? true
    self.expect.hasWholeWatches = expect["watch"]?.bool ?? true
    self.expect.keepsLeases = expect["leases"]?.bool ?? true
    self.expect.hasSafeLocks = expect["locks"]?.bool ?? true
    self.expect.hasEqualHashes = expect["hashes"]?.bool ?? true
    self.expect.refusesInMinority = expect["minority"]?.bool ?? true
    self.expect.longestGap = json["writesWithin"]?.integer(as: UInt64.self)
    self.expect.longestLeaderless = json["leaderWithin"]?.integer(as: UInt64.self)
    self.expect.leaderChangesMax = json["leaderChanges"]?.integer(as: Int.self)
  }
}

extension HistoryEvent {
  fileprivate var json: JSONObject {
    var object: JSONObject = [
      "event": .string(kind), "time": .integer(time), "text": .string(text),
    ]
    object["member"] = member.map(JSONValue.string)
    object["answered"] = answered.map { .integer($0) }
    object["until"] = until.map { .integer($0) }
    if !cuts.isEmpty { object["cuts"] = .array(cuts.map(JSONValue.string)) }
    return object
  }

  fileprivate init?(_ json: JSONValue) {
    guard let kind = json["event"]?.string, let time = json["time"]?.integer(as: Int.self),
      let text = json["text"]?.string
    else { return nil }
    self.init(kind, at: time, text, member: json["member"]?.string)
    answered = json["answered"]?.integer(as: Int.self)
    until = json["until"]?.integer(as: Int.self)
    cuts = (json["cuts"]?.array ?? []).compactMap(\.string)
  }
}
