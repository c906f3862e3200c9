import EventLoops
import MVCC

/// The leader's walk over the hashes that compactions left: newest first, until all members could be
/// compared at one. A value that is told what members said.
///
/// - Source: etcd `CompactHashCheck` of 3.5.30.
struct CompactHashCheck: Sendable {
  /// What to do with the revision that was looked at.
  enum Step: Sendable, Equatable {
    /// Ask the members for their hash at this revision.
    case ask(revision: Int64)
    case finished
    /// The data of members differs.
    case corrupt
  }

  /// Newest revision at which all members agreed.
  private(set) var lastChecked: Int64 = 0
  private var hashes: [StoreSnapshot.Hash] = []
  private var position = 0

  /// Begins another walk.
  mutating func begin(_ stored: CompactionHashes) -> (step: Step, lines: [CheckLine]) {
    hashes = stored.all.filter { $0.revision > lastChecked }.reversed()
    position = 0
    return current
  }

  private var current: (step: Step, lines: [CheckLine]) {
    guard position < hashes.count else { return (.finished, [finished(hashes.count)]) }
    return (.ask(revision: hashes[position].revision), [])
  }

  private func finished(_ count: Int) -> CheckLine {
    CheckLine(
      .info, "finished compaction hash check", [LogField("number-of-hashes-checked", .int(count))])
  }

  /// Goes on with what the other members said about the revision that was asked for.
  mutating func take(_ peers: [PeerHash]) -> (step: Step, lines: [CheckLine]) {
    guard position < hashes.count else { return current }
    let own = hashes[position]
    position += 1
    if peers.isEmpty { return current }
    let revision = LogField("revision", .int(Int(own.revision)))
    var lines: [CheckLine] = []
    var checked = 0
    for peer in peers {
      guard let hash = peer.hash?.value, hash.compactRevision == own.compactRevision else {
        continue
      }
      let name = LogField("follower-peer-id", .string(peer.hexID))
      guard hash.hash == own.hash else {
        lines.append(
          CheckLine(
            .error, "failed compaction hash check",
            [
              revision,
              LogField("leader-compact-revision", .int(Int(own.compactRevision))),
              LogField("leader-hash", .uint(UInt64(own.hash))),
              LogField("follower-compact-revision", .int(Int(hash.compactRevision))),
              LogField("follower-hash", .uint(UInt64(hash.hash))), name,
            ]))
        return (.corrupt, lines)
      }
      checked += 1
      lines.append(
        CheckLine(
          .info, "successfully checked hash on follower",
          [revision, LogField("peer-id", .string(peer.hexID))]))
    }
    let count = LogField("number-of-peers-checked", .int(checked))
    if checked == peers.count {
      lastChecked = Swift.max(lastChecked, own.revision)
      lines.append(
        CheckLine(.info, "successfully checked hash on whole cluster", [count, revision]))
      return (.finished, lines + [finished(position)])
    }
    lines.append(
      CheckLine(
        .warn, "skipped revision in compaction hash check; was not able to check all peers",
        [count, LogField("number-of-peers", .int(peers.count)), revision]))
    let next = current
    return (next.step, lines + next.lines)
  }
}
