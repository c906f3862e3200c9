import EtcdAPI
import Raft

/// What a member does whose log hangs.
extension MemberCore {
  /// Once a tick. A member whose log has reported nothing for an election timeout does not lead, and does not
  /// try to, until it does: what it says to clients depends on others' disks, and their failures come
  /// together with its own.
  mutating func watchDisk() {
    isDiskStuck = disk.isStuck(tick: ticks, after: config.raft.electionTicks)
    node.mayCampaign = !isDiskStuck
    guard isDiskStuck, isLeader else { return }
    let status = node.status
    var candidates: [(id: MemberID, match: UInt64)] = []
    for (id, progress) in zip(status.progress.ids, status.progress.values)
    where id != config.raft.id && !progress.isLearner && progress.recentActive {
      candidates.append((MemberID(id), progress.match))
    }
    let pause = config.raft.electionTicks
    guard let next = disk.successor(among: candidates, tick: ticks, pause: pause) else { return }
    node.transferLeader(to: next.rawValue)
  }
}
