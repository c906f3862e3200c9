import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Raft
import Watch

extension Cluster {
  // MARK: Start and crash

  func start(_ id: MemberID) {
    let node = nodes[id]!
    node.life += 1
    node.isTurnPlanned = false
    node.isLogBusy = false
    node.isStorageBusy = false
    node.isLoopPlanned = false
    node.diskHangsUntil = 0
    node.started = now
    if has(.clockDrift) { node.tickUnits = driftingTick() }
    if strikes(.stopAtOperation, oneIn: 8) { planStop(node, within: 40) }
    do {
      let member = try makeMember(id, on: node.fileSystem)
      counters.repairs += member.notes.count
      trace("\(name(id)) starts at index \(member.consistentIndex) \(member.notes)")
      nodes[id]!.member = member
      // Who joins has asked a member for the others.
      let known = member.core.membership.members.keys
      nodes[id]!.peers = Set(known.isEmpty ? ids : Array(known)).subtracting([id])
      waiting[id] = [:]
      watchWorld.faults.restarted[id] = member.core.status.revision
      queue.add(.tick(id, life: node.life), at: now + random.below(node.tickUnits) + 1)
      wake(id)
      tellLinks(of: id, isUp: true)
    } catch { stopped(id, error) }
  }

  /// A member as it starts on a disk.
  func makeMember(_ id: MemberID, on disk: SimulatedFileSystem) throws -> SimulatedMember {
    try SimulatedMember(
      disk, founders: founders, own: nodes[id]!.info, joins: !founders.contains { $0.id == id },
      options: memberOptions(id), firstRequest: random.next(), seed: random.next())
  }

  /// Streams end with their process, and come back with it.
  private func tellLinks(of id: MemberID, isUp: Bool) {
    for other in ids where other != id && nodes[other]?.member != nil {
      post(.linked(id, isUp: isUp), to: other)
    }
  }

  /// Milliseconds since 1970, as the process takes them.
  private func wallTime(_ node: Node) -> Int {
    let base = 1_700_000_000_000
    switch node.wallClock {
    case .right: return base + milliseconds(now)
    case .ahead(let offset): return base + milliseconds(now + offset)
    case .stopped: return base + milliseconds(now - node.started)
    }
  }

  /// By the clock of the cluster.
  func milliseconds(_ units: Int) -> Int {
    units * options.member.tickMilliseconds / Self.tickUnits
  }

  /// Nanoseconds since 1970, as a member takes them.
  func timeOfDay(at id: MemberID) -> Int64 { Int64(wallTime(nodes[id]!)) * 1_000_000 }

  func memberOptions(_ id: MemberID) -> SimulatedMember.Options {
    var member = options.member
    // Members need not be of one speed.
    if has(.compaction) { member.compactionStepKeys = 1 + Int(id.rawValue % 5) }
    member.acknowledgesEarly = options.mutant == .acknowledgesEarly
    member.overtakesTurns = options.mutant == .overtakesTurns
    return member
  }

  /// Lets the power fail before one of the next disk operations.
  func planStop(_ node: Node, within operations: Int) {
    node.fileSystem.stopBefore = node.fileSystem.operations + random.below(operations)
    node.crashMode = CrashMode.allCases[random.below(3)]
  }

  /// A member failed: as planned when the power is off, otherwise it is a bug.
  private func stopped(_ id: MemberID, _ error: any Error) {
    switch nodes[id]!.fileSystem.takeFailure() {
    case .sync:
      // Nobody knows what the kernel keeps of pages that it could not write: they count as lost.
      counters.failedSyncs += 1
      return crash(id, .lost)
    case .call: return crash(id, .clean)
    case nil: break
    }
    guard nodes[id]!.fileSystem.isDead else {
      problems.append("\(name(id)) failed: \(error)")
      return
    }
    crash(id, nodes[id]!.crashMode)
  }

