import EtcdAPI
import Member
import Raft

/// Disks that do not do what they are asked, and say so.
extension Cluster {
  func diskFault(_ kind: FaultKind, _ id: MemberID) {
    var id = id
    if kind == .stuckLeaderDisk {
      guard let leader = someLeader()?.id else { return }
      id = leader
    }
    guard nodes[id]!.member != nil || kind == .readError else { return }
    hit(kind, name(id))
    let fileSystem = nodes[id]!.fileSystem
    switch kind {
    case .hungSync:
      // Once in a while longer than requests wait and leases live.
      let ticks = chance(oneIn: 4) ? 150 : 30
      nodes[id]!.diskHangsUntil = now + random.below(ticks * Self.tickUnits)
    case .stuckLeaderDisk:
      nodes[id]!.diskHangsUntil = now + (30 + random.below(120)) * Self.tickUnits
    case .slowDisk: nodes[id]!.diskIsSlowUntil = now + random.below(60 * Self.tickUnits)
    case .failedSync: fileSystem.failsNextSync = true
    case .writeError: fileSystem.writeFailsIn = random.below(8)
    case .readError: fileSystem.readFailsIn = random.below(6)
    default:
      fileSystem.isFull = true
      queue.add(.freeSpace(id), at: now + random.below(longest(60 * Self.tickUnits)))
    }
  }

  /// Somebody made room on a disk.
  func freeSpace(_ id: MemberID) { nodes[id]!.fileSystem.isFull = false }
}
