import EtcdAPI
import Member
import Protobuf
import Raft

extension Cluster {
  func has(_ kind: FaultKind) -> Bool { options.faults.contains(kind) }

  /// Counts a fault that happens.
  func hit(_ kind: FaultKind, _ text: @autoclosure () -> String = "") {
    counters.faults[kind, default: 0] += 1
    trace("\(kind.rawValue) \(text())")
  }

  /// Whether a fault of a kind that holds for the whole run happens now.
  func strikes(_ kind: FaultKind, oneIn n: Int) -> Bool {
    faultsAllowed && has(kind) && chance(oneIn: n)
  }

  /// Plans the next of the things that go wrong in this run, and does one.
  func fault() {
    guard faultsAllowed else { return }
    let pace = options.life?.faultPace ?? options.pace
    queue.add(.fault, at: now + 1 + random.below(2 * options.faultEvery * pace * Self.tickUnits))
    strike()
  }

  /// Does one of the things that go wrong in this run.
  func strike() {
    guard faultsAllowed else { return }
    let steps = options.faults.filter { !FaultKind.constant.contains($0) }
    guard let kind = steps.randomElement(using: &random) else { return }
    let id = ids[random.below(ids.count)]
    switch kind {
    case .splitBothWays, .splitOneWay, .cutEdges, .cutRing, .isolateLeader, .slowLink:
      linkFault(kind, id)
    case .pause, .kill, .powerFailure, .tornWrite, .stopAtOperation, .houseCrash:
      processFault(kind, id)
    case .hungSync, .stuckLeaderDisk, .slowDisk, .failedSync, .diskFull, .writeError, .readError:
      diskFault(kind, id)
    case .lyingSync, .misdirectedWrite, .flippedLog, .flippedSnapshot, .flippedDatabase,
      .replaceMember:
      damage(id, kind)
    case .clockDrift, .clockJump: clockFault(kind, id)
    case .transferLeader: transferLeader(to: id)
    case .defragment: defragment(id)
    case .compaction: compactAll(at: id)
    case .quotaAlarm: raiseAlarm(for: id)
    case .restoreCluster: planRestore()
    case .slowWatchers: stallWatchers()
    case .drop, .duplicate, .reorder, .delay, .strayMessages, .haltTransfer, .addLearner,
      .promoteLearner, .removeMember:
      preconditionFailure("no step: \(kind)")
    }
  }

  // MARK: Processes

  private func processFault(_ kind: FaultKind, _ id: MemberID) {
    guard nodes[id]!.member != nil else { return }
    hit(kind, name(id))
    switch kind {
    case .kill: crash(id, .clean)
    case .powerFailure: crash(id, .lost)
    case .tornWrite: crash(id, .torn)
    case .stopAtOperation: planStop(nodes[id]!, within: 12)
    case .pause:
      // Once in a while longer than leases live.
      nodes[id]!.pausedUntil = now + random.below((chance(oneIn: 6) ? 150 : 30) * Self.tickUnits)
    default:
      let mode = CrashMode.allCases[random.below(3)]
      for id in ids where nodes[id]!.member != nil { crash(id, mode) }
    }
  }

  // MARK: Clocks

  private func clockFault(_ kind: FaultKind, _ id: MemberID) {
    hit(kind, name(id))
    if kind == .clockDrift {
      nodes[id]!.tickUnits = driftingTick()
    } else if chance(oneIn: 3) {
      // A clock without a battery begins at the same time after each start.
      nodes[id]!.wallClock = .stopped
    } else {
      nodes[id]!.wallClock = .ahead(random.below(2_000_000) - 1_000_000)
    }
  }

  /// Units between two ticks of a clock that runs up to 20% fast or slow.
  func driftingTick() -> Int { Self.tickUnits * (80 + random.below(41)) / 100 }

  // MARK: Operators and clients

  private func transferLeader(to id: MemberID) {
    for other in ids {
      guard let member = nodes[other]!.member, member.core.isLeader else { continue }
      hit(.transferLeader, "from \(name(other)) to \(name(id))")
      post(.transferLeader(id), to: other)
    }
  }

  private func defragment(_ id: MemberID) {
    guard let member = nodes[id]!.member else { return }
    hit(.defragment, name(id))
    counters.defragmentations += 1
    member.defragment()
    wake(id)
  }

  /// An operator compacts everything that is known.
  private func compactAll(at id: MemberID) {
    guard let member = nodes[id]!.member else { return }
    hit(.compaction, name(id))
    compact(to: member.core.status.revision, at: id)
  }

  /// Asks a member, if it runs, to compact, and listens to no answer.
  func compact(to revision: Int64, at id: MemberID) {
    guard let member = nodes[id]!.member else { return }
    let number = member.makeRequestID()
    var request = Etcdserverpb.InternalRaftRequest(header: header(number, at: member))
    request.compaction = Etcdserverpb.CompactionRequest(revision: revision)
    post(.propose([Proposal(id: number, data: request.encoded())]), to: id)
  }

  private func stallWatchers() {
    hit(.slowWatchers)
    let until = now + random.below(80 * Self.tickUnits)
    for number in watchWorld.clients.indices where chance(oneIn: 2) {
      watchWorld.clients[number].stalledUntil = until
    }
  }
}
