import EtcdAPI
import MVCC

/// How far the backend is behind the state, and what waits for it. A value.
///
/// Positions only move forward: `snapshotIndex <= durable <= freezing <= applied`.
struct BackendProgress: Sendable {
  typealias Position = MemberCore.Position

  /// What the backend holds durably.
  private(set) var durable: Position
  /// State of the backend at `durable`; snapshots for peers are taken from it.
  private(set) var rows: any CommittedRows
  /// What the frozen batch brings the backend to.
  private(set) var freezing: Position?
  /// Index of the newest raft snapshot, and the position of one being saved.
  var snapshotIndex: LogIndex
  var savingSnapshot: Position?
  /// Snapshots from the leader that are not in place. Another may come while one is being installed,
  /// and a batch frozen between the two would be committed to a database that is newer.
  private(set) var installations = 0
  /// The backend is behind and should be written at the next chance.
  var commitDue = false
  /// Whether `commit` was asked for and has not come.
  private(set) var commitAsked = false

  init(_ position: Position, _ rows: any CommittedRows, snapshotIndex: LogIndex) {
    durable = position
    self.rows = rows
    self.snapshotIndex = snapshotIndex
  }

  /// A snapshot from the leader is being installed: the backend is not ours to write.
  var isInstalling: Bool { installations > 0 }

  /// What the backend holds, or is about to.
  var coming: Position { freezing ?? durable }

  /// Entries that the backend held at the start were applied: the position that belongs to its rows is known.
  mutating func caughtUp(at position: Position) { durable = position }

  mutating func froze(at position: Position) {
    precondition(freezing == nil, "a batch is on its way to the backend")
    commitDue = false
    freezing = position
  }

  /// The frozen batch is in the backend. - Returns: false when a snapshot was installed over it.
  mutating func committed(_ state: any CommittedRows) -> Bool {
    guard let position = freezing else { return false }
    freezing = nil
    durable = position
    rows = state
    return true
  }

  /// The same state in another file.
  mutating func replaced(by state: any CommittedRows) { rows = state }

  mutating func beginsInstallation() { installations += 1 }

  /// A snapshot from the leader is in place. What was on its way is in it, or older.
  mutating func installed(_ position: Position, _ state: any CommittedRows) {
    durable = position
    rows = state
    freezing = nil
    savingSnapshot = nil
    snapshotIndex = position.index
  }

  mutating func endsInstallation() { installations -= 1 }

  /// - Returns: whether the end of an interval is to be waited for, after which `commitIntervalEnded` is
  ///   called.
  mutating func asksForCommit(isBehind: Bool) -> Bool {
    guard !commitAsked, !commitDue, isBehind else { return false }
    commitAsked = true
    return true
  }

  mutating func commitIntervalEnded(isBehind: Bool) {
    commitAsked = false
    commitDue = commitDue || isBehind
  }
}

/// Compactions whose callers want the rows gone from the backend.
/// - Source: etcd `EtcdServer.Compact`: the answer comes after a commit, and no time limit applies.
struct PhysicalCompactions: Sendable {
  private enum Stage {
    /// Rows are being removed.
    case running
    /// All were handed to the next commit.
    case removed
    case committing
  }

  private struct Item {
    let id: RequestID
    let revision: Int64
    let result: KVResult
    var stage = Stage.running
  }

  private var items: [Item] = []

  mutating func add(_ id: RequestID, revision: Int64, _ result: KVResult) {
    items.append(Item(id: id, revision: revision, result: result))
  }

  /// The compaction at a revision has no rows to remove any more. - Returns: whether somebody waits for it.
  mutating func finished(_ revision: Int64) -> Bool {
    move(.removed) { $0.stage == .running && $0.revision <= revision }
  }

  /// A batch was frozen that removes what was handed over.
  mutating func froze() { _ = move(.committing) { $0.stage == .removed } }

  private mutating func move(_ stage: Stage, _ isMoved: (Item) -> Bool) -> Bool {
    var found = false
    for at in items.indices where isMoved(items[at]) {
      items[at].stage = stage
      found = true
    }
    return found
  }

  /// The frozen batch is in the backend. - Returns: the answers.
  mutating func committed() -> [Reply] { take { $0.stage == .committing } }

  /// A snapshot from the leader took the place of all of them. - Returns: the answers.
  mutating func takeAll() -> [Reply] { take { _ in true } }

  private mutating func take(_ isOver: (Item) -> Bool) -> [Reply] {
    guard !items.isEmpty else { return [] }
    defer { items.removeAll(where: isOver) }
    return items.filter(isOver).map { Reply(id: $0.id, outcome: .kv($0.result)) }
  }
}
