import EtcdAPI
import Member
import Protobuf
import Raft
import Simulation
import Testing

/// A renewal is answered by the state in which its round to the other members ended.
/// - Source: etcd issue 20615.
@Suite struct RenewalTests {
  @Test func aLeaseThatWentDuringTheRoundIsNotRenewed() throws {
    let trio = try Trio()
    for _ in 0..<60 where trio.leader == nil { try trio.tick() }
    let leader = try #require(trio.leader)
    let member = try #require(trio.members[leader])
    let grant = try trio.propose(at: leader) {
      $0.leaseGrant = Etcdserverpb.LeaseGrantRequest(ttl: 100, id: 7)
    }
    try trio.tick()
    guard case .leaseGranted = trio.answers[grant] else {
      Issue.record("not granted: \(String(describing: trio.answers[grant]))")
      return
    }
    // Nobody confirms that it leads, and entries go on.
    trio.isLost = { $0.type == .heartbeatResp }
    let renewal = member.makeRequestID()
    member.post(.askLeases([LeaseQuestion(id: renewal, .renew([7]))]))
    try trio.settle()
    #expect(trio.answers[renewal] == nil, "answered although nobody was heard")
    let revocation = try trio.propose(at: leader) {
      $0.leaseRevoke = Etcdserverpb.LeaseRevokeRequest(id: 7)
    }
    try trio.settle()
    guard case .leaseRevoked = trio.answers[revocation] else {
      Issue.record("not revoked: \(String(describing: trio.answers[revocation]))")
      return
    }
    trio.isLost = { _ in false }
    for _ in 0..<10 where trio.answers[renewal] == nil { try trio.tick() }
    guard case .lease(.renewed([0])) = trio.answers[renewal] else {
      Issue.record("a lease that was revoked: \(String(describing: trio.answers[renewal]))")
      return
    }
  }
}
