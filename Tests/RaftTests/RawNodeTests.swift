import Bytes
import EtcdAPI
import Protobuf
import Testing

@testable import Raft

@Suite struct RawNodeTests {
  @Test func batchIsOneBroadcast() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    group.delivered = []
    try group[1].propose(["a", "b", "c"])
    try group.settle()
    let appends = group.delivered.filter { $0.type == .app && !$0.entries.isEmpty }
    #expect(appends.map(\.to) == [2, 3] && appends.allSatisfy { $0.entries.count == 3 })
    for id in [1, 2, 3] as [UInt64] { #expect(group.payloads(id) == ["a", "b", "c"]) }
    #expect(throws: RaftError.emptyProposal) { try group[1].propose([]) }
    #expect(!group[1].hasReady)
  }

  @Test func followersForwardOrDropProposals() throws {
    var group = try TestGroup([1, 2, 3])
    #expect(throws: RaftError.proposalDropped) { try group[2].propose(["x"]) }
    try group.elect(1)
    try group[2].propose(["a", "b"])
    try group.settle()
    #expect(group.payloads(3) == ["a", "b"])
    var strict = try TestGroup([1, 2, 3]) { $0.disableProposalForwarding = true }
    try strict.elect(1)
    #expect(throws: RaftError.proposalDropped) { try strict[2].propose(["a"]) }
  }

  @Test func uncommittedTailIsBounded() throws {
    var group = try TestGroup([1, 2, 3]) { $0.maxUncommittedEntriesSize = 10 }
    try group.elect(1)
    group.isolated = [2, 3]
    try group[1].propose([Bytes([UInt8](repeating: 0, count: 30))])
    try group.settle()
    #expect(throws: RaftError.proposalDropped) { try group[1].propose(["x"]) }
    try group[1].propose([Bytes()])
    group.isolated = []
    try group.tick(1, 2)
    try group.tick(1, 2)
    try group[1].propose(["x"])
    try group.settle()
    #expect(group.payloads(2).last == "x")
  }

  @Test func inflightWindowLimitsAppends() throws {
    var group = try TestGroup([1, 2]) {
      $0.maxInflightMessages = 3
      $0.maxSizePerMessage = 1
    }
    try group.elect(1)
    for at in 0..<10 { try group[1].propose([Bytes("p\(at)")]) }
    var sent: [Raftpb.Message] = []
    while let ready = try group.work(1) { sent += ready.messages }
    #expect(sent.filter { !$0.entries.isEmpty }.count == 3)
    #expect(group[1].status.progress[2]?.isPaused == true)
    #expect(group[1].status.progress[2]?.inflights.count == 3)
    try group[1].step(
      Raftpb.Message(type: .appResp, to: 1, from: 2, term: group.term(1), index: 3))
    // One was acknowledged, and one takes its place.
    sent = group[1].core.messages
    #expect(sent.filter { !$0.entries.isEmpty }.map(\.index) == [5])
    try group.settle()
    #expect(group.payloads(2) == (0..<10).map { "p\($0)" })

    var narrow = try TestGroup([1, 2]) {
      $0.maxInflightBytes = 10
      $0.maxSizePerMessage = 1
    }
    try narrow.elect(1)
    for at in 0..<10 { try narrow[1].propose([Bytes("pay\(at)")]) }
    sent = []
    while let ready = try narrow.work(1) { sent += ready.messages }
    #expect(sent.filter { !$0.entries.isEmpty }.count == 3, "4 bytes each, 10 at most to start")
  }

