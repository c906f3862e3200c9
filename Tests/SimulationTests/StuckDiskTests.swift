import Bytes
import EtcdAPI
import Member
import Membership
import Protobuf
import Raft
import Simulation
import Testing

/// A member whose log's disk takes nothing any more, among members whose disks work.
@Suite struct StuckDiskTests {
  @Test func aStuckLeaderGivesLeadershipAwayAndDoesNotComeBack() throws {
    let trio = try Trio()
    for _ in 0..<60 where trio.leader == nil { try trio.tick() }
    let first = try #require(trio.leader)
    for _ in 0..<5 { try trio.tick() }
    let other = first % 3 + 1
    trio.stuck = [first]
    // Something to write; the others have it soon, the stuck disk never.
    _ = try trio.put(at: other)
    var left: Int?
    for tick in 0..<30 where left == nil {
      try trio.tick()
      if trio.leader != first, trio.leader != nil { left = tick }
    }
    // An election timeout is ten ticks.
    #expect(try #require(left, "it still leads") <= 15)
    #expect(trio.members[first]?.core.status.isDiskStuck == true)
    let request = try trio.put(at: other)
    for _ in 0..<3 { try trio.tick() }
    #expect(trio.done.contains(request), "writes go on")
    // Without a leader for long: of the two that are left only one can write, and a stuck one is none.
    let second = try #require(trio.leader)
    for _ in 0..<3 {
      let asked = trio.members[second]
      asked?.post(.transferLeader(MemberID(first)))
      for _ in 0..<25 { try trio.tick() }
      #expect(trio.leader != first, "a stuck member was asked to lead, and does")
    }
    trio.stuck = []
    for _ in 0..<5 { try trio.tick() }
    #expect(trio.members[first]?.core.status.isDiskStuck == false)
    let now = try #require(trio.leader)
    trio.members[now]?.post(.transferLeader(MemberID(first)))
    for _ in 0..<15 { try trio.tick() }
    #expect(trio.leader == first, "with a disk that moves it may lead again")
  }

  /// A lone member has nobody to hand over to; it says what is wrong and goes on afterwards.
  @Test func aLoneMemberWaits() throws {
    let member = try SimulatedMember.leadingAlone()
    let id = member.makeRequestID()
    let request = Etcdserverpb.InternalRaftRequest(
      put: Etcdserverpb.PutRequest(key: "k", value: "v"),
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    for _ in 0..<12 {
      member.tick()
      while member.hasEvents { _ = try member.turn() }
    }
    #expect(member.core.status.isDiskStuck && member.core.isLeader)
    let answered = try member.settle().replies.map(\.id)
    #expect(answered == [id])
    member.tick()
    _ = try member.settle()
    #expect(!member.core.status.isDiskStuck)
  }
}
