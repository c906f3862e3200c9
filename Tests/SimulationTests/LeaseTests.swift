import Bytes
import EtcdAPI
import MVCC
import Member
import Membership
import Protobuf
import Raft
import Simulation
import Synchronization
import Testing

/// Leases of one member on a simulated disk, in simulated time.
@Suite struct LeaseTests {
  /// A member that leads.
  private func start(
    _ disk: SimulatedFileSystem, persist: Bool, checkpoints: Int? = 3000,
    observer: (any ApplyObserver)? = nil
  ) throws -> SimulatedMember {
    var options = SimulatedMember.Options()
    options.leaseCheckpointInterval = checkpoints
    options.leaseCheckpointPersist = persist
    options.applyObserver = observer
    return try .leadingAlone(on: disk, options)
  }

  private func tick(_ member: SimulatedMember) throws {
    member.tick()
    _ = try member.settle()
  }

  /// Proposes a request and returns what came of it.
  private func apply(
    _ member: SimulatedMember, _ fill: (inout Etcdserverpb.InternalRaftRequest) -> Void
  ) throws -> Outcome {
    let id = member.makeRequestID()
    var request = Etcdserverpb.InternalRaftRequest(
      header: Etcdserverpb.RequestHeader(id: id.rawValue))
    fill(&request)
    member.post(.propose([Proposal(id: id, data: request.encoded())]))
    return try #require(try member.settle().replies.first { $0.id == id }).outcome
  }

  private func ask(
    _ member: SimulatedMember, _ kind: LeaseQuestion.Kind
  ) throws -> Outcome? {
    let id = member.makeRequestID()
    member.post(.askLeases([LeaseQuestion(id: id, kind)]))
    return try member.settle().replies.first { $0.id == id }?.outcome
  }

  private func remaining(_ member: SimulatedMember, _ lease: LeaseID) throws -> Int64 {
    switch try ask(member, .timeToLive(lease, keys: false)) {
    case .lease(.timeToLive(let remaining, _, _)): return remaining
    case .failed(.leaseNotFound): return -1
    case let other:
      Issue.record("\(String(describing: other))")
      return -2
    }
  }

  private func grant(_ member: SimulatedMember, _ id: LeaseID, ttl: Int64) throws {
    guard
      case .leaseGranted(id, let granted, _) = try apply(
        member, { $0.leaseGrant = Etcdserverpb.LeaseGrantRequest(ttl: ttl, id: id.rawValue) })
    else {
      Issue.record("not granted")
      return
    }
    #expect(granted == Swift.max(ttl, 2))
  }

