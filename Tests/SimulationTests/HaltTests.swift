import Bytes
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Raft
import Simulation
import Testing

/// What a single member does with messages that no correct member sends, and with members that join.
@Suite struct HaltTests {
  private func start(_ disk: SimulatedFileSystem) throws -> SimulatedMember {
    var options = SimulatedMember.Options()
    options.snapshotCount = 5
    options.catchUpEntries = 0
    return try .leadingAlone(on: disk, options)
  }

  private func put(_ member: SimulatedMember, _ key: String) -> RequestID {
    let id = member.makeRequestID()
    let request = Etcdserverpb.InternalRaftRequest(
      put: Etcdserverpb.PutRequest(key: Bytes(key), value: "v"),
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    return id
  }

  /// A leader of a later term that knows more of the log than is here: the log lost entries. The reason
  /// names message and sender, nothing of the turn leaves, and the directory starts again.
  @Test func aContradictionEndsTheMemberWithItsReason() throws {
    let disk = SimulatedFileSystem()
    let member = try start(disk)
    let term = member.core.status.term.rawValue
    _ = put(member, "a")
    member.post(
      .receive([Raftpb.Message(type: .heartbeat, to: 1, from: 2, term: term + 1, commit: 9999)]))
    _ = put(member, "b")
    do {
      _ = try member.turn()
      Issue.record("the member went on")
    } catch {
      #expect(
        "\(error)".hasPrefix("MsgHeartbeat from 2: tocommit(9999) is out of range"), "\(error)")
    }
    #expect(!member.hasLogWork, "nothing of the turn is written")
    try member.close()
    _ = try start(disk)
  }

