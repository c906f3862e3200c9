import EtcdAPI

/// What waits for the log thread, and in which order it is done. A value: the host keeps it behind a
/// mutex, the simulation drives it by hand.
///
/// Guarantees:
/// 1. Appends are written in the order in which they were added, everything that waits as one batch.
/// 2. A batch ends at a snapshot from the leader; nothing is written until that is installed, so that
///    entries behind it are reported after it.
/// 3. A raft snapshot is saved after the appends that were added before it: it is good only when the
///    log knows that it was committed.
public struct LogQueue: Sendable {
  /// A piece of work for the log thread.
  public enum Job: Sendable {
    /// Make these durable, then call `written`.
    case write([LogAppend])
    /// Save the snapshot beside the log, then post `MemberEvent.snapshotSaved`.
    case save(Raftpb.Snapshot)
  }

  private var appends: [LogAppend] = []
  private var added = 0
  private var taken = 0
  private var saves: [(after: Int, snapshot: Raftpb.Snapshot)] = []
  private var isInstalling = false

  public init() {}

  public mutating func add(_ new: [LogAppend]) {
    appends += new
    added += new.count
  }

  public mutating func add(_ snapshot: Raftpb.Snapshot) { saves.append((added, snapshot)) }

  /// Whether `next` gives a job.
  public var hasWork: Bool { !isInstalling && !(appends.isEmpty && saves.isEmpty) }

  /// Takes the next job; `nil` when nothing waits or an installation is under way.
  public mutating func next() -> Job? {
    guard !isInstalling else { return nil }
    if let save = saves.first, save.after <= taken {
      saves.removeFirst()
      return .save(save.snapshot)
    }
    guard !appends.isEmpty else { return nil }
    let end = appends.firstIndex { $0.snapshot != nil }.map { $0 + 1 } ?? appends.count
    taken += end
    if end == appends.count { return .write(exchange(&appends, with: [])) }
    let batch = Array(appends[..<end])
    appends.removeFirst(end)
    return .write(batch)
  }

  /// A batch is durable.
  /// - Returns: what to tell the core, and the append whose snapshot is to be installed; the queue
  ///   stands still until `installed` is called.
  public mutating func written(
    _ batch: [LogAppend]
  ) -> (events: [MemberEvent], install: LogAppend?) {
    guard let last = batch.last, last.snapshot != nil else {
      return (batch.map { .appended($0) }, nil)
    }
    isInstalling = true
    return (batch.dropLast().map { .appended($0) }, last)
  }

  /// The snapshot is in place and `MemberEvent.installed` was posted: the log goes on.
  public mutating func installed() {
    precondition(isInstalling, "no installation is under way")
    isInstalling = false
  }
}