  /// Restarts in a row: what is left of a lease never rises when checkpoints persist, and begins anew
  /// when they do not.
  @Test(arguments: [true, false])
  func whatIsLeftAcrossRestarts(persist: Bool) throws {
    var random = SplitMix64(seed: 5)
    var disk = SimulatedFileSystem()
    var member = try start(disk, persist: persist)
    try grant(member, 7, ttl: 40)
    var last = try remaining(member, 7)
    #expect(last == 39)
    for _ in 0..<4 {
      for _ in 0..<50 { try tick(member) }
      let before = try remaining(member, 7)
      #expect(before < last)
      try member.close()
      disk = disk.crashed(.clean, &random)
      member = try start(disk, persist: persist)
      last = try remaining(member, 7)
      // A new leader may give back what passed since the checkpoint, and an election. The ticks
      // before the member led do not count.
      if persist { #expect(last <= before + 3 + 1 + 1, "\(last) after \(before)") }
      #expect(persist ? last < 38 : last > 37)
    }
    while last > 0 {
      try tick(member)
      last = try remaining(member, 7)
    }
    for _ in 0..<15 { try tick(member) }
    let isHeld = member.core.holdsLease(7)
    #expect(!isHeld)
  }

  /// A renewal after a checkpoint is remembered before it is answered: the next leader knows of it.
  @Test func aRenewalOutlivesItsCheckpoint() throws {
    var random = SplitMix64(seed: 5)
    var disk = SimulatedFileSystem()
    var member = try start(disk, persist: true)
    try grant(member, 7, ttl: 30)
    for _ in 0..<200 { try tick(member) }
    #expect(try remaining(member, 7) <= 10)
    let id = member.makeRequestID()
    member.post(.askLeases([LeaseQuestion(id: id, .renew([7]))]))
    var replies = try member.settle().replies
    // The entry that forgets the checkpoint may be written in the next turn.
    member.post(.resume)
    replies += try member.settle().replies
    guard case .lease(.renewed([30])) = replies.first(where: { $0.id == id })?.outcome else {
      Issue.record("not renewed: \(replies)")
      return
    }
    try member.close()
    disk = disk.crashed(.clean, &random)
    member = try start(disk, persist: true)
    #expect(try remaining(member, 7) >= 28)
  }

  /// One that has to wait holds up those that were asked for with it, and no other.
  @Test func renewalsOfOneQuestionAreAnsweredTogether() throws {
    let member = try start(SimulatedFileSystem(), persist: true)
    try grant(member, 7, ttl: 30)
    for _ in 0..<200 { try tick(member) }
    try grant(member, 8, ttl: 20)
    let (both, alone) = (member.makeRequestID(), member.makeRequestID())
    member.post(
      .askLeases([
        LeaseQuestion(id: both, .renew([8, 7, 9, 7])), LeaseQuestion(id: alone, .renew([8])),
      ]))
    var replies = try member.settle().replies
    member.post(.resume)
    replies += try member.settle().replies
    guard case .lease(.renewed([20])) = replies.first(where: { $0.id == alone })?.outcome,
      case .lease(.renewed([20, 30, 0, 30])) = replies.first(where: { $0.id == both })?.outcome
    else {
      Issue.record("\(replies)")
      return
    }
    #expect(replies.count { $0.id == both } == 1)
    #expect(try remaining(member, 7) >= 28)
  }

  /// An overdue lease is not renewed: the answer waits until it is gone. Its keys go in one revision.
  @Test func anOverdueLeaseIsGone() throws {
    let member = try start(SimulatedFileSystem(), persist: false, checkpoints: nil)
    try grant(member, 7, ttl: 0)
    for key in ["b", "a"] as [Bytes] {
      _ = try apply(member) {
        $0.put = Etcdserverpb.PutRequest(key: key, value: "v", lease: 7)
      }
    }
    let revision = member.core.status.revision
    for _ in 0..<20 { try tick(member) }
    var isHeld = member.core.holdsLease(7)
    #expect(isHeld, "two seconds are not over before the 21st tick is")
    // The tick that ends it and the renewal come in one turn.
    let id = member.makeRequestID()
    member.tick()
    member.post(.askLeases([LeaseQuestion(id: id, .renew([7]))]))
    let replies = try member.settle().replies
    guard case .lease(.renewed([0])) = replies.first(where: { $0.id == id })?.outcome else {
      Issue.record("\(replies)")
      return
    }
    isHeld = member.core.holdsLease(7)
    #expect(!isHeld)
    #expect(member.core.status.keys == 0)
    #expect(member.core.status.revision == revision + 1)
  }

  /// A clock that goes on by one with every look, and what was applied.
  private final class Observer: ApplyObserver {
    let looks = Mutex<UInt64>(0)
    let heard = Mutex<[(operation: ApplyOperation, succeeded: Bool, nanoseconds: UInt64)]>([])
    var now: UInt64 {
      looks.withLock {
        $0 += 1
        return $0
      }
    }
    var timeOfDay: Int64 { 0 }
    func applied(_ operation: ApplyOperation, succeeded: Bool, nanoseconds: UInt64) {
      heard.withLock { $0.append((operation, succeeded, nanoseconds)) }
    }
  }

  /// What takes several turns is measured in all of them, and nothing else has its time.
  @Test func whatIsDoneInStepsIsObserved() throws {
    let observer = Observer()
    let member = try start(
      SimulatedFileSystem(), persist: false, checkpoints: nil, observer: observer)
    try grant(member, 7, ttl: 100)
    for key in ["a", "b", "c", "d"] as [Bytes] {
      _ = try apply(member) {
        $0.put = Etcdserverpb.PutRequest(key: key, value: "v", lease: 7)
      }
    }
    observer.heard.withLock { $0 = [] }
    _ = try apply(member) { $0.leaseRevoke = Etcdserverpb.LeaseRevokeRequest(id: 7) }
    for key in ["a", "b"] as [Bytes] {
      _ = try apply(member) { $0.put = Etcdserverpb.PutRequest(key: key, value: "v") }
    }
    _ = try apply(member) {
      $0.deleteRange = Etcdserverpb.DeleteRangeRequest(key: "a", rangeEnd: "z")
    }
    _ = try apply(member) { $0.put = Etcdserverpb.PutRequest(key: "a", value: "v") }
    let heard = observer.heard.withLock { $0 }
    let operations = heard.map(\.operation)
    #expect(operations == [.leaseRevoke, .put, .put, .deleteRange, .put])
    #expect(heard.count { !$0.succeeded } == 0)
    // One look at the clock an entry, and more for each turn that it goes on in.
    let isShort = heard.map { $0.nanoseconds == 1 }
    #expect(isShort == [false, true, true, false, true])
  }

  /// A lease with several keys is revoked in several turns, and what is looked at between them is whole.
  @Test func aRevocationInStepsBreaksNoGuarantee() throws {
    let member = try start(SimulatedFileSystem(), persist: false, checkpoints: nil)
    try grant(member, 7, ttl: 100)
    try grant(member, 8, ttl: 100)
    for key in ["a", "b", "c", "d"] as [Bytes] {
      _ = try apply(member) {
        $0.put = Etcdserverpb.PutRequest(key: key, value: "v", lease: 7)
      }
    }
    let request = Etcdserverpb.InternalRaftRequest(
      leaseRevoke: Etcdserverpb.LeaseRevokeRequest(id: 7),
      header: Etcdserverpb.RequestHeader(id: member.makeRequestID().rawValue))
    member.post(
      .propose([Proposal(id: RequestID(request.header?.id ?? 0), data: request.encoded())]))
    var between = 0
    while member.hasEvents || member.hasLogWork || member.hasStorageWork {
      if member.hasEvents {
        _ = try member.turn()
        let state = member.core.state
        if !member.core.holdsLease(7), member.core.status.keys > 0 { between += 1 }
        #expect(state.checkInvariants() == nil)
      } else if member.hasLogWork {
        try member.runLog()
      } else {
        try member.runStorage()
      }
    }
    #expect(between >= 3, "it went in \(between) steps")
    #expect(member.core.status.keys == 0)
    #expect(member.core.leaseIDs == [8])
  }
}
