/// The append messages on the way to one follower: a window bounded by number and by bytes.
///
/// The byte bound is soft: a message may start while there is any room.
///
/// - Source: Raft thesis §10.2.1 (pipelining); etcd-io/raft `tracker.Inflights`.
public struct Inflights: Sendable, Hashable {
  private struct Flight: Sendable, Hashable {
    /// Index of the last entry in the message.
    var index: UInt64
    var bytes: UInt64
  }

  private let limit: Int
  private let byteLimit: UInt64
  /// Ring, grown on demand up to `limit` so that an idle follower costs nothing.
  private var ring: [Flight] = []
  private var start = 0
  /// Messages on the way.
  public private(set) var count = 0
  /// Payload bytes on the way.
  public private(set) var bytes: UInt64 = 0

  /// - Parameter byteLimit: 0 for no limit.
  public init(limit: Int, byteLimit: UInt64) {
    precondition(limit > 0, "in-flight limit is \(limit)")
    self.limit = limit
    self.byteLimit = byteLimit
  }

  /// Whether no more message may be sent.
  public var isFull: Bool { count == limit || (byteLimit != 0 && bytes >= byteLimit) }

  /// Counts a message in; indexes must ascend.
  /// - Traps: when full.
  mutating func add(index: UInt64, bytes size: UInt64) {
    precondition(!isFull, "\(count) messages and \(bytes) bytes fill the in-flight window")
    if count == ring.count { grow() }
    var at = start + count
    if at >= ring.count { at -= ring.count }
    ring[at] = Flight(index: index, bytes: size)
    count += 1
    bytes += size
  }

  private mutating func grow() {
    var larger: [Flight] = []
    larger.reserveCapacity(min(max(ring.count * 2, 4), limit))
    for at in 0..<count { larger.append(ring[(start + at) % ring.count]) }
    let size = min(max(ring.count * 2, 4), limit)
    while larger.count < size { larger.append(Flight(index: 0, bytes: 0)) }
    ring = larger
    start = 0
  }

  /// Counts out all messages whose last entry is at or before `index`.
  mutating func free(through index: UInt64) {
    while count > 0 && ring[start].index <= index {
      bytes -= ring[start].bytes
      count -= 1
      start = start + 1 == ring.count ? 0 : start + 1
    }
    if count == 0 { start = 0 }
  }

  /// Last entries of the oldest and of the newest message on the way; `nil` when there is none.
  var range: ClosedRange<UInt64>? {
    guard count > 0 else { return nil }
    let (first, last) = (flight(0).index, flight(count - 1).index)
    return first <= last ? first...last : nil
  }

  private func flight(_ position: Int) -> Flight { ring[(start + position) % ring.count] }

  /// Guarantees:
  /// 1. No more messages than `limit`.
  /// 2. `bytes` is the sum of theirs.
  /// 3. Their indexes ascend.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    guard count <= limit else { return "1: \(count) messages in flight, limit \(limit)" }
    var sum: UInt64 = 0
    for position in 0..<count {
      sum += flight(position).bytes
      guard position == 0 || flight(position - 1).index < flight(position).index else {
        return "3: the message in flight up to \(flight(position).index) is out of order"
      }
    }
    return sum == bytes ? nil : "2: \(bytes) bytes in flight, \(sum) found"
  }

  /// Counts out everything.
  mutating func reset() {
    start = 0
    count = 0
    bytes = 0
  }
}
