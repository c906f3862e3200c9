import Bytes
import EtcdAPI
import Protobuf

/// A compaction at its beginning: the state before it, from which the hash is computed that members
/// compare. O(1) to make; the hash takes a look at every row, off the threads that others wait for.
public struct UnhashedCompaction: Sendable {
  let state: StoreSnapshot
  let target: Int64

  /// Hash of the revisions up to the compacted one, as they were before it.
  ///
  /// It is the hash that Go etcd computes while it compacts: the state counts as compacted where the
  /// compaction before it ended.
  /// - Throws: `damaged`.
  /// - Source: etcd `mvcc/kvstore_compaction.go`, whose set of kept rows has tombstones at the target.
  public func hash() throws(StoreError) -> StoreSnapshot.Hash {
    try state.hash(at: target, countsTombstones: true)
  }
}

extension StoreSnapshot {
  /// Hash of all revisions up to one, equal on members that hold the same history.
  /// - Parameter at: 0 = newest.
  public struct Hash: Equatable, Sendable {
    public let hash: UInt32
    /// Compacted revision of the state that was hashed; −1 when nothing was compacted.
    public let compactRevision: Int64
    /// Newest revision that counts.
    public let revision: Int64

    /// A hash that somebody else computed.
    public init(hash: UInt32, compactRevision: Int64, revision: Int64) {
      self.hash = hash
      self.compactRevision = compactRevision
      self.revision = revision
    }
  }

  /// CRC-32C over the rows of bucket `key` up to a revision, seeded with the bucket's name.
  ///
  /// Rows at or before the compacted revision count only when they are still visible at `at`; where no
  /// key is left at `at`, those count that a compaction keeps when it is finished. Members which removed
  /// more or less of them agree, therefore. A tombstone exactly there never counts.
  /// - Throws: `compacted`, `futureRevision`, `damaged`.
  /// - Source: etcd `mvcc/hash.go`.
  public func hash(at: Int64) throws(StoreError) -> Hash {
    try hash(at: at, countsTombstones: false)
  }

  /// - Parameter countsTombstones: whether a tombstone exactly at `at` is something that is left.
  func hash(at: Int64, countsTombstones: Bool) throws(StoreError) -> Hash {
    if at > 0, at < compactRevision { throw .compacted }
    if at > revision { throw .futureRevision }
    let upTo = at == 0 ? revision : at
    var anyKept = false
    index.scan(from: Bytes(), to: nil) { entry in
      anyKept =
        entry.history.at(upTo) != nil || (countsTombstones && entry.history.hasTombstone(at: upTo))
      return !anyKept
    }
    var crc = CRC32C.update(0, Bucket.key.name)
    var problem: StoreError?
    func add(_ key: Bytes, _ value: Bytes, _ rev: Revision, _ isTombstone: Bool) -> Bool {
      guard rev.main <= upTo else { return false }
      if rev.main <= compactRevision {
        guard let pair = try? Mvccpb.KeyValue.decode(value) else {
          problem = .damaged("row \(key) of bucket key is not decodable")
          return false
        }
        let counts = index.find(pair.key)?.at(anyKept ? upTo : compactRevision)
        guard counts?.revision == rev else { return true }
        if rev.main == compactRevision, isTombstone { return true }
      }
      crc = CRC32C.update(CRC32C.update(crc, key), value)
      return true
    }
    try committed.scan(.key, from: Bytes()) { key, value in
      guard let (rev, isTombstone) = Revision.decode(key) else {
        problem = .damaged("row \(key) of bucket key is no revision")
        return false
      }
      return add(key, value, rev, isTombstone)
    }
    if let problem { throw problem }
    for log in [frozen, active].compactMap({ $0 }) {
      for position in 0..<log.count {
        let row = log[position]
        let key = row.revision.encoded(isTombstone: row.isTombstone)
        guard add(key, row.value, row.revision, row.isTombstone) else { break }
      }
    }
    if let problem { throw problem }
    return Hash(hash: crc, compactRevision: compactRevision, revision: upTo)
  }
}
