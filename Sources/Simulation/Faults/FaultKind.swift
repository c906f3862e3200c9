import Raft

/// A kind of thing that goes wrong, or that people do to a cluster at the wrong time. A run has three to ten of
/// them, which its seed chooses: what is never together with anything else finds less, and what is always
/// there hides the rest.
public enum FaultKind: String, Sendable, CaseIterable {
  // Links.

  /// Members are in two groups that do not hear each other.
  case splitBothWays
  /// One group hears the other, and not the other way round.
  case splitOneWay
  /// Some directions between two members are cut, any of them.
  case cutEdges
  /// Everybody hears two neighbours alone; of three members one link is cut.
  case cutRing
  /// The leader is alone.
  case isolateLeader
  case drop
  case duplicate
  case reorder
  case delay
  /// Everything to or from one member takes ten times as long, for a while.
  case slowLink
  /// Messages come to a member for which they are not.
  case strayMessages
  /// Snapshots stop half way.
  case haltTransfer

  // Processes.

  /// A process gets no processor.
  case pause
  /// A process dies; what it wrote stays with the kernel.
  case kill
  /// The power fails: what was not synced is gone.
  case powerFailure
  /// The power fails, and some sectors of what was not synced are there.
  case tornWrite
  /// The power fails before one of the next operations of a disk.
  case stopAtOperation
  /// The power fails in the whole house.
  case houseCrash

  // Clocks.

  /// Clocks of members run up to a fifth faster or slower, and change.
  case clockDrift
  /// The time of day jumps, forwards or back.
  case clockJump

  // Disks.

  /// The log's fsync hangs.
  case hungSync
  /// The same, of the leader, for longer than leases live.
  case stuckLeaderDisk
  /// Every operation takes ten times as long, for a while.
  case slowDisk
  case failedSync
  /// The disk says that it has what it has not, until it is honest again or the power fails.
  case lyingSync
  /// Bytes go to another place than they were to.
  case misdirectedWrite
  /// There is no room on the disk, for a while.
  case diskFull
  case writeError
  case readError
  /// A bit of the log changes while the member is down.
  case flippedLog
  /// A bit of a raft snapshot changes while the member is down.
  case flippedSnapshot
  /// A bit of the database changes while the member is down.
  case flippedDatabase

  // Operators and clients.

  case transferLeader
  case defragment
  /// Everything but the newest revision is compacted, and members take different time for it.
  case compaction
  /// A member says that its quota is used up.
  case quotaAlarm
  case addLearner
  case promoteLearner
  case removeMember
  /// A member's machine is lost: it is removed, and a new one comes at its address.
  case replaceMember
  /// All machines are lost, and the cluster begins anew from a backup.
  case restoreCluster
  /// Who watches does not read for a long time.
  case slowWatchers

  /// Kinds that only a cluster of several members can have.
  static let amongMembers: Set<FaultKind> = [
    .splitBothWays, .splitOneWay, .cutEdges, .cutRing, .isolateLeader, .drop, .duplicate, .reorder,
    .delay, .slowLink, .strayMessages, .haltTransfer, .stuckLeaderDisk, .lyingSync,
    .misdirectedWrite, .flippedLog, .flippedSnapshot, .flippedDatabase, .transferLeader,
    .removeMember, .replaceMember,
  ]

  /// Kinds that hold for the whole run, and are not steps of it.
  static let constant: Set<FaultKind> = [
    .drop, .duplicate, .reorder, .delay, .strayMessages, .haltTransfer, .addLearner,
    .promoteLearner, .removeMember,
  ]

  /// Kinds after which a disk may not hold what its member promised. Raft survives no such member, whatever the
  /// majority has: it is taken out of the cluster and replaced, one at a time.
  static let damaging: Set<FaultKind> = [
    .lyingSync, .misdirectedWrite, .flippedLog, .flippedSnapshot, .flippedDatabase, .replaceMember,
  ]

  /// Kinds for which an operator has to change members.
  static let changing: Set<FaultKind> = damaging.union([
    .addLearner, .promoteLearner, .removeMember,
  ])

  /// Three to ten kinds.
  static func chosen(members: Int, _ random: inout SplitMix64) -> [FaultKind] {
    var all = allCases.filter { members > 1 || !amongMembers.contains($0) }
    let count = 3 + random.below(8)
    for place in 0..<count {
      all.swapAt(place, place + random.below(all.count - place))
    }
    return Array(all.prefix(count))
  }
}
