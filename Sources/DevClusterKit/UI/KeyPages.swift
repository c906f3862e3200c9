import Bytes
import JSON

/// What is asked of etcd's gateway for the key browser, and what becomes of its answers. Pure.
enum KeyPages {
  /// Keys of a page.
  static let keysMax = 100
  /// Characters of a value in base64 that are shown: 1 KiB of it.
  static let shownCharactersMax = 1_368

  /// A page of keys.
  /// - Parameter keysOnly: where values are too large to be fetched together.
  static func range(_ query: KeyQuery, keysOnly: Bool) -> FleetLife.MemberCall {
    let start = query.after.map { Bytes(Array($0) + [0]) } ?? first(query.prefix)
    return FleetLife.MemberCall(
      path: "/v3/kv/range",
      body: [
        "key": text(start), "range_end": text(end(query.prefix)), "limit": .integer(keysMax),
        "keys_only": .bool(keysOnly),
      ])
  }

  /// A question that costs nothing.
  static let probe = FleetLife.MemberCall(
    path: "/v3/kv/range", body: ["key": text(Bytes([0])), "serializable": true])

  /// A watch of all that begins like this.
  static func watch(_ watch: PageSubscription.Watch) -> FleetLife.MemberCall {
    var request: JSONObject = [
      "key": text(first(watch.prefix)), "range_end": text(end(watch.prefix)),
    ]
    if watch.from > 0 { request["start_revision"] = .string(String(watch.from)) }
    return FleetLife.MemberCall(path: "/v3/watch", body: ["create_request": .object(request)])
  }

  /// - Source: etcd `clientv3/op.go` `WithPrefix`: for all keys both ends are a zero byte.
  private static func first(_ prefix: Bytes) -> Bytes { prefix.isEmpty ? Bytes([0]) : prefix }
  private static func end(_ prefix: Bytes) -> Bytes {
    prefix.isEmpty ? Bytes([0]) : prefix.endOfPrefix
  }
  private static func text(_ bytes: Bytes) -> JSONValue {
    .string(Base64.standard.encode(bytes).string)
  }

  /// A range's answer for the page.
  static func page(_ answer: JSONValue, keysOnly: Bool) -> JSONObject {
    [
      "revision": answer["header"]?["revision"] ?? "0",
      "count": answer["count"] ?? "0", "more": .bool(answer["more"]?.bool ?? false),
      "keysOnly": .bool(keysOnly),
      "keys": .array((answer["kvs"]?.array ?? []).map { .object(key($0)) }),
    ]
  }

  /// A key; of a large value the beginning, and how large it is.
  static func key(_ pair: JSONValue) -> JSONObject {
    let value = pair["value"]?.string ?? ""
    let padding = value.hasSuffix("==") ? 2 : value.hasSuffix("=") ? 1 : 0
    var object: JSONObject = [
      "key": pair["key"] ?? "", "value": .string(String(value.prefix(shownCharactersMax))),
      "valueBytes": .integer(value.utf8.count / 4 * 3 - padding),
      "modRevision": pair["mod_revision"] ?? "0", "version": pair["version"] ?? "0",
    ]
    if let lease = pair["lease"], lease != "0" { object["lease"] = lease }
    return object
  }

  /// What a message of a watch says.
  struct Message: Equatable, Sendable {
    var changes: [JSONValue] = []
    /// 0 when it does not say.
    var revision: Int64 = 0
    /// Why the watch ended.
    var end: String?
    /// Whether it began too far back: what was before is not known any more.
    var isCompacted = false
  }

  static func message(_ json: JSONValue) -> Message {
    var message = Message()
    guard let result = json["result"] else {
      message.end = json["error"]?["message"]?.string ?? json["error"]?.string ?? "it broke off"
      return message
    }
    message.revision = result["header"]?["revision"]?.string.flatMap(Int64.init) ?? 0
    if result["canceled"]?.bool == true {
      let compacted = result["compact_revision"]?.string.flatMap(Int64.init) ?? 0
      message.isCompacted = compacted > 0
      message.end = result["cancel_reason"]?.string ?? "it was ended"
    }
    for event in result["events"]?.array ?? [] {
      guard let pair = event["kv"] else { continue }
      var change = key(pair)
      if event["type"]?.string == "DELETE" { change["deleted"] = true }
      message.changes.append(.object(change))
    }
    return message
  }
}
