import Bytes
import EtcdAPI

/// Linearizable reads a leader has not confirmed yet.
///
/// Reads are numbered in the order they came. A heartbeat carries the number of the latest one, and
/// a quorum of answers confirms all reads up to it: a number is never reused within a term, and
/// messages of another term are dropped, so a late answer can never confirm a later read.
///
/// - Source: Raft thesis §6.4; etcd-io/raft `readOnly`.
struct ReadOnly: Sendable {
  struct Request: Sendable {
    var message: Raftpb.Message
    /// Commit index when the read came.
    var index: UInt64
  }

  let option: ReadOnlyOption
  private var acknowledged: [UInt64: UInt64] = [:]
  private var unconfirmed: [Request] = []
  private var confirmedCount: UInt64 = 0

  init(option: ReadOnlyOption) { self.option = option }

  /// Number of the latest read.
  private var latest: UInt64 { confirmedCount + UInt64(unconfirmed.count) }

  var isFull: Bool { unconfirmed.count >= RaftLimits.pendingReadsMax }

  mutating func add(_ message: Raftpb.Message, index: UInt64) {
    unconfirmed.append(Request(message: message, index: index))
  }

  /// Context for heartbeats; empty when no read waits.
  var heartbeatContext: Bytes {
    guard !unconfirmed.isEmpty else { return Bytes() }
    var writer = ByteWriter(capacity: 16)
    writer.appendLittleEndian(latest)
    return writer.finish()
  }

  /// Takes a heartbeat answer; a context this leader cannot have sent is ignored.
  mutating func acknowledge(from id: UInt64, context: Bytes) {
    var reader = ByteReader(context)
    guard context.count == 8, let number = reader.readLittleEndian(UInt64.self), number <= latest
    else { return }
    acknowledged[id] = max(acknowledged[id] ?? 0, number)
  }

  /// The reads that a quorum has confirmed by now, in order.
  mutating func takeConfirmed(_ voters: JointQuorum) -> [Request] {
    let number = min(voters.committedIndex { acknowledged[$0] }, latest)
    guard number > confirmedCount else { return [] }
    let count = Int(number - confirmedCount)
    let result = Array(unconfirmed[..<count])
    unconfirmed.removeFirst(count)
    confirmedCount = number
    return result
  }
}

/// Answer to a read: once the application has applied `index`, the read may be served.
public struct ReadState: Sendable, Hashable {
  /// What must be applied before the read may be served.
  public var index: UInt64
  /// What the read was asked with.
  public var context: Bytes
}