  /// Kills the process, which starts again; the disk is what the mode leaves of it.
  func crash(_ id: MemberID, _ mode: CrashMode) {
    // A disk that holds less than it said must not lose power before the member is to be replaced.
    end(id, damageWorld.victim == id ? .clean : mode)
    let pause = faultsAllowed ? random.below(longest(40 * Self.tickUnits)) : Self.tickUnits
    queue.add(.restart(id, life: nodes[id]!.life), at: now + pause)
  }

  /// Kills the process for good.
  func end(_ id: MemberID, _ mode: CrashMode) {
    trace("\(name(id)) crashes, \(mode)")
    counters.crashes += 1
    if mode != .clean { nodes[id]!.lossyCrashes += 1 }
    nodes[id]!.fileSystem.powerOff()
    nodes[id]!.fileSystem = nodes[id]!.fileSystem.crashed(mode, &random)
    nodes[id]!.member = nil
    nodes[id]!.life += 1
    nodes[id]!.pausedUntil = 0
    loseWatchers(of: id)
    tellLinks(of: id, isUp: false)
    for operation in (waiting.removeValue(forKey: id) ?? [:]).values.sorted() { lose(operation) }
  }

  // MARK: Threads

  func tick(_ id: MemberID) {
    let node = nodes[id]!
    queue.add(.tick(id, life: node.life), at: now + node.tickUnits)
    guard now >= node.pausedUntil else { return }
    post(.tick, to: id, by: .core)
    endLivesOfV2(id)
  }

  /// The timer of the backend's commits, on the thread of the clock.
  func commit(_ id: MemberID) {
    let node = nodes[id]!
    guard now >= node.pausedUntil else {
      return queue.add(.commit(id, life: node.life), at: node.pausedUntil)
    }
    post(.commit, to: id, by: .core)
  }

  func post(_ event: MemberEvent, to id: MemberID, by thread: MemberThread = .loop) {
    guard let member = nodes[id]?.member else { return }
    member.post(event, by: thread)
    wake(id)
  }

  /// Plans a turn of the core and work of its threads, where there is something to do.
  func wake(_ id: MemberID) {
    guard let node = nodes[id], let member = node.member else { return }
    let earliest = max(now, node.pausedUntil)
    if member.hasEvents, !node.isTurnPlanned {
      node.isTurnPlanned = true
      queue.add(.turn(id, life: node.life), at: earliest + random.below(options.turnDelay))
    }
    if member.hasLogWork, !node.isLogBusy {
      node.isLogBusy = true
      let hang = max(node.diskHangsUntil, earliest)
      queue.add(.log(id, life: node.life), at: hang + diskTime(node))
    }
    if member.hasStorageWork, !node.isStorageBusy {
      node.isStorageBusy = true
      queue.add(.storage(id, life: node.life), at: earliest + 2 * diskTime(node))
    }
    if member.hasLoopWork, !node.isLoopPlanned {
      node.isLoopPlanned = true
      queue.add(.loop(id, life: node.life), at: earliest + random.below(options.loopDelay))
    }
  }

  private func diskTime(_ node: Node) -> Int {
    let time = 1 + random.below(options.diskLatency)
    return now < node.diskIsSlowUntil ? 10 * time : time
  }

  func runLog(_ id: MemberID) {
    nodes[id]!.isLogBusy = false
    do { try nodes[id]!.member?.runLog() } catch { return stopped(id, error) }
    survived(id)
  }

  func runStorage(_ id: MemberID) {
    nodes[id]!.isStorageBusy = false
    do { try nodes[id]!.member?.runStorage() } catch { return stopped(id, error) }
    survived(id)
  }

  /// A failure of the disk that the member went on with excuses no later one.
  private func survived(_ id: MemberID) {
    _ = nodes[id]!.fileSystem.takeFailure()
    wake(id)
  }

