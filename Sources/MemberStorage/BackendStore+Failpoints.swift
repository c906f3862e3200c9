import Bolt
import Bytes
import Failpoints
import MVCC

/// What a commit is, by what it writes: the moments of a compaction are commits here.
extension BackendStore {
  static func hitBeforeCommit(_ shares: [FrozenBatch.Changes]) {
    guard Failpoint.areThere else { return }
    Failpoint.hit(.beforeCommit)
    Failpoint.hit(.compactBeforeCommitBatch, if: shares.removesRevisions)
    Failpoint.hit(.compactBeforeCommitScheduledCompact, if: shares.writes("scheduledCompactRev"))
    Failpoint.hit(.compactBeforeSetFinishedCompact, if: shares.writes("finishedCompactRev"))
  }

  static func hitAfterCommit(_ shares: [FrozenBatch.Changes]) {
    guard Failpoint.areThere else { return }
    Failpoint.hit(.afterCommit)
    Failpoint.hit(.compactAfterCommitBatch, if: shares.removesRevisions)
    Failpoint.hit(.compactAfterCommitScheduledCompact, if: shares.writes("scheduledCompactRev"))
    Failpoint.hit(.compactAfterSetFinishedCompact, if: shares.writes("finishedCompactRev"))
  }

  /// - Throws: what the failpoint was told to.
  static func fail(_ point: Failpoint) throws(BoltError) {
    guard let text = Failpoint.failure(point) else { return }
    throw BoltError(reason: .file, description: text)
  }
}

extension [FrozenBatch.Changes] {
  fileprivate var removesRevisions: Bool {
    contains { $0.bucket == .key && $0.operations.contains { $0.value == nil } }
  }

  fileprivate func writes(_ key: String) -> Bool {
    contains { $0.bucket == .meta && $0.operations.contains { $0.key.string == key } }
  }
}
