import EtcdAPI

@testable import Raft

/// Commands `simple`, `enter-joint` and `leave-joint` over changes in the form `v1 l2 r3 u4`.
struct ConfChangeScript: ScriptRunner {
  private var tracker = ProgressTracker(maxInflight: 10, maxInflightBytes: 0)
  private var lastIndex: UInt64 = 0

  mutating func run(_ block: ScriptBlock) throws -> String {
    defer { lastIndex += 1 }
    let changes: [Raftpb.ConfChangeSingle]
    do {
      changes = try parseConfChanges(block.input)
    } catch let error as ScriptError {
      return error.description
    }
    var changer = ConfChanger(tracker, lastIndex: lastIndex)
    let result: ConfChanger.Result
    do {
      switch block.command {
      case "simple": result = try changer.simple(changes)
      case "enter-joint":
        let autoLeave = try block.values("autoleave").first.map(block.bool) ?? false
        result = try changer.enterJoint(autoLeave: autoLeave, changes)
      case "leave-joint":
        if !changes.isEmpty { return "this command takes no input\n" }
        result = try changer.leaveJoint()
      default: return "unknown command"
      }
    } catch let error as ConfChangeError {
      return error.description + "\n"
    }
    tracker.config = result.config
    tracker.progress = result.progress
    return "\(result.config)\n\(result.progress)"
  }
}

/// Reads changes in the form `v1 l2 r3 u4`: voter, learner, removal, update.
func parseConfChanges(_ text: String) throws -> [Raftpb.ConfChangeSingle] {
  let trimmed = text.trimmed
  if trimmed.isEmpty { return [] }
  return try trimmed.split(separator: " ", omittingEmptySubsequences: false).map { token in
    if token.utf8.count < 2 { throw ScriptError("unknown token \(token)") }
    let kinds: [Character: Raftpb.ConfChangeType] = [
      "v": .addNode, "l": .addLearnerNode, "r": .removeNode, "u": .updateNode,
    ]
    guard let kind = token.first.flatMap({ kinds[$0] }) else {
      throw ScriptError("unknown input: \(token)")
    }
    return Raftpb.ConfChangeSingle(type: kind, nodeID: try GoParsing.uint(token.dropFirst()))
  }
}
