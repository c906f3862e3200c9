import Bytes
import EtcdAPI

/// The keys that this proxy has for itself, as long as it holds their leasing keys, and what it knows of them. Pure: the
/// time comes from outside.
///
/// Nobody who keeps to the protocol writes such a key before its owner has given it up, so that its owner answers reads
/// without asking anybody. What the owner writes itself makes him forget the answer, not the ownership.
///
/// - Source: etcd `client/v3/leasing/cache.go`.
struct LeasingTable {
  private struct Owned {
    /// The revision that created its leasing key.
    let revision: Int64
    var answer: Etcdserverpb.RangeResponse?
  }

  /// When an answer was asked for.
  struct Ticket: Equatable, Sendable { fileprivate let serial: UInt64 }

  private var owned: [Bytes: Owned] = [:]
  /// Keys that others wanted, and until when they are left to them.
  private var left: [Bytes: UInt64] = [:]
  /// What this proxy writes now, whosever it is.
  private var writing: [UInt64: [RangeCache.Interval]] = [:]
  /// What the last writes were about, once for their beginning and once for their end, the newest behind.
  private var recent: [[RangeCache.Interval]] = []
  private var serial: UInt64 = 0

  /// Keys of a proxy; others are read from the cluster.
  static let ownedMax = 10_000
  /// How long a key is left to others that was given up, in nanoseconds.
  /// - Source: etcd `leasing.revokeBackoff`.
  static let pause: UInt64 = 2_000_000_000

  /// Beginnings and ends of writes that are remembered.
  private static let recentMax = 256

  /// What a read of an owned key is answered with.
  func answer(_ key: Bytes) -> Etcdserverpb.RangeResponse? { owned[key]?.answer }

  /// Whether a key is this proxy's.
  func isOwned(_ key: Bytes) -> Bool { owned[key] != nil }

  /// For an answer that is asked for now.
  var ticket: Ticket { Ticket(serial: serial) }

  /// An answer about an owned key has come.
  mutating func keep(_ key: Bytes, _ answer: Etcdserverpb.RangeResponse, asked: Ticket) {
    if !mayHaveChanged(key, since: asked) { owned[key]?.answer = answer }
  }

  private func mayHaveChanged(_ key: Bytes, since asked: Ticket) -> Bool {
    let point = RangeCache.Interval(key: key, end: Bytes())
    func isAbout(_ intervals: [RangeCache.Interval]) -> Bool {
      intervals.contains { $0.meets(point) }
    }
    let missed = serial &- asked.serial
    return missed > UInt64(recent.count) || recent.suffix(Int(missed)).contains(where: isAbout)
      || writing.values.contains(where: isAbout)
  }

  /// Whether a key may be taken.
  func mayAcquire(_ key: Bytes, now: UInt64) -> Bool {
    owned.count < Self.ownedMax && left[key].map { $0 <= now } ?? true
  }

  /// A key is this proxy's from now on.
  /// - Parameter revision: that created its leasing key.
  mutating func acquire(
    _ key: Bytes, revision: Int64, _ answer: Etcdserverpb.RangeResponse, asked: Ticket
  ) {
    owned[key] = Owned(revision: revision)
    left[key] = nil
    keep(key, answer, asked: asked)
  }

  /// The revision that created the leasing key of an owned key, or 0: nobody else's may be as old.
  func revision(_ key: Bytes) -> Int64 { owned[key]?.revision ?? 0 }

  /// A write begins.
  /// - Returns: what `endWrite` is given.
  mutating func beginWrite(_ intervals: [RangeCache.Interval]) -> UInt64 {
    note(intervals)
    writing[serial] = intervals
    for key in keys(intervals) { owned[key]?.answer = nil }
    return serial
  }

  /// - Parameter isKnown: whether it was carried out, or certainly not.
  mutating func endWrite(_ id: UInt64, isKnown: Bool, now: UInt64) {
    guard let intervals = writing.removeValue(forKey: id) else { return }
    note(intervals)
    if !isKnown { for key in keys(intervals) { giveUp(key, now: now) } }
  }

  private mutating func note(_ intervals: [RangeCache.Interval]) {
    serial &+= 1
    if recent.count == Self.recentMax { recent.removeFirst(Self.recentMax / 2) }
    recent.append(intervals)
  }

  /// Owned keys in some intervals.
  private func keys(_ intervals: [RangeCache.Interval]) -> [Bytes] {
    if intervals.allSatisfy(\.end.isEmpty) {
      return Set(intervals.map(\.key)).filter { owned[$0] != nil }
    }
    return owned.keys.filter { key in
      intervals.contains { $0.meets(.init(key: key, end: Bytes())) }
    }
  }

  /// A key is nobody's, or somebody else's.
  mutating func giveUp(_ key: Bytes, now: UInt64) {
    guard owned.removeValue(forKey: key) != nil else { return }
    if left.count >= Self.ownedMax { left = left.filter { $0.value > now } }
    left[key] = now &+ Self.pause
  }

  /// The session is over.
  mutating func clear() { owned = [:] }
}

extension Etcdserverpb.RangeRequest {
  /// What the answer to a read of the whole key is to this one.
  /// - Source: etcd `leasing.leaseKey.get`.
  func select(_ answer: Etcdserverpb.RangeResponse) -> Etcdserverpb.RangeResponse {
    var answer = answer
    answer.kvs = answer.kvs.filter { pair in
      !countOnly && pair.modRevision >= minModRevision && pair.createRevision >= minCreateRevision
        && (maxModRevision == 0 || pair.modRevision <= maxModRevision)
        && (maxCreateRevision == 0 || pair.createRevision <= maxCreateRevision)
    }
    if keysOnly { for at in answer.kvs.indices { answer.kvs[at].value = Bytes() } }
    return answer
  }
}
