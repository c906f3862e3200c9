import Bytes
import EtcdAPI
import Protobuf
import Raft
import Testing

@testable import MVCC

/// The index built in bulk equals the one that grew row by row.
@Suite struct IndexLoaderTests {
  /// Rows of bucket `key` alone, cut into pieces of a given size.
  final class PieceRows: CommittedRows {
    let rows: [(key: Bytes, value: Bytes)]
    let pieceRows: Int

    init(_ rows: [(key: Bytes, value: Bytes)], pieceRows: Int) {
      self.rows = rows
      self.pieceRows = pieceRows
    }

    func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? { nil }

    func scan(
      _ bucket: Bucket, from start: Bytes, _ body: (Bytes, Bytes) -> Bool
    ) throws(StoreError) {
      guard bucket == .key else { return }
      for row in rows where !(row.key < start) { guard body(row.key, row.value) else { return } }
    }

    func pieces(_ bucket: Bucket) throws(StoreError) -> [RowPiece] {
      stride(from: 0, to: rows.count, by: pieceRows).map {
        RowPiece(
          start: $0 == 0 ? Bytes() : rows[$0].key, rows: min(pieceRows, rows.count - $0))
      }
    }
  }

  struct Change {
    let key: Bytes
    let revision: KeyRevision
    let lease: LeaseID

    var row: (key: Bytes, value: Bytes) {
      var pair = Mvccpb.KeyValue(key: key)
      if !revision.isTombstone {
        pair.createRevision = revision.created
        pair.modRevision = revision.main
        pair.version = revision.version
        pair.value = Bytes("value \(revision.main)")
        pair.lease = lease.rawValue
      }
      return (revision.revision.encoded(isTombstone: revision.isTombstone), pair.encoded())
    }
  }

  /// Keys of all kinds in the index: short, at the inline limit, long, with long common prefixes.
  private func key(_ number: Int) -> Bytes {
    switch number % 6 {
    case 0: return Bytes("k\(number)")
    case 1: return Bytes("/registry/pods/default/\(number)/with/a/long/name")
    case 2: return Bytes("/registry/" + String(repeating: "x", count: number % 14))
    case 3: return Bytes("/registry/pods/" + String(repeating: "\0", count: number % 12))
    case 4: return Bytes("/registry/pods/defa" + String(number % 100_000))
    default: return Bytes([UInt8(truncatingIfNeeded: number)])
    }
  }

  /// Puts, deletions and puts again of a few keys; transactions of up to three changes.
  private func changes(_ count: Int, prefix: Bytes, seed: UInt64) -> [Change] {
    var state = seed
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    var newest: [Bytes: KeyRevision] = [:]
    var changes: [Change] = []
    var (main, sub) = (Int64(2), Int32(0))
    while changes.count < count {
      let key = Bytes(Array(prefix) + Array(key(random(count / 2 + 1))))
      let before = newest[key].flatMap { $0.isTombstone ? nil : $0 }
      let deletes = before != nil && random(4) == 0
      let revision = KeyRevision(
        main: main, created: deletes ? main : before?.created ?? main,
        version: deletes ? 0 : (before?.version ?? 0) + 1, sub: sub, isTombstone: deletes)
      newest[key] = revision
      let lease = random(3) == 0 ? LeaseID(Int64(1 + random(4))) : .none
      changes.append(Change(key: key, revision: revision, lease: deletes ? .none : lease))
      if random(3) == 0 { sub += 1 } else { (main, sub) = (main + 1 + Int64(random(2)), 0) }
    }
    return changes
  }

  private func contents(_ index: KeyIndex) -> [(Bytes, [KeyRevision])] {
    var found: [(Bytes, [KeyRevision])] = []
    index.scan(from: Bytes(), to: nil) { entry in
      found.append((entry.key.bytes, entry.history.all))
      return true
    }
    return found
  }

