import Testing

@testable import Raft

@Suite struct QuorumTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func committedIndexAgreesWithCounting(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<2000 {
      let incoming = Self.set(&random)
      let outgoing = Self.set(&random)
      var known: [UInt64: UInt64] = [:]
      for id in incoming.union(outgoing) where random.below(4) > 0 {
        known[id] = UInt64(random.below(6))
      }
      let expected = min(
        naiveCommittedIndex(incoming, known), naiveCommittedIndex(outgoing, known))
      let joint = JointQuorum(incoming: incoming, outgoing: outgoing)
      #expect(joint.committedIndex { known[$0] } == expected, "seed \(seed): \(joint) \(known)")
    }
  }

  @Test(arguments: [4, 5] as [UInt64])
  func voteResultAgreesWithTryingAllOutcomes(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      let joint = JointQuorum(incoming: Self.set(&random), outgoing: Self.set(&random))
      var votes: [UInt64: Bool] = [:]
      for id in joint.ids where random.below(2) == 0 { votes[id] = random.below(2) == 0 }
      let open = joint.ids.filter { votes[$0] == nil }
      func wins(_ rest: Bool) -> Bool {
        let all = votes.merging(open.map { ($0, rest) }) { $1 }
        return [joint.incoming, joint.outgoing].allSatisfy { half in
          half.isEmpty || half.count { all[$0] == true } * 2 > half.count
        }
      }
      let expected: VoteResult = wins(false) ? .won : wins(true) ? .pending : .lost
      #expect(joint.voteResult { votes[$0] } == expected, "seed \(seed): \(joint) \(votes)")
    }
  }

  private static func set(_ random: inout SplitMix64) -> NodeSet {
    NodeSet((0..<random.below(6)).map { _ in UInt64(1 + random.below(7)) })
  }

  @Test func nodeSetIsSortedAndUnique() {
    var set = NodeSet([5, 1, 31, 1])
    #expect(set.sorted == [1, 5, 31])
    #expect(set.description == "(1 5 1f)")
    set.remove(5)
    set.remove(6)
    #expect(set.sorted == [1, 31])
    #expect(JointQuorum(incoming: set, outgoing: NodeSet([2])).description == "(1 1f)&&(2)")
  }
}
