import Bytes
import EtcdAPI
import Protobuf
import Testing

@testable import Raft

@Suite struct ConfChangeTests {
  private static let kinds: [Raftpb.ConfChangeType] = [
    .addNode, .addLearnerNode, .removeNode, .updateNode,
  ]

  private static func changes(_ random: inout SplitMix64) -> [Raftpb.ConfChangeSingle] {
    (0...random.below(6)).map { _ in
      Raftpb.ConfChangeSingle(
        type: kinds[random.below(4)], nodeID: UInt64(1 + random.below(7)))
    }
  }

  /// Entering and leaving a joint configuration ends where applying one by one does.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func jointEndsWhereSimpleDoes(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var compared = 0
    for _ in 0..<500 {
      var base = ConfChanger(
        ProgressTracker(maxInflight: 8, maxInflightBytes: 0), lastIndex: 10)
      _ = try base.simple([Raftpb.ConfChangeSingle(nodeID: 1)])
      let changes = Self.changes(&random)
      var simple = base
      var joint = base
      let isPossible = changes.allSatisfy { (try? simple.simple([$0])) != nil }
      guard isPossible, (try? joint.enterJoint(autoLeave: false, changes)) != nil else { continue }
      _ = try joint.leaveJoint()
      #expect(joint.config == simple.config, "seed \(seed): \(changes)")
      #expect(joint.progress.ids == simple.progress.ids, "seed \(seed): \(changes)")
      compared += 1
    }
    #expect(compared > 50)
  }

  @Test(arguments: [1, 2] as [UInt64])
  func anyConfStateIsRestored(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let empty = ProgressTracker(maxInflight: 8, maxInflightBytes: 0)
    var joints = 0
    for _ in 0..<500 {
      var changer = ConfChanger(empty, lastIndex: 10)
      for id in 1...UInt64(1 + random.below(4)) {
        _ = try changer.simple([Raftpb.ConfChangeSingle(nodeID: id)])
      }
      let before = changer
      if (try? changer.enterJoint(autoLeave: random.below(2) == 0, Self.changes(&random))) == nil {
        changer = before
      }
      if changer.config.voters.isJoint { joints += 1 }
      var restored = ConfChanger(empty, lastIndex: 10)
      _ = try restored.restore(changer.config.confState)
      #expect(restored.config == changer.config, "seed \(seed): \(changer.config)")
      #expect(restored.progress.ids == changer.progress.ids)
    }
    #expect(joints > 100)
    var broken = ConfChanger(empty, lastIndex: 10)
    #expect(throws: ConfChangeError.self) {
      _ = try broken.restore(Raftpb.ConfState(voters: [1], learners: [1]))
    }
  }

  @Test func encodingIsThatOfGo() throws {
    // Bytes from gogoproto: scalars are written even when zero.
    let v1 = Raftpb.ConfChange(id: 1, type: .removeNode, nodeID: 300, context: "ab")
    #expect(Array(v1.encoded()) == [8, 1, 16, 1, 24, 0xac, 2, 34, 2, 97, 98])
    #expect(v1.encodedSize == 11)
    #expect(try Raftpb.ConfChange.decode(v1.encoded()) == v1)
    let v2 = Raftpb.ConfChangeV2(
      transition: .jointExplicit,
      changes: [Raftpb.ConfChangeSingle(type: .addLearnerNode, nodeID: 2)])
    #expect(Array(v2.encoded()) == [8, 2, 18, 4, 8, 3, 16, 2])
    #expect(try Raftpb.ConfChangeV2.decode(v2.encoded()) == v2)
    #expect(try Raftpb.ConfChangeV2.decode(Bytes()) == Raftpb.ConfChangeV2())
    let entry = Raftpb.Entry(term: 3, index: 200, data: "x")
    #expect(Array(entry.encoded()) == [8, 0, 16, 3, 24, 0xc8, 1, 34, 1, 120])
    #expect(entry.encodedSize == 10)
    #expect(try Raftpb.Entry.decode(entry.encoded()) == entry)
    #expect(throws: RaftError.malformedConfChange) {
      try Raftpb.Entry(type: .confChange, data: [8]).confChange()
    }
    #expect(try Raftpb.Entry(data: "x").confChange() == nil)
  }
}
