import Bytes
import EtcdAPI
import Member
import Membership
import Protobuf
import Raft
import Simulation
import Testing

/// When a member writes its backend.
@Suite struct CommitTests {
  private static let info = MemberInfo(id: 1, peerURLs: ["http://10.0.0.1:2380"], name: "m1")

  /// A member that leads and has nothing to write.
  private func start(commitRows: Int = 10_000) throws -> SimulatedMember {
    var options = SimulatedMember.Options()
    options.commitRows = commitRows
    let member = try SimulatedMember(
      SimulatedFileSystem(), founders: [Self.info], own: Self.info, options: options,
      firstRequest: 1, seed: 1)
    for _ in 0..<30 {
      member.tick()
      _ = try member.settle()
    }
    #expect(member.isLeader)
    return member
  }

  private func put(_ member: SimulatedMember, _ key: String) throws {
    let id = member.makeRequestID()
    let request = Etcdserverpb.InternalRaftRequest(
      put: Etcdserverpb.PutRequest(key: Bytes(key), value: "v"),
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    _ = try member.settle()
  }

  /// The interval is the shell's: no number of heartbeats stands for it.
  @Test func onlyTheEndOfTheIntervalCommits() throws {
    let member = try start()
    try put(member, "a")
    for _ in 0..<100 {
      member.post(.tick)
      _ = try member.settle()
    }
    let pending = member.core.status.pendingBytes
    #expect(pending > 0, "a heartbeat committed")
    member.post(.commit)
    _ = try member.settle()
    #expect(member.core.status.pendingBytes == 0)
  }

  /// One event is asked for, however many writes come; without writes there is none.
  @Test func theEndOfAnIntervalIsAskedForOnce() throws {
    let member = try start()
    #expect(!member.takeCommitRequest(), "nothing waits")
    try put(member, "a")
    #expect(member.takeCommitRequest())
    for number in 0..<10 { try put(member, "k\(number)") }
    #expect(!member.takeCommitRequest(), "one is on its way")
    member.post(.commit)
    _ = try member.settle()
    #expect(!member.takeCommitRequest(), "everything is in the backend")
    // What comes while a batch is being written waits for an interval of its own.
    let id = member.makeRequestID()
    let request = Etcdserverpb.InternalRaftRequest(
      put: Etcdserverpb.PutRequest(key: "b", value: "v"),
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    try put(member, "c")
    #expect(member.takeCommitRequest())
    member.post(.commit)
    while member.hasEvents { _ = try member.turn() }
    #expect(member.hasStorageWork)
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    while member.hasEvents || member.hasLogWork {
      if member.hasEvents { _ = try member.turn() } else { try member.runLog() }
    }
    #expect(member.takeCommitRequest())
    _ = try member.settle()
    #expect(member.core.status.pendingBytes > 0)
    // An end that comes early, or twice, costs a commit at most.
    member.post(.commit)
    member.post(.commit)
    _ = try member.settle()
    #expect(member.core.status.pendingBytes == 0)
    #expect(!member.takeCommitRequest())
  }

  @Test func enoughRowsCommitAtOnce() throws {
    let member = try start(commitRows: 3)
    for key in ["a", "b"] { try put(member, key) }
    #expect(member.core.status.pendingBytes > 0)
    try put(member, "c")
    #expect(member.core.status.pendingBytes == 0)
  }
}