  func turn(_ id: MemberID) {
    guard let member = nodes[id]?.member else { return }
    if now < nodes[id]!.pausedUntil {
      queue.add(.turn(id, life: nodes[id]!.life), at: nodes[id]!.pausedUntil)
      return
    }
    nodes[id]!.isTurnPlanned = false
    let before = member.core.status
    let out: MemberOutput
    do { out = try member.turn() } catch { return stopped(id, error) }
    counters.leasesExpired += out.leases.expired
    if out.leaderChanged { counters.elections += 1 }
    if out.removedSelf { sayGoodbye(id) }
    if out.compacted != nil { counters.compactions += 1 }
    if member.takeCommitRequest() {
      // Runs are short: a commit about every tick makes them meet more states of the backend.
      queue.add(
        .commit(id, life: nodes[id]!.life), at: now + 1 + random.below(2 * Self.tickUnits))
    }
    verify(id, member, before: before)
    verifyView(id, member)
    wake(id)
  }

  /// The loop of clients and peers sees what turns gave since it last looked.
  func runLoop(_ id: MemberID) {
    guard let member = nodes[id]?.member else { return }
    let earliest = nodes[id]!.pausedUntil
    // One thread does one thing at a time.
    if now < earliest || member.loopHoldsTurn {
      queue.add(.loop(id, life: nodes[id]!.life), at: max(now + 1 + random.below(50), earliest))
      return
    }
    nodes[id]!.isLoopPlanned = false
    for news in member.runLoop() {
      switch news {
      case .answers(let replies, let reads): answer(replies, reads, from: id)
      case .messages(let messages): for message in messages { send(message) }
      case .snapshots(let snapshots): for snapshot in snapshots { send(snapshot, from: id) }
      case .membership(let changes): noteChanges(changes, at: id)
      case .rows(let rows, let state): watch(at: id) { $0.take(rows, state, &$1) }
      }
    }
    verifyView(id, member)
    wake(id)
  }

  private func verifyView(_ id: MemberID, _ member: SimulatedMember) {
    if let problem = member.viewProblem { problems.append("\(name(id)): \(problem)") }
  }

  private func verify(_ id: MemberID, _ member: SimulatedMember, before: MemberStatus) {
    let status = member.core.status
    note(status.appliedIndex.rawValue)
    note(UInt64(bitPattern: status.revision))
    // Months of ticks that change nothing: what was checked is not checked at each of them again.
    guard options.life == nil || !status.isAt(before) || chance(oneIn: 100) else { return }
    defer { verifyLeases(id, member) }
    if let problem = facts.check(
      status, member.core.auth, v2Index: member.core.v2Index, of: id,
      isReplaying: status.appliedIndex < member.consistentIndex)
    {
      problems.append("\(name(id)): \(problem)")
    }
    if let problem = facts.check(member.core.confState, member.core.membership, at: status) {
      problems.append("\(name(id)): \(problem)")
    }
    verifyMembership(id, member)
    if let problem = member.core.checkInvariants() {
      problems.append("\(name(id)) breaks an invariant: \(problem)")
    }
    if chance(oneIn: 10) {
      let state = member.core.state
      if let problem = state.checkInvariants() ?? state.checkBuckets(alarms: status.alarms) {
        problems.append("\(name(id)) breaks an invariant of its state: \(problem)")
      }
    }
    if status.term != before.term || status.role != before.role {
      trace("\(name(id)) is \(status.role) in term \(status.term)")
    }
    if status.appliedIndex >= member.consistentIndex, chance(oneIn: 25) { checkHash(id, member) }
  }

  /// The hash of a store without keys depends on how far compaction got, in Go etcd as here.
  func checkHash(_ id: MemberID, _ member: SimulatedMember) {
    guard member.core.status.keys > 0 else { return }
    do {
      let hash = try member.hash()
      note(UInt64(hash.hash))
      if let problem = facts.check(hash) { problems.append("\(name(id)): \(problem)") }
    } catch { problems.append("\(name(id)) cannot hash its state: \(error)") }
  }
}

extension MemberStatus {
  /// Whether raft and the store stand where they stood.
  fileprivate func isAt(_ other: MemberStatus) -> Bool {
    appliedIndex == other.appliedIndex && commitIndex == other.commitIndex && term == other.term
      && role == other.role && leader == other.leader
  }
}
