import EtcdAPI
import Member
import Membership
import Protobuf
import Raft
import Simulation
import Testing

/// What a member keeps of itself in buckets is what it tells.
@Suite struct BucketTests {
  @Test func bucketsAreComparedWithWhatIsTold() throws {
    let member = try SimulatedMember.leadingAlone()
    #expect(member.core.state.checkBuckets(alarms: []) == nil)
    let alarm = Etcdserverpb.AlarmMember(memberID: 1, alarm: .nospace)
    let missing = try #require(member.core.state.checkBuckets(alarms: [alarm]))
    #expect(missing.contains("bucket of alarms"))
    let id = member.makeRequestID()
    let request = Etcdserverpb.InternalRaftRequest(
      alarm: Etcdserverpb.AlarmRequest(action: .activate, memberID: 1, alarm: .nospace),
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    _ = try member.settle()
    #expect(member.core.status.alarms == [alarm])
    #expect(member.core.state.checkBuckets(alarms: [alarm]) == nil)
    #expect(member.core.state.checkBuckets(alarms: []) != nil)
  }
}
