import Bytes

/// Answers to serializable reads, so that one who asks in a tight loop does not load the cluster. Pure: the time comes
/// from outside.
///
/// An answer is used for a second at most, by those alone who show the same token, and until something passes by that
/// may have changed it: a write through this proxy, or an event of a watch.
///
/// - Source: etcd `grpcproxy/cache/store.go`. There an answer stays until this very proxy writes the key, however often
///   others do, and whoever asks gets what another may read.
struct RangeCache {
  /// What an answer is kept under.
  struct Key: Hashable, Sendable {
    let token: Bytes
    let request: Bytes
  }

  /// Keys, as requests name them.
  struct Interval: Equatable, Sendable {
    let key: Bytes
    let end: Bytes

    private static let everything = Bytes([0])

    /// Whether there can be a key in both.
    func meets(_ other: Interval) -> Bool { reaches(other.key) && other.reaches(key) }

    /// Whether a key lies in it, or something of it lies behind the key.
    private func reaches(_ other: Bytes) -> Bool {
      if end == Self.everything { return true }
      return end.isEmpty ? other <= key : other < end
    }
  }

  /// When an answer was asked for.
  struct Ticket: Equatable, Sendable { fileprivate let serial: UInt64 }

  private struct Entry {
    let interval: Interval
    /// 0 for one that changes.
    let revision: Int64
    let answer: Bytes
    let until: UInt64
    /// Neighbours in the order of use.
    var older: Key?
    var newer: Key?
  }

  private var entries: [Key: Entry] = [:]
  private var oldest: Key?
  private var newest: Key?
  private var bytes = 0
  private var compacted: Int64 = 0
  /// The last writes, the newest at the end; each has a serial number.
  private var writes: [Interval] = []
  private var serial: UInt64 = 0

  /// Answers, and bytes of all of them and of one.
  static let entriesMax = 2_048
  static let bytesMax = 64 << 20
  static let entryBytesMax = 1 << 20
  /// Writes that are remembered, for answers that are under way.
  private static let writesMax = 256
  /// How long an answer is used, in nanoseconds.
  static let lifetime: UInt64 = 1_000_000_000

  var count: Int { entries.count }

  /// What was answered to the same question.
  mutating func answer(_ key: Key, now: UInt64) -> Bytes? {
    guard let entry = entries[key] else { return nil }
    guard entry.until > now, entry.revision == 0 || entry.revision >= compacted else {
      remove(key)
      return nil
    }
    unlink(key)
    link(key)
    return entry.answer
  }

  /// Whether a revision is known to be compacted.
  func isCompacted(_ revision: Int64) -> Bool { revision > 0 && revision < compacted }

  /// A question goes out now.
  var ticket: Ticket { Ticket(serial: serial) }

  /// An answer has come; it is left out when something may have changed it since the question.
  mutating func add(
    _ key: Key, _ interval: Interval, revision: Int64, _ answer: Bytes, asked: Ticket, now: UInt64
  ) {
    let size = Self.size(key, answer)
    guard size <= Self.entryBytesMax, !hasChanged(interval, since: asked, revision) else { return }
    remove(key)
    entries[key] = Entry(
      interval: interval, revision: revision, answer: answer, until: now &+ Self.lifetime)
    bytes &+= size
    link(key)
    while entries.count > Self.entriesMax || bytes > Self.bytesMax, let oldest { remove(oldest) }
  }

  private static func size(_ key: Key, _ answer: Bytes) -> Int {
    key.token.count &+ key.request.count &+ answer.count
  }

  private func hasChanged(_ interval: Interval, since asked: Ticket, _ revision: Int64) -> Bool {
    let missed = serial &- asked.serial
    if missed == 0 || revision != 0 { return false }
    guard missed <= UInt64(writes.count) else { return true }
    return writes.suffix(Int(missed)).contains { $0.meets(interval) }
  }

  /// Keys have changed, or may have.
  mutating func invalidate(_ interval: Interval) {
    serial &+= 1
    if writes.count == Self.writesMax { writes.removeFirst(Self.writesMax / 2) }
    writes.append(interval)
    if entries.isEmpty { return }
    for (key, entry) in entries where entry.revision == 0 && entry.interval.meets(interval) {
      remove(key)
    }
  }

  /// What is older than a revision is gone.
  mutating func compact(_ revision: Int64) { compacted = Swift.max(compacted, revision) }

  // MARK: order of use

  private mutating func remove(_ key: Key) {
    guard let entry = entries[key] else { return }
    unlink(key)
    entries[key] = nil
    bytes &-= Self.size(key, entry.answer)
  }

  private mutating func unlink(_ key: Key) {
    guard let entry = entries[key] else { return }
    if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
    if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
  }

  private mutating func link(_ key: Key) {
    entries[key]?.older = newest
    entries[key]?.newer = nil
    if let newest { entries[newest]?.newer = key } else { oldest = key }
    newest = key
  }
}
