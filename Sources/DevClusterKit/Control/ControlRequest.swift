import Bytes
import JSON

/// What other processes ask of a supervisor: one JSON line each way over its unix socket.
///
/// | request | answer |
/// |---|---|
/// | `{"command":"status"}` | the status, as `status --json` prints it |
/// | `{"command":"page"}` | `{"url":"http://…"}`, once the status page is served |
/// | `{"command":"down"}` | `{}` once every member has ended |
/// | `{"command":"stop","who":["leader"],"wait":15}` and the other actions | `{"members":["m1"]}`, maybe with `note` |
/// | `{"command":"add","learner":true}`, `remove`, `promote`, `upgrade` | the same |
/// | `{"command":"cut","from":["m1"],"to":["clients"],…}`, `slow`, `limit`, `loss`, `reset-link`, `heal` | `{"links":["m1->m2"]}` |
/// | `{"command":"disk","from":["m1"],"delay":20000000,"failure":"full"}` | `{"members":["m1"]}` |
/// | `{"command":"clock","from":["m1"],"offset":-5000000000}` | the same |
/// | `{"command":"save","name":"x"}`, `load`, `reset` | `{}` |
///
/// An answer with `error` says why nothing was done, `code` is then the exit status.
enum ControlRequest: Equatable {
  case status
  /// The status page, which is opened if it is not.
  case page
  case down
  case member(MemberAction, [String], wait: Int)
  case add(learner: Bool, wait: Int)
  case remove([String])
  case promote([String])
  /// Program: an absolute path.
  case upgrade([String], binary: String, wait: Int)
  case snapshot(SnapshotAction, String)
  case fault(FaultOrder)
  /// All faults, or those of somebody.
  case heal([String])

  /// What is done with all data at once.
  enum SnapshotAction: String, Sendable, CaseIterable { case save, load, reset }

  /// Seconds for which actions wait until a member is healthy, unless told otherwise.
  static let waitByDefault = 15

  var object: JSONObject {
    func strings(_ words: [String]) -> JSONValue { .array(words.map(JSONValue.string)) }
    return switch self {
    case .status: ["command": "status"]
    case .page: ["command": "page"]
    case .down: ["command": "down"]
    case .member(let action, let who, let wait):
      ["command": .string(action.rawValue), "who": strings(who), "wait": .integer(wait)]
    case .add(let learner, let wait):
      ["command": "add", "learner": .bool(learner), "wait": .integer(wait)]
    case .remove(let who): ["command": "remove", "who": strings(who)]
    case .promote(let who): ["command": "promote", "who": strings(who)]
    case .upgrade(let who, let binary, let wait):
      [
        "command": "upgrade", "who": strings(who), "binary": .string(binary),
        "wait": .integer(wait),
      ]
    case .snapshot(let action, let name):
      ["command": .string(action.rawValue), "name": .string(name)]
    case .fault(let order): order.json
    case .heal(let who): ["command": "heal", "who": strings(who)]
    }
  }

  var line: String { JSONValue.object(object).encoded().string + "\n" }

  /// `nil` when `line` is no request.
  init?(_ line: Bytes) {
    guard let json = try? JSONValue.parse(line), let command = json["command"]?.string else {
      return nil
    }
    let who = (json["who"]?.array ?? []).compactMap(\.string)
    let wait = json["wait"]?.integer(as: Int.self) ?? Self.waitByDefault
    switch command {
    case "status": self = .status
    case "page": self = .page
    case "down": self = .down
    case "add": self = .add(learner: json["learner"]?.bool ?? false, wait: wait)
    case "heal": self = .heal(who)
    case "remove" where !who.isEmpty: self = .remove(who)
    case "promote" where !who.isEmpty: self = .promote(who)
    case "upgrade":
      guard let binary = json["binary"]?.string, !who.isEmpty else { return nil }
      self = .upgrade(who, binary: binary, wait: wait)
    default:
      if let order = FaultOrder(json) {
        self = .fault(order)
      } else if let action = SnapshotAction(rawValue: command) {
        self = .snapshot(action, json["name"]?.string ?? "")
      } else if let action = MemberAction(rawValue: command), !who.isEmpty {
        self = .member(action, who, wait: wait)
      } else {
        return nil
      }
    }
  }
}
