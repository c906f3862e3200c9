import Bytes

/// One direction of one connection: bytes go in, and come out when the rule of their link lets them. Pure: time
/// and chance are given. In order, for it is a stream.
///
/// - Units: nanoseconds of one clock.
struct DelayLine {
  /// What may leave.
  enum Release: Equatable {
    case bytes(Bytes)
    /// The sender's end of the stream.
    case end
  }

  private struct Entry {
    let due: UInt64
    let release: Release
  }

  /// Bytes that wait here; beyond, the sender is not read from.
  static let bytesMax = 256 << 10
  /// How long TCP waits before it sends a segment for the second time; doubled each time after.
  /// - Source: Linux `TCP_RTO_MIN`.
  static let retransmission: UInt64 = 200_000_000
  /// Losses of one segment in a row that end the connection.
  static let lossesMax = 6

  private var entries: [Entry] = []
  private var first = 0
  private(set) var bytesWaiting = 0
  private var lastDue: UInt64 = 0
  /// When the limited link has sent what it has.
  private var freeAt: UInt64 = 0
  /// Whether bytes were swallowed: what comes after them is torn.
  private(set) var hasLost = false
  /// Whether a segment was lost too often: TCP has given up.
  private(set) var isDead = false

  var isEmpty: Bool { first == entries.count }
  var isFull: Bool { bytesWaiting >= Self.bytesMax }

  /// Takes what the sender sent.
  /// - Parameter chance: a number from 0 to 1.
  mutating func add(
    _ bytes: Bytes, _ rule: LinkRule, now: UInt64, chance: () -> Double
  ) {
    guard rule.cut != .swallow else {
      hasLost = true
      return
    }
    var due = now
    if let rate = rule.rate, rate > 0 {
      // checked: a read has at most megabytes
      let time = UInt64(bytes.count) &* 1_000_000_000 / rate
      freeAt = max(freeAt, now) &+ time
      due = freeAt
    }
    due = due &+ rule.delay
    if rule.jitter > 0 {
      // checked: at most twice the jitter
      due = due &+ UInt64(chance() * Double(rule.jitter) * 2)
      due = due > now &+ rule.jitter ? due &- rule.jitter : now
    }
    due = due &+ lostTime(rule, chance)
    append(.bytes(bytes), due)
    bytesWaiting += bytes.count
  }

  private mutating func lostTime(_ rule: LinkRule, _ chance: () -> Double) -> UInt64 {
    guard rule.loss > 0 else { return 0 }
    var time: UInt64 = 0
    var losses = 0
    while chance() < rule.loss {
      time = time &+ Self.retransmission << UInt64(losses)
      losses += 1
      if losses == Self.lossesMax {
        isDead = true
        break
      }
    }
    return time
  }

  /// The sender sends no more.
  mutating func end(now: UInt64) { append(.end, now) }

  private mutating func append(_ release: Release, _ due: UInt64) {
    lastDue = max(lastDue, due)
    entries.append(Entry(due: lastDue, release: release))
  }

  /// What may leave now, in order.
  mutating func take(_ rule: LinkRule, now: UInt64) -> [Release] {
    switch rule.cut {
    case .hold, .refuse: return []
    case .swallow:
      if bytesWaiting > 0 { hasLost = true }
      // The end of a stream is sent again and again until it arrives.
      let hadEnd = entries[first...].contains { $0.release == .end }
      clear()
      if hadEnd { append(.end, lastDue) }
      return []
    case nil: break
    }
    var found: [Release] = []
    while first < entries.count, entries[first].due <= now {
      found.append(entries[first].release)
      if case .bytes(let bytes) = entries[first].release { bytesWaiting -= bytes.count }
      first += 1
    }
    if first == entries.count { clear() }
    return found
  }

  private mutating func clear() {
    entries.removeAll(keepingCapacity: true)
    first = 0
    bytesWaiting = 0
  }

  /// When something may leave that waits for its time; `nil` when nothing does.
  func nextDue(_ rule: LinkRule) -> UInt64? {
    rule.cut == nil && !isEmpty ? entries[first].due : nil
  }
}
