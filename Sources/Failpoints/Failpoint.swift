/// Places where a test lets a member die or wait, with the names of Go etcd's, so that what drives those drives ours.
///
/// Only a build with `ETCD_FAILPOINTS` set has them (`make failpoints`); in any other a hit is nothing.
/// - Source: the `gofail` comments of etcd 3.5. Three of them have no meaning here: `afterIsMemberExist` and
///   `beforeCheckpointInLeaseRenew` lie between two looks at what is looked at once, in a turn, and
///   `raftBeforeSaveWaitWalSync` in front of a wait that every entry has here.
public enum Failpoint: String, CaseIterable, Sendable {
  case applyBeforeOpenSnapshot, applyAfterOpenSnapshot
  case beforeApplyOneConfChange, beforeApplyOneEntryNormal
  case beforeLookupWhenForwardLeaseTimeToLive, beforeLookupWhenLeaseTimeToLive
  case beforePublishing
  /// Of etcd 3.7.
  case beforeServeHTTPLeaseRenew
  case beforeSendWatchResponse
  case beforeCommit, afterCommit
  case beforeStartDBTxn, afterStartDBTxn
  case beforeWritebackBuf, afterWritebackBuf
  case commitBeforePreCommitHook, commitAfterPreCommitHook
  case compactBeforeCommitBatch, compactAfterCommitBatch
  case compactBeforeCommitScheduledCompact, compactAfterCommitScheduledCompact
  case compactBeforeSetFinishedCompact, compactAfterSetFinishedCompact
  case defragBeforeCopy, defragBeforeRename
  /// With `return("…")`: the text of the error.
  case defragOpenFileError, defragdbFail
  case raftBeforeSave, raftAfterSave
  case raftBeforeSaveSnap, raftAfterSaveSnap
  case raftBeforeWALSaveSnaphot
  case raftBeforeApplySnap, raftAfterApplySnap
  case raftAfterWALRelease
  case raftBeforeAdvance
  case raftBeforeLeaderSend, raftBeforeFollowerSend
  /// While it is on, what comes from other members is dropped.
  case raftDropHeartbeat
  case walBeforeSync, walAfterSync
}

#if FAILPOINTS
  extension Failpoint {
    /// Whether this build has failpoints.
    public static let areThere = true

    /// The process comes to this place.
    public static func hit(_ point: Failpoint, if holds: Bool = true) {
      if holds { _ = FailpointDesk.shared.hit(point) }
    }

    /// The text with which the place is to fail, if it is.
    public static func failure(_ point: Failpoint) -> String? {
      FailpointDesk.shared.hit(point)?.text
    }

    /// Whether the place is to be taken at all.
    public static func isOn(_ point: Failpoint) -> Bool { FailpointDesk.shared.hit(point) != nil }
  }
#else
  extension Failpoint {
    /// Whether this build has failpoints.
    public static let areThere = false

    @inline(__always) @inlinable
    public static func hit(_ point: Failpoint, if holds: @autoclosure () -> Bool = true) {}

    @inline(__always) @inlinable
    public static func failure(_ point: Failpoint) -> String? { nil }

    @inline(__always) @inlinable
    public static func isOn(_ point: Failpoint) -> Bool { false }
  }
#endif
