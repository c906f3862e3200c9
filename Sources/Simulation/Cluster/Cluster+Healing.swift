import Checkers
import EtcdAPI
import Member
import Membership

extension Cluster {
  /// Ends all faults. The cluster must elect a leader, serve a write and a read on every member, and
  /// bring all members to the same state, in bounded time.
  func heal() {
    trace("faults end")
    faultsAllowed = false
    cut = []
    for id in nodes.keys { mend(id) }
    hasten()
    if let victim = damageWorld.victim, !damageWorld.isDead { makeHonest(victim) }
    restoreWorld.isUnderWay = false
    callsAllowed = false
    let deadline = now + options.healTicks * Self.tickUnits
    var asked: [Int] = []
    let start = history.count
    work(until: deadline) {
      if asked.isEmpty, self.hasSettledLeader, self.isMembershipSettled, self.alarmsAreGone {
        asked = self.askEveryone()
      }
      self.retry(&asked)
      return !asked.isEmpty && asked.allSatisfy { self.history[$0].isServed }
        && self.isConverged && (self.leasesAreGone || self.options.life != nil)
    }
    if options.life != nil { outlastLeases() }
    guard problems.isEmpty else { return }
    guard !asked.isEmpty, asked.allSatisfy({ history[$0].isServed }), isConverged,
      leasesAreGone
    else {
      problems.append(
        "not whole again after \(options.healTicks) ticks without faults "
          + "(\(history.count - start) requests):\n\(summary)")
      return
    }
    for id in ids { if let member = nodes[id]!.member { checkHash(id, member) } }
    for id in ids { checkNoLeasedKeys(id) }
    checkV2()
  }

  private func mend(_ id: MemberID) {
    let fileSystem = nodes[id]!.fileSystem
    fileSystem.stopBefore = nil
    fileSystem.failsNextSync = false
    fileSystem.isFull = false
    (fileSystem.writeFailsIn, fileSystem.readFailsIn) = (nil, nil)
    nodes[id]!.slowUntil = now
    nodes[id]!.diskIsSlowUntil = now
  }

  private var hasSettledLeader: Bool {
    let leaders = Set(ids.map { nodes[$0]!.member?.core.status.leader ?? MemberID.none })
    return leaders.count == 1 && !leaders.contains(MemberID.none)
  }

  /// A write and a read of everything at every member.
  private func askEveryone() -> [Int] {
    ids.flatMap { id in
      nextValue += 1
      return [
        call(.put(key: keys[0], value: nextValue), client: inspector, at: id),
        call(.range(key: "k", toEnd: true, serializable: false), client: inspector, at: id),
      ]
    }
  }

  /// A request that lost its leader on the way is asked again.
  private func retry(_ asked: inout [Int]) {
    for position in asked.indices {
      let operation = history[asked[position]]
      let isWaiting = waiting[operation.member]?.values.contains(asked[position]) ?? false
      guard !operation.isServed, !isWaiting, nodes[operation.member]!.member != nil else {
        continue
      }
      var request = operation.request
      if case .put(let key, _) = request {
        nextValue += 1
        request = .put(key: key, value: nextValue)
      }
      asked[position] = call(request, client: inspector, at: operation.member)
    }
  }

  /// All members applied the same entries, and all have the same backend behind them.
  var isConverged: Bool {
    guard isMembershipSettled else { return false }
    let states = ids.map { nodes[$0]!.member?.core.status }
    guard let first = states[0], states.allSatisfy({ $0 != nil }) else { return false }
    return states.allSatisfy {
      $0!.appliedIndex == first.appliedIndex && $0!.revision == first.revision
        && $0!.appliedIndex == $0!.commitIndex
    }
  }

  /// A line for each member.
  var summary: String {
    ids.map { id in
      guard let status = nodes[id]!.member?.core.status else { return "\(name(id)): down" }
      return "\(name(id)): \(status.role) term \(status.term) leader \(name(status.leader)) commit "
        + "\(status.commitIndex) applied \(status.appliedIndex) revision \(status.revision) "
        + "leases \(nodes[id]!.member!.core.leaseIDs)"
    }.joined(separator: "\n")
  }
}

extension Operation {
  /// Whether it was answered, and not with a refusal.
  fileprivate var isServed: Bool {
    if case .refused = result { return false }
    return result != nil
  }
}