  @Test func readsAreConfirmedByAQuorum() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    try group[1].propose(["a"])
    try group.settle()
    group[1].readIndex(context: "r1")
    group[2].readIndex(context: "r2")
    try group.settle()
    #expect(group.readStates[1] == [ReadState(index: 3, context: "r1")])
    #expect(group.readStates[2] == [ReadState(index: 3, context: "r2")])
    group.isolated = [2, 3]
    group[1].readIndex(context: "r3")
    try group.settle()
    #expect(group.readStates[1]?.count == 1, "no quorum, no answer")
  }

  /// A late heartbeat answer must not confirm a later read.
  @Test func lateAnswersConfirmNothing() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    group[1].readIndex(context: "r1")
    try group.work(1)
    let early = group.network.filter { $0.type == .heartbeat }
    #expect(early.count == 2 && early[0].context.count == 8)
    group.network = []
    group[1].readIndex(context: "r2")
    try group.work(1)
    group.network = []
    let term = group.term(1)
    try group[1].step(
      Raftpb.Message(
        type: .heartbeatResp, to: 1, from: 2, term: term, context: early[0].context))
    try group.work(1)
    #expect(group.readStates[1] == [ReadState(index: 2, context: "r1")])
    for context in ["", "r2", "\u{ff}\u{ff}\u{ff}\u{ff}"] {
      try group[1].step(
        Raftpb.Message(
          type: .heartbeatResp, to: 1, from: 3, term: term, context: Bytes(context)))
    }
    try group.work(1)
    #expect(group.readStates[1]?.count == 1)
  }

  @Test func readsWaitForTheFirstCommit() throws {
    var node = try member(1, of: [1, 2, 3], terms: [1], state: .init(term: 1))
    node.campaign()
    _ = node.drain()
    try node.step(Raftpb.Message(type: .voteResp, to: 1, from: 2, term: 2))
    _ = node.drain()
    node.readIndex(context: "r")
    #expect(!node.drain().contains { $0.type == .heartbeat })
    try node.step(Raftpb.Message(type: .appResp, to: 1, from: 2, term: 2, index: 2))
    #expect(node.drain().contains { $0.type == .heartbeat && !$0.context.isEmpty })
  }

  @Test func leaseAnswersAtOnce() throws {
    var group = try TestGroup([1, 2, 3]) {
      $0.checkQuorum = true
      $0.readOnlyOption = .leaseBased
    }
    try group.elect(1)
    group.isolated = [2, 3]
    group[1].readIndex(context: "r")
    try group.settle()
    #expect(group.readStates[1] == [ReadState(index: 2, context: "r")])
    try group.tick(1, 21)
    #expect(group.role(1) == .follower, "the lease ends with the quorum")
  }

  @Test func leaderWithoutQuorumStepsDown() throws {
    var group = try TestGroup([1, 2, 3]) { $0.checkQuorum = true }
    try group.elect(1)
    try group.tick(1, 40)
    #expect(group.role(1) == .leader)
    group.isolated = [2, 3]
    try group.tick(1, 20)
    #expect(group.role(1) == .follower)
  }

  @Test func returningMemberDoesNotDisturb() throws {
    var group = try TestGroup([1, 2, 3]) {
      $0.checkQuorum = true
      $0.preVote = true
    }
    try group.elect(1)
    group.isolated = [3]
    try group.tick(3, 100)
    #expect(group.role(3) == .preCandidate && group.term(3) == group.term(1))
    group.isolated = []
    try group.tick(1, 3)
    #expect(group.role(1) == .leader && group.role(3) == .follower)
  }

  @Test func leadershipIsTransferred() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    group[2].transferLeader(to: 3)
    try group.settle()
    #expect(group.role(3) == .leader && group.role(1) == .follower)
    group.isolated = [2]
    group[3].transferLeader(to: 2)
    try group.settle()
    #expect(group[3].basicStatus.leadTransferee == 2)
    #expect(throws: RaftError.proposalDropped) { try group[3].propose(["x"]) }
    try group.tick(3, 10)
    #expect(group[3].basicStatus.leadTransferee == 0)
    try group[3].propose(["x"])
  }

  @Test func forgottenLeaderMayBeReplaced() throws {
    var group = try TestGroup([1, 2, 3]) {
      $0.checkQuorum = true
      $0.preVote = true
    }
    try group.elect(1)
    group.isolated = [1]
    try group.elect(2)
    #expect(group.role(2) == .preCandidate, "3 is in the lease of 1")
    group[3].forgetLeader()
    try group.elect(2)
    #expect(group.role(2) == .leader)
  }

  @Test func laggingFollowerGetsASnapshot() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    group.isolated = [3]
    for at in 0..<20 { try group[1].propose([Bytes("p\(at)")]) }
    try group.settle()
    let applied = group[1].basicStatus.applied
    _ = try group[1].storage.createSnapshot(
      at: applied, confState: Raftpb.ConfState(voters: [1, 2, 3]), data: "state")
    try group[1].storage.compact(to: applied)
    group.isolated = []
    try group.tick(1, 1)
    try group.tick(1, 1)
    #expect(group[3].storage.snapshot().data == "state")
    #expect(group[1].status.progress[3]?.state == .replicate)
    try group[1].propose(["after"])
    try group.settle()
    #expect(group.payloads(3) == ["after"])
  }

  @Test func removedLeaderStepsDownWhenAsked() throws {
    for stepsDown in [false, true] {
      var group = try TestGroup([1, 2, 3]) { $0.stepDownOnRemoval = stepsDown }
      try group.elect(1)
      try group[1].proposeConfChange(.v1(Raftpb.ConfChange(type: .removeNode, nodeID: 1)))
      try group.settle()
      #expect(group.role(1) == (stepsDown ? .follower : .leader))
      #expect(throws: RaftError.proposalDropped) { try group[1].propose(["x"]) }
    }
  }

  @Test func jointConfigurationIsLeftAutomatically() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    let change = Raftpb.ConfChangeV2(changes: [
      .init(type: .removeNode, nodeID: 2), .init(type: .addLearnerNode, nodeID: 3),
    ])
    try group[1].proposeConfChange(.v2(change))
    try group.settle()
    #expect(group[1].status.config.description == "voters=(1) learners=(3)")
    #expect(group[3].basicStatus.isLearner)
    // Refused before it enters the log: an empty entry takes its place.
    try group[1].proposeConfChange(.leaveJoint)
    try group.settle()
    #expect(group.applied[1]?.last?.type == .normal)
    #expect(throws: RaftError.self) {
      try group[1].applyConfChange(.init(changes: [.init(type: .removeNode, nodeID: 1)]))
    }
    #expect(group[1].status.config.description == "voters=(1) learners=(3)")
  }

  @Test func messagesNoMemberSendsAreRefused() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    let term = group.term(1)
    let entry = Raftpb.Entry(term: term, index: 9)
    let bad: [Raftpb.Message] = [
      .init(type: .hup, to: 1, from: 2), .init(type: .storageApplyResp, to: 1, from: 2),
      .init(type: .appResp, to: 1, from: 9, term: term), .init(type: .vote, to: 1, from: 2),
      .init(type: .prop, to: 1, from: 2), .init(type: .readIndex, to: 1, from: 2),
      .init(type: .app, to: 1, from: 2, term: term, index: 3, entries: [entry]),
      .init(type: .app, to: 1, from: 2, term: term, index: .max, entries: [entry]),
      .init(type: .vote, to: 1, from: 2, term: .max),
      .init(
        type: .prop, to: 1, from: 2, entries: [Raftpb.Entry(type: .confChange, data: [0xff])]),
      .init(type: .appResp, to: 1, from: 2, term: term, index: .max),
      .init(
        type: .appResp, to: 1, from: 2, term: term, logTerm: 1, index: 1, reject: true,
        rejectHint: .max),
      .init(type: .heartbeat, to: 1, from: 2, term: term + 1, commit: .max),
      .init(type: .snap, to: 1, from: 2, term: term),
      .init(type: .vote, to: 1, from: 2, term: .max - 1),
      .init(
        type: .snap, to: 1, from: 2, term: term + 1,
        snapshot: .init(metadata: .init(index: 1 << 63, term: term))),
      // More voters than a turn of any length brings into a configuration.
      .init(
        type: .snap, to: 1, from: 2, term: term + 1,
        snapshot: .init(
          metadata: .init(
            confState: .init(voters: Array(1...100_000)), index: 50, term: term))),
    ]
    for message in bad {
      #expect(throws: RaftError.self, "\(message)") { try group[1].step(message) }
    }
    // Odd, but without effect.
    let odd: [Raftpb.Message] = [
      .init(type: .appResp, to: 1, from: 2, term: term, index: 1 << 61),
      .init(type: .unrecognized(77), to: 1, from: 2, term: term),
      .init(type: .readIndexResp, to: 1, from: 2, term: term),
      .init(type: .transferLeader, to: 1, from: 9, term: term),
    ]
    for message in odd { try group[1].step(message) }
    try group[2].step(.init(type: .transferLeader, to: 2, from: 3, term: term))
    try group[2].step(.init(type: .readIndexResp, to: 2, from: 1, term: term))
    let state = Raftpb.ConfState(voters: [2], learners: [2])
    let metadata = Raftpb.SnapshotMetadata(confState: state, index: 50, term: term)
    try group[2].step(
      .init(type: .snap, to: 2, from: 1, term: term, snapshot: .init(metadata: metadata)))
    try group.settle()
    #expect(group.role(3) == .leader, "2 passed the transfer on")
    #expect(group[2].basicStatus.lastIndex < 50)
  }

  /// What contradicts committed state is told apart from what is malformed, and changes nothing.
  @Test func contradictionsAreNamed() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    try group[1].propose(["a", "b"])
    try group.settle()
    let term = group.term(2)
    let before = group[2].basicStatus
    func reason(_ message: Raftpb.Message) -> String? {
      do throws(RaftError) {
        try group[2].step(message)
        return nil
      } catch {
        guard case .contradiction(let reason) = error else { return "\(error)" }
        return "contradiction: \(reason)"
      }
    }
    let ahead = reason(.init(type: .heartbeat, to: 2, from: 1, term: term, commit: 4000))
    #expect(
      ahead?.hasPrefix("contradiction: tocommit(4000) is out of range [lastIndex(") == true,
      "\(ahead ?? "nil")")
    // A leader that replaces what is committed: entry 2 was committed in this term.
    let other = Raftpb.Entry(term: term + 1, index: 2, data: "x")
    let replaced = reason(
      .init(
        type: .app, to: 2, from: 3, term: term + 1, logTerm: 1, index: 1, entries: [other],
        commit: 1))
    #expect(replaced == nil, "below the commit index raft answers with it")
    #expect(group[2].basicStatus.lastIndex == before.lastIndex)
  }

  @Test func bootstrapStartsAGroup() throws {
    var node = try RawNode(RaftConfig(id: 1), storage: MemoryStorage())
    #expect(throws: RaftError.self) { try node.bootstrap([]) }
    try node.bootstrap([(1, "one"), (2, "two")])
    #expect(node.status.config.description == "voters=(1 2)")
    let ready = node.ready()
    #expect(ready.hardState == Raftpb.HardState(term: 1, commit: 2))
    #expect(ready.entries == ready.committedEntries && ready.entries.count == 2)
    #expect(try Raftpb.ConfChange.decode(ready.entries[1].data).context == "two")
  }

  @Test func settingsAreChecked() throws {
    func reason(_ change: (inout RaftConfig) -> Void) -> String? {
      var config = RaftConfig(id: 1)
      change(&config)
      do {
        _ = try RawNode(config, storage: MemoryStorage())
        return nil
      } catch {
        return error.description
      }
    }
    #expect(reason { _ in } == nil)
    #expect(reason { $0.id = 0 } == "cannot use none as id")
    #expect(reason { $0.id = .max } == "cannot use local target as id")
    #expect(reason { $0.heartbeatTicks = 0 } == "heartbeat tick must be greater than 0")
    #expect(
      reason { $0.electionTicks = 1 } == "election tick must be greater than heartbeat tick")
    #expect(
      reason { $0.maxInflightMessages = 0 } == "max inflight messages must be greater than 0")
    #expect(
      reason { $0.maxInflightBytes = 5 } == "max inflight bytes must be >= max message size")
    #expect(
      reason { $0.readOnlyOption = .leaseBased }
        == "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased")
    #expect(reason { $0.applied = 5 }?.hasPrefix("applied(5) is out of range") == true)
    var storage = MemoryStorage()
    storage.hardState = Raftpb.HardState(term: 1, commit: 7)
    #expect(throws: RaftError.self) { try RawNode(RaftConfig(id: 1), storage: storage) }
  }

  @Test func brokenInvariantStopsTheMember() async {
    await #expect(processExitsWith: .failure) {
      var node = try member(1, of: [1, 2], terms: [1])
      // A member that lost its log.
      try node.step(Raftpb.Message(type: .heartbeat, to: 1, from: 2, term: 2, commit: 9))
    }
  }
}