  /// A failed fsync of the log ends the member with nothing acknowledged, and whoever went on all the
  /// same would get no further: the kernel may have thrown away what an earlier write left.
  @Test func aFailedFsyncEndsTheMember() throws {
    let disk = SimulatedFileSystem()
    let member = try start(disk)
    let acknowledged = put(member, "a")
    #expect(try member.settle().replies.map(\.id) == [acknowledged])
    let lost = put(member, "b")
    _ = try member.turn()
    disk.failsNextSync = true
    #expect(throws: (any Error).self) { while member.hasLogWork { try member.runLog() } }
    _ = put(member, "c")
    #expect(throws: (any Error).self) {
      while true {
        while member.hasEvents { _ = try member.turn() }
        guard member.hasLogWork else { return }
        try member.runLog()
      }
    }
    let answered = member.runLoop().flatMap { news -> [RequestID] in
      if case .answers(let replies, _) = news { replies.map(\.id) } else { [] }
    }
    #expect(!answered.contains(lost), "it was answered without being durable")
    disk.powerOff()
    var random = SplitMix64(seed: 1)
    let restarted = try start(disk.crashed(.lost, &random))
    #expect(restarted.core.status.keys == 1, "what was acknowledged is there, and nothing else")
  }

  /// A member that joins gets a state in which it is a member, and one only.
  @Test func aSnapshotIsNotOlderThanTheChangeThatBroughtTheReceiver() throws {
    let member = try start(SimulatedFileSystem())
    for number in 0..<40 {
      _ = put(member, "k\(number)")
      member.tick()
      _ = try member.settle()
    }
    let change = member.makeRequestID()
    let joiner = MemberInfo(id: 2, peerURLs: ["http://10.0.0.2:2380"], isLearner: true)
    member.post(
      .changeMembers(
        id: change,
        Raftpb.ConfChange(
          type: .addLearnerNode, nodeID: 2, context: joiner.json(isPromote: false))))
    // The backend's thread stands still: what is durable does not know the joiner.
    var sent: [SnapshotSend] = []
    var probe: UInt64 = 0
    func work(storage: Bool) throws {
      while member.hasEvents || member.hasLogWork || (storage && member.hasStorageWork) {
        if member.hasEvents {
          let out = try member.turn()
          sent += out.sendSnapshots
          probe = out.messages.last { $0.type == .app && $0.to == 2 }?.index ?? probe
        } else if member.hasLogWork {
          try member.runLog()
        } else {
          try member.runStorage()
        }
      }
    }
    try work(storage: false)
    let status = member.core.status
    for _ in 0..<5 {
      // The joiner has an empty log and asks for its beginning, which the leader has let go of.
      member.post(
        .receive([
          Raftpb.Message(
            type: .appResp, to: 1, from: 2, term: status.term.rawValue, index: probe, reject: true,
            rejectHint: 0)
        ]))
      member.tick()
      try work(storage: false)
    }
    #expect(sent.isEmpty, "sent \(sent.count) snapshots that do not hold the receiver")
    try work(storage: true)
    #expect(sent.count == 1)
    let metadata = try #require(sent.first?.message.snapshot?.metadata)
    #expect(metadata.confState.learners == [2], "\(metadata)")
  }

  /// A member that got rows newer than their position, as Go etcd sends them while it replays its log, sends
  /// them on only when it has applied what is in them: whoever is killed behind the installation of such a
  /// pair does not start again.
  @Test func aMemberThatReplaysSendsNoSnapshot() throws {
    let group = SnapshotCrashTests.Group()
    for id in [1, 2, 3] as [MemberID] { try group.open(id, SimulatedFileSystem()) }
    try group.lead()
    try group.put(0..<10)
    let third = group.members[3]!
    group.members[3] = nil
    let match = third.core.status.commitIndex.rawValue
    let term = third.core.status.term.rawValue
    try group.put(10..<40)
    /// The leader's state as it is sent to the third member.
    func state() throws -> SnapshotSend {
      group.snapshots = []
      try group.tick()
      group.members[1]!.post(
        .receive([
          Raftpb.Message(
            type: .appResp, to: 1, from: 3, term: term,
            index: group.members[1]!.core.status.commitIndex.rawValue, reject: true,
            rejectHint: match),
          Raftpb.Message(type: .heartbeatResp, to: 1, from: 3, term: term),
        ]))
      try group.settle()
      return try #require(group.snapshots.last)
    }
    let older = try state()
    try group.put(40..<42)
    let newer = try state()
    let position = try #require(older.message.snapshot?.metadata)
    let last = try #require(newer.message.snapshot?.metadata.index)
    try #require(position.index + 2 == last)
    try group.deliver(try #require(newer.state as? BoltRows), position.index, to: third)
    var out = MemberOutput()
    var snapshots: [SnapshotSend] = []
    func work() throws {
      out = MemberOutput()
      while third.hasEvents || third.hasLogWork || third.hasStorageWork {
        if third.hasEvents {
          let turn = try third.turn()
          out.messages += turn.messages
          snapshots += turn.sendSnapshots
        } else if third.hasLogWork {
          try third.runLog()
        } else {
          try third.runStorage()
        }
      }
    }
    third.post(.receive([older.message]))
    try work()
    third.post(
      .receive([
        Raftpb.Message(
          type: .app, to: 3, from: 1, term: term, logTerm: position.term, index: position.index,
          entries: (position.index + 1...last).compactMap { group.entries[$0] },
          commit: position.index)
      ]))
    try work()
    #expect(third.core.appliedIndex.rawValue == position.index, "nobody said what is committed")
    // The second member votes for it, and then wants what the log does not hold any more.
    for _ in 0..<100 where !third.core.isLeader {
      third.post(.tick)
      try work()
      while let vote = out.messages.first(where: {
        $0.to == 2 && [.preVote, .vote].contains($0.type)
      }) {
        third.post(
          .receive([
            Raftpb.Message(
              type: vote.type == .vote ? .voteResp : .preVoteResp, to: 3, from: 2, term: vote.term)
          ]))
        try work()
      }
    }
    try #require(third.isLeader)
    let newTerm = third.core.status.term.rawValue
    third.post(
      .receive([
        Raftpb.Message(
          type: .appResp, to: 3, from: 2, term: newTerm, index: last, reject: true, rejectHint: 0)
      ]))
    try work()
    #expect(snapshots.isEmpty, "\(snapshots.map { $0.message.snapshot?.metadata })")
    // The first member has everything.
    third.post(
      .receive([Raftpb.Message(type: .appResp, to: 3, from: 1, term: newTerm, index: last + 1)]))
    third.post(.tick)
    try work()
    let sent = try #require(snapshots.first)
    #expect(snapshots.count == 1)
    let rows = try MVCCStore(committed: sent.state).consistentIndex().rawValue
    #expect(sent.message.snapshot?.metadata.index == rows)
    #expect(rows == last + 1)
  }
}