  private func expectEqual(_ loaded: KeyIndex, _ grown: KeyIndex, _ context: String) {
    #expect(loaded.checkInvariants() == nil)
    let (a, b) = (contents(grown), contents(loaded))
    #expect(a.count == b.count && loaded.liveCount == grown.liveCount, "\(context)")
    for (x, y) in zip(a, b) { #expect(x.0 == y.0 && x.1 == y.1, "\(context), key \(x.0)") }
  }

  /// Parts one after the other, the last first: their order must not matter.
  private func shuffled(_ width: Int) -> Workers {
    Workers(width: width) { count, body in
      for number in (0..<count).reversed() { body(number) }
    }
  }

  @Test(arguments: [1, 2, 3, 8], ["", "/registry/p", "a prefix that is longer than any window"])
  func anyCutGivesTheIndexOfSingleAppends(width: Int, prefix: String) throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    let changes = changes(3000, prefix: Bytes(prefix), seed: seed)
    var grown = KeyIndex()
    for change in changes { grown.append(change.key, change.revision) }
    for (pieceRows, bulk) in [(40, 100_000), (100, 700), (5000, 1), (7, 50)] {
      let rows = PieceRows(changes.map(\.row), pieceRows: pieceRows)
      var loader = IndexLoader(rows, workers: shuffled(width), bulk: bulk)
      try loader.load()
      let context = "seed \(seed) pieces \(pieceRows) bulk \(bulk)"
      expectEqual(loader.index, grown, context)
      #expect(loader.last == changes.last?.revision.revision)
      var leased: [Bytes: LeaseID] = [:]
      for change in changes { leased[change.key] = change.lease == .none ? nil : change.lease }
      let found = loader.leasedKeys()
      #expect(found.count == leased.count, "\(context)")
      for (key, lease) in found { #expect(leased[key] == lease, "\(context) \(key)") }
    }
  }

  /// A store that was changed by requests, compacted and committed to a database file.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func aRestoredStoreHasTheIndexThatRequestsMade(seed: UInt64) throws {
    var requests = RandomRequests(random: .init(seed: seed))
    var backend = try FileBackend()
    var store = try MVCCStore.restore(from: backend.state())
    for step in 1...600 {
      _ = try? store.apply(requests.put())
      if requests.below(3) == 0 { _ = try? store.apply(requests.delete()) }
      let long = Bytes("/registry/services/endpoints/default/kubernetes-\(requests.below(20))")
      _ = try store.apply(Etcdserverpb.PutRequest(key: long, value: Bytes("\(step)")))
      if step % 200 == 0 {
        _ = try? store.compact(to: store.revision - Int64(requests.below(50)))
        while store.compactStep(limit: 100, dropsMax: .max) == nil {}
      }
      if step % 50 == 0 {
        store.didCommit(
          try backend.commit(store.freeze(appliedIndex: LogIndex(UInt64(step)), term: 1)))
      }
    }
    for width in [1, 3] {
      let restored = try MVCCStore.restore(from: backend.state(), workers: shuffled(width))
      expectEqual(restored.index, store.index, "seed \(seed)")
      #expect(restored.revision == store.revision)
    }
  }

  @Test func rowsOutOfOrderAreDamage() {
    let changes = changes(20, prefix: Bytes(), seed: 1)
    var rows = changes.map(\.row)
    rows.swapAt(3, 12)
    for pieceRows in [100, 4] {
      let state = PieceRows(rows, pieceRows: pieceRows)
      var loader = IndexLoader(state, workers: .serial, bulk: 5)
      #expect(throws: StoreError.self) { try loader.load() }
    }
  }

  @Test func rowsThatCannotBeReadAreDamage() {
    let good = changes(1, prefix: Bytes(), seed: 1)[0].row
    let bad: [(key: Bytes, value: Bytes)] = [
      (Bytes("no revision"), good.value), (good.key, Bytes([0x0A, 0x7F, 1])),
      (good.key, Bytes([0x10])), (good.key, Bytes([0x0A])),
      (good.key, Bytes([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])),
    ]
    for row in bad {
      var loader = IndexLoader(PieceRows([row], pieceRows: 1), workers: .serial)
      #expect(throws: StoreError.self) { try loader.load() }
    }
  }

  /// Numbers that need ten bytes and fields of a later version are read as protobuf says.
  @Test func unusualRowsAreReadAsProtobuf() throws {
    let revision = Revision(main: 9)
    let value = Bytes(
      [0x0A, 1, 0x61, 0x10] + [UInt8](repeating: 0xFF, count: 9) + [1, 0x20, 3, 0x78, 5])
    var loader = IndexLoader(
      PieceRows([(revision.encoded(), value)], pieceRows: 1), workers: .serial)
    try loader.load()
    let expected = KeyRevision(main: 9, created: -1, version: 3, sub: 0, isTombstone: false)
    #expect(loader.index.find(Bytes("a"))?.newest == expected)
  }

  @Test func windowsAreInTheOrderOfKeys() {
    let keys = (0..<600).map { key($0) }.sorted()
    for (a, b) in zip(keys, keys.dropFirst()) {
      let rows = [a, b].map { $0.withUnsafeBytes { RowKey($0) } }
      #expect(!(rows[1] < rows[0]) && (rows[0] == rows[1]) == (a == b), "\(a) before \(b)")
      for skip in 0...rows[0].sharedPrefix(rows[1], limit: RowKey.skipMax) {
        #expect(rows[0].window(skip) <= rows[1].window(skip), "\(a) before \(b), skip \(skip)")
      }
      #expect(rows[0].bytes == a)
    }
    withExtendedLifetime(keys) {}
  }
}
