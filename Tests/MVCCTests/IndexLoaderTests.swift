import Bytes
import Testing

@testable import MVCC

@Suite struct IndexLoaderTests {
  /// Keys of all kinds in the index: short, at the inline limit, long, with long common prefixes.
  private func key(_ number: Int) -> Bytes {
    switch number % 4 {
    case 0: return Bytes("k\(number)")
    case 1: return Bytes("/registry/pods/default/\(number)/with/a/long/name")
    case 2: return Bytes("/registry/" + String(repeating: "x", count: number % 14))
    default: return Bytes([UInt8(truncatingIfNeeded: number)])
    }
  }

  private func rows(_ count: Int, seed: UInt64) -> [(key: Bytes, revision: KeyRevision)] {
    var state = seed
    return (1...count).map { main in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let number = Int(state >> 33) % (count / 2)
      return (
        key(number),
        KeyRevision(
          main: Int64(main), created: Int64(main), version: 1, sub: Int32(main % 3),
          isTombstone: state >> 60 == 0)
      )
    }
  }

  private func contents(_ index: KeyIndex) -> [(Bytes, [KeyRevision])] {
    var found: [(Bytes, [KeyRevision])] = []
    index.scan(from: Bytes(), to: nil) { entry in
      found.append((entry.key.bytes, entry.history.all))
      return true
    }
    return found
  }

  @Test(arguments: [1, 7, 500, 100_000])
  func anyBulkGivesTheIndexOfSingleAppends(bulk: Int) {
    let seed = UInt64.random(in: 0...UInt64.max)
    let rows = rows(4000, seed: seed)
    var expected = KeyIndex()
    for row in rows { expected.append(row.key, row.revision) }
    var loaded = KeyIndex()
    var loader = IndexLoader(bulk: bulk)
    for row in rows { loader.add(row.key, row.revision, to: &loaded) }
    loader.flush(to: &loaded)
    loaded.checkInvariants()
    let (a, b) = (contents(expected), contents(loaded))
    #expect(a.count == b.count && loaded.liveCount == expected.liveCount, "seed \(seed)")
    for (x, y) in zip(a, b) { #expect(x.0 == y.0 && x.1 == y.1, "seed \(seed), key \(x.0)") }
  }

  @Test func aLongKeyGetsStorageOfItsOwn() {
    final class Owner: Sendable {}
    let text = [UInt8](repeating: 65, count: 100)
    weak var watched: Owner?
    var index = KeyIndex()
    text.withUnsafeBytes { memory in
      let owner = Owner()
      watched = owner
      var loader = IndexLoader()
      loader.add(
        Bytes(owner: owner, memory),
        KeyRevision(main: 2, created: 2, version: 1, sub: 0, isTombstone: false), to: &index)
      loader.flush(to: &index)
    }
    #expect(watched == nil)
    #expect(index.find(Bytes(text))?.newest.main == 2)
  }

  @Test func prefixesAreInTheOrderOfKeys() {
    let keys = (0..<400).map { key($0) }.sorted()
    for (a, b) in zip(keys, keys.dropFirst()) {
      #expect(IndexKey(a).prefix <= IndexKey(b).prefix, "\(a) before \(b)")
    }
  }
}
