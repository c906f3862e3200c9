@testable import Raft

/// Commands `committed` and `vote` over `cfg`, `cfgj`, `idx` and `votes`.
///
/// Each result is computed in other ways too that must agree; a deviation shows in the output.
struct QuorumScript: ScriptRunner {
  func run(_ block: ScriptBlock) throws -> String {
    var voters = JointQuorum()
    var isJoint = false
    var order: [UInt64] = []
    var inputs: [UInt64] = []
    for argument in block.arguments {
      for value in argument.values {
        switch argument.key {
        case "cfg":
          voters.incoming.insert(try block.number(value))
          order.append(try block.number(value))
        case "cfgj":
          isJoint = true
          if value == "zero" && argument.values.count == 1 { continue }
          voters.outgoing.insert(try block.number(value))
          order.append(try block.number(value))
        case "idx":
          let index = value == "_" ? 0 : try block.number(value)
          if index == 0 && value != "_" { throw block.failure("cannot use 0 as idx") }
          inputs.append(index)
        case "votes":
          guard let vote = ["y": 2, "n": 1, "_": 0][value] else {
            throw block.failure("unknown vote: \(value)")
          }
          inputs.append(UInt64(vote))
        default: throw block.failure("unknown arg \(argument.key)")
        }
      }
    }
    // `_` stands for a member nothing is known of.
    var known: [UInt64: UInt64] = [:]
    var distinct: [UInt64] = []
    for id in order where !distinct.contains(id) { distinct.append(id) }
    if distinct.count != inputs.count {
      let list = inputs.map { String($0) }.joined(separator: " ")
      let map = voters.ids.map { "\($0):{}" }.joined(separator: " ")
      return "error: mismatched input (explicit or _) for voters map[\(map)]: [\(list)]"
    }
    for (id, input) in zip(distinct, inputs) where input != 0 { known[id] = input }
    switch block.command {
    case "committed": return committed(voters, isJoint: isJoint, known)
    case "vote": return vote(voters, isJoint: isJoint, known.mapValues { $0 != 1 })
    default: throw block.failure("unknown command: \(block.command)")
    }
  }

  private func committed(
    _ voters: JointQuorum, isJoint: Bool, _ known: [UInt64: UInt64]
  ) -> String {
    var text = describe(isJoint ? voters.ids : voters.incoming, known)
    let index =
      isJoint ? voters.committedIndex { known[$0] } : voters.incoming.committedIndex { known[$0] }
    func check(_ other: UInt64, _ how: String) {
      if other != index { text += "\(show(other)) <-- \(how)\n" }
    }
    if isJoint {
      let swapped = JointQuorum(incoming: voters.outgoing, outgoing: voters.incoming)
      check(swapped.committedIndex { known[$0] }, "via symmetry")
    } else {
      let only = voters.incoming
      check(naiveCommittedIndex(only, known), "via alternative computation")
      check(JointQuorum(incoming: only).committedIndex { known[$0] }, "via zero-joint quorum")
      let own = JointQuorum(incoming: only, outgoing: only)
      check(own.committedIndex { known[$0] }, "via self-joint quorum")
      for id in only {
        // Lowering what is below the result must not move it.
        guard let own = known[id], index > own else { continue }
        for lower in [own - 1, 0] {
          let overlaid = known.merging([id: lower]) { $1 }
          check(only.committedIndex { overlaid[$0] }, "overlaying \(id)->\(own)")
        }
      }
    }
    return text + show(index) + "\n"
  }

  private func vote(_ voters: JointQuorum, isJoint: Bool, _ votes: [UInt64: Bool]) -> String {
    guard isJoint else { return "\(voters.incoming.voteResult { votes[$0] })\n" }
    let result = voters.voteResult { votes[$0] }
    let swapped = JointQuorum(incoming: voters.outgoing, outgoing: voters.incoming)
      .voteResult { votes[$0] }
    return (swapped == result ? "" : "\(swapped) <-- via symmetry\n") + "\(result)\n"
  }

  private func show(_ index: UInt64) -> String { index == .max ? "∞" : String(index) }

  /// A bar for each member, longer the further its index is ahead of others.
  private func describe(_ ids: NodeSet, _ known: [UInt64: UInt64]) -> String {
    if ids.isEmpty { return "<empty majority quorum>" }
    let ranked = ids.map { known[$0] ?? 0 }.sorted()
    let width = ids.count
    var text = String(repeating: " ", count: width) + "    idx\n"
    for id in ids {
      let index = known[id] ?? 0
      let bar = ranked.firstIndex(of: index) ?? 0
      if known[id] == nil {
        text += "?" + String(repeating: " ", count: width)
      } else {
        text += String(repeating: "x", count: bar) + ">"
        text += String(repeating: " ", count: width - bar)
      }
      let number = String(index)
      text += " " + String(repeating: " ", count: max(0, 5 - number.count)) + number
      text += "    (id=\(hex(id)))\n"
    }
    return text
  }
}

/// The highest index that more than half of the members have, found by counting.
func naiveCommittedIndex(_ ids: NodeSet, _ known: [UInt64: UInt64]) -> UInt64 {
  if ids.isEmpty { return .max }
  let candidates = ids.map { known[$0] ?? 0 }
  return candidates.filter { index in
    candidates.count { $0 >= index } * 2 > ids.count
  }.max() ?? 0
}
