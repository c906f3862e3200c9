import Checkers
import JSON

/// Operations as JSON: `op` with what was asked, `outcome` with what was told.
extension HistoryOperation {
  var json: JSONObject {
    var object: JSONObject = [
      "op": .string(name), "client": .integer(client), "member": .string(member),
      "called": .integer(called), "ended": .integer(ended),
    ]
    switch action {
    case .put(let key, let value):
      object["key"] = .string(key)
      object["value"] = .integer(value)
    case .delete(let key): object["key"] = .string(key)
    case .compare(let key, let expected, let value):
      object["key"] = .string(key)
      object["expected"] = .integer(expected)
      object["value"] = .integer(value)
    case .read(let keys): object["keys"] = .array(keys.map(JSONValue.string))
    case .add(let element): object["value"] = .integer(element)
    case .members: break
    case .grant(let lease, let seconds), .renew(let lease, let seconds):
      object["lease"] = .integer(lease)
      object["seconds"] = .integer(seconds)
    case .look(let lease): object["lease"] = .integer(lease)
    case .lock(let name): object["key"] = .string(name)
    case .unlock(let name, let token), .guarded(let name, let token):
      object["key"] = .string(name)
      object["token"] = .integer(token)
    }
    if !lists.isEmpty {
      object["lists"] = .object(
        JSONObject(
          lists.sorted { $0.key < $1.key }.map {
            .init($0.key, .array($0.value.map { .integer($0) }))
          }))
    }
    if let heldUntil { object["heldUntil"] = .integer(heldUntil) }
    outcome.write(to: &object)
    return object
  }

  private var name: String {
    switch action {
    case .put: "put"
    case .delete: "delete"
    case .compare: "compare"
    case .read: "read"
    case .add: "add"
    case .members: "members"
    case .grant: "grant"
    case .renew: "renew"
    case .look: "look"
    case .lock: "lock"
    case .unlock: "unlock"
    case .guarded: "guarded"
    }
  }

  /// `nil` when `json` is no operation.
  init?(_ json: JSONValue) {
    guard let client = json["client"]?.integer(as: Int.self), let member = json["member"]?.string,
      let called = json["called"]?.integer(as: Int.self),
      let ended = json["ended"]?.integer(as: Int.self), ended >= called,
      let action = Self.action(json), let outcome = Outcome(json)
    else { return nil }
    self.init(
      client: client, member: member, action: action, called: called, ended: ended,
      outcome: outcome)
    for entry in json["lists"]?.object?.members ?? [] {
      lists[entry.name] = (entry.value.array ?? []).compactMap { $0.integer(as: Int.self) }
    }
    heldUntil = json["heldUntil"]?.integer(as: Int.self)
  }

  private static func action(_ json: JSONValue) -> Action? {
    let key = json["key"]?.string
    let value = json["value"]?.integer(as: Int.self)
    let lease = json["lease"]?.integer(as: Int64.self)
    let seconds = json["seconds"]?.integer(as: Int.self)
    let token = json["token"]?.integer(as: Int64.self)
    switch (json["op"]?.string, key, value) {
    case ("put", let key?, let value?): return .put(key: key, value: value)
    case ("delete", let key?, _): return .delete(key: key)
    case ("compare", let key?, let value?):
      return json["expected"]?.integer(as: Int.self).map {
        .compare(key: key, expected: $0, value: value)
      }
    case ("read", _, _): return .read((json["keys"]?.array ?? []).compactMap(\.string))
    case ("add", _, let value?): return .add(value)
    case ("members", _, _): return .members
    case ("lock", let key?, _): return .lock(name: key)
    case ("unlock", let key?, _): return token.map { .unlock(name: key, token: $0) }
    case ("guarded", let key?, _): return token.map { .guarded(name: key, token: $0) }
    case ("look", _, _): return lease.map { .look(lease: $0) }
    case ("grant", _, _):
      guard let lease, let seconds else { return nil }
      return .grant(lease: lease, seconds: seconds)
    case ("renew", _, _):
      guard let lease, let seconds else { return nil }
      return .renew(lease: lease, seconds: seconds)
    default: return nil
    }
  }
}

extension HistoryOperation.Outcome {
  fileprivate func write(to object: inout JSONObject) {
    func say(_ outcome: String, _ revision: Int64?) {
      object["outcome"] = .string(outcome)
      object["revision"] = revision.map { .integer($0) }
    }
    switch self {
    case .wrote(let revision): say("wrote", revision)
    case .unchanged(let revision): say("unchanged", revision)
    case .found(let revision, let values):
      say("found", revision)
      let found = values.sorted { $0.key < $1.key }.map { (key, seen) -> JSONObject.Member in
        .init(key, [.integer(seen.value), .integer(seen.modified)])
      }
      object["found"] = .object(JSONObject(found))
    case .elements(let revision, let elements):
      say("elements", revision)
      object["elements"] = .array(elements.map { .integer($0) })
    case .isThere(let isThere): say(isThere ? "there" : "gone", nil)
    case .locked(let token): say("locked", token)
    case .failed(let reason), .unknown(let reason):
      if case .failed = self { say("failed", nil) } else { say("unknown", nil) }
      object["error"] = .string(reason)
    }
  }

  fileprivate init?(_ json: JSONValue) {
    let revision = json["revision"]?.integer(as: Int64.self)
    let reason = json["error"]?.string ?? ""
    switch (json["outcome"]?.string, revision) {
    case ("wrote", let revision?): self = .wrote(revision: revision)
    case ("unchanged", let revision?): self = .unchanged(revision: revision)
    case ("locked", let token?): self = .locked(token: token)
    case ("there", _): self = .isThere(true)
    case ("gone", _): self = .isThere(false)
    case ("failed", _): self = .failed(reason)
    case ("unknown", _): self = .unknown(reason)
    case ("elements", let revision?):
      self = .elements(
        revision: revision, (json["elements"]?.array ?? []).compactMap { $0.integer(as: Int.self) })
    case ("found", let revision?):
      var values: [String: SeenValue] = [:]
      for entry in json["found"]?.object?.members ?? [] {
        guard let parts = entry.value.array, parts.count == 2,
          let value = parts[0].integer(as: Int.self),
          let modified = parts[1].integer(as: Int64.self)
        else { return nil }
        values[entry.name] = SeenValue(value: value, modified: modified)
      }
      self = .found(revision: revision, values)
    default: return nil
    }
  }
}
