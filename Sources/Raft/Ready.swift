import EtcdAPI

/// The volatile part of a member's state that applications show.
public struct SoftState: Sendable, Hashable {
  /// The leader, or 0.
  public var lead: UInt64
  /// What the member is in its term.
  public var role: RaftRole
}

/// What has to be done next: written, sent and applied.
///
/// With synchronous storage: write `hardState`, `entries` and `snapshot`, make them durable when
/// `mustSync`, then send `messages`, apply `committedEntries`, and call `advance`. With
/// asynchronous storage the writes come as `storageAppend` and `storageApply` messages.
///
/// - Source: etcd-io/raft `Ready`.
public struct Ready: Sendable {
  /// Set when it changed.
  public internal(set) var softState: SoftState?
  /// Set when it changed.
  public internal(set) var hardState: Raftpb.HardState?
  /// Reads that may be served once their index is applied.
  public internal(set) var readStates: [ReadState] = []
  /// Entries to write.
  public internal(set) var entries: [Raftpb.Entry] = []
  /// Snapshot to write before anything else is applied.
  public internal(set) var snapshot: Raftpb.Snapshot?
  /// Entries to apply.
  public internal(set) var committedEntries: [Raftpb.Entry] = []
  /// Messages to send; with synchronous storage after the writes.
  public internal(set) var messages: [Raftpb.Message] = []
  /// Whether the writes must be durable before the messages go out: entries, term or vote are new.
  public internal(set) var mustSync = false
}
