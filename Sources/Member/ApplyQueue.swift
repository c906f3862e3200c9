import EtcdAPI
import MVCC

/// Committed entries that raft handed out and that are not applied yet: none as a rule. They wait while
/// one of them takes so long that it is done in steps.
struct ApplyQueue: Sendable {
  /// An entry that is applied in steps.
  struct Bulk: Sendable {
    let entry: Raftpb.Entry
    /// Id of its request.
    let id: RequestID
    let operation: ApplyOperation
    /// Nanoseconds that its steps of earlier turns took.
    var spent: UInt64 = 0
    /// What readers see until it is over.
    let before: StoreSnapshot
    var work: Work
  }

  /// What is done in steps.
  enum Work: Sendable {
    case revocation(_ lease: LeaseID, BulkDelete)
    case transaction(Transaction)
    /// Being worked on.
    case taken
  }

  private var messages: [Raftpb.Message] = []
  /// Entries of the first message that are applied.
  private var position = 0
  var bulk: Bulk?

  /// The lease whose keys are being deleted: it is none any more, and whoever leads still knows its deadline.
  var leavingLease: LeaseID? {
    if case .revocation(let lease, _)? = bulk?.work { lease } else { nil }
  }

  mutating func add(_ message: Raftpb.Message) { messages.append(message) }

  /// The next entry; `nil` when a message, or everything, is done.
  mutating func nextEntry() -> Raftpb.Entry? {
    guard let first = messages.first, position < first.entries.count else { return nil }
    position += 1
    return first.entries[position - 1]
  }

  /// Takes the first message, whose entries are applied. - Returns: what raft is to hear of it.
  mutating func finishMessage() -> [Raftpb.Message]? {
    guard let first = messages.first else { return nil }
    precondition(position == first.entries.count, "\(position) of \(first.entries.count) applied")
    messages.removeFirst()
    position = 0
    return first.responses
  }

  /// Forgets everything. - Returns: what raft would have heard.
  mutating func drop() -> [Raftpb.Message] {
    let responses = messages.flatMap(\.responses)
    self = ApplyQueue()
    return responses
  }
}
