import EtcdAPI
import Member
import Raft

extension Cluster {
  /// Does one of the things that go wrong, and plans the next.
  func fault() {
    guard faultsAllowed else { return }
    queue.add(.fault, at: now + 1 + random.below(2 * options.faultEvery * Self.tickUnits))
    let id = ids[random.below(ids.count)]
    let isUp = nodes[id]!.member != nil
    switch random.below(100) {
    case 0..<20: if isUp { crash(id, CrashMode.allCases[random.below(3)]) }
    case 20..<38: if isUp { planStop(&nodes[id]!, within: 12) }
    case 38..<52: partition(symmetric: true)
    case 52..<60: partition(symmetric: false)
    case 60..<67:
      trace("\(name(id)) is paused")
      nodes[id]!.pausedUntil = now + random.below(30 * Self.tickUnits)
    case 67..<75:
      trace("the disk of \(name(id)) hangs")
      // Once in a while longer than requests wait and leases live.
      let ticks = chance(oneIn: 4) ? 150 : 30
      nodes[id]!.diskHangsUntil = now + random.below(ticks * Self.tickUnits)
    case 75..<83: transferLeader(to: id)
    case 83..<90: defragment(id)
    case 90..<95: crashAll()
    case 95..<98:
      trace("an fsync of \(name(id)) will fail")
      nodes[id]!.fileSystem.failsNextSync = isUp
    default: break
    }
  }

  private func partition(symmetric: Bool) {
    cut = []
    let side = ids.filter { _ in chance(oneIn: 2) }
    for a in side {
      for b in ids where !side.contains(b) {
        cut.insert(Link(from: a, to: b))
        if symmetric { cut.insert(Link(from: b, to: a)) }
      }
    }
    trace("\(side.map(name)) cannot reach the others\(symmetric ? ", nor they them" : "")")
    queue.add(.mend, at: now + random.below(40 * Self.tickUnits))
  }

  private func transferLeader(to id: MemberID) {
    for other in ids {
      guard let member = nodes[other]!.member, member.core.isLeader else { continue }
      trace("\(name(other)) is asked to hand over to \(name(id))")
      post(.transferLeader(id), to: other)
    }
  }

  private func defragment(_ id: MemberID) {
    guard let member = nodes[id]!.member else { return }
    counters.defragmentations += 1
    member.defragment()
    wake(id)
  }

  /// The power fails in the whole house.
  private func crashAll() {
    let mode = CrashMode.allCases[random.below(3)]
    for id in ids where nodes[id]!.member != nil { crash(id, mode) }
  }
}
