import Bytes
import TestSupport
import Testing

@testable import MVCC

@Suite struct KeyHistoryTests {
  /// Numbers that do not fit the packed form, before and behind ones that do.
  @Test func everyRevisionComesBackAsItWas() {
    let all = [
      KeyRevision(main: 5, created: 5, version: 1, sub: 0, isTombstone: false),
      KeyRevision(main: 9, created: 5, version: 65_534, sub: 65_535, isTombstone: false),
      KeyRevision(main: 10, created: 5, version: 65_535, sub: 0, isTombstone: false),
      KeyRevision(main: 10, created: 5, version: 65_536, sub: 1, isTombstone: false),
      KeyRevision(main: 1 << 40, created: 5, version: 2, sub: 70_000, isTombstone: false),
      KeyRevision(main: 1 << 41, created: 1 << 41, version: 0, sub: 3, isTombstone: true),
      KeyRevision(main: 1 << 42, created: 1 << 42, version: 1, sub: 0, isTombstone: false),
      KeyRevision(main: (1 << 42) + 1, created: -7, version: 0, sub: 0, isTombstone: false),
      KeyRevision(main: (1 << 42) + 2, created: 1, version: -3, sub: 9, isTombstone: false),
      KeyRevision(main: (1 << 42) + 3, created: 1, version: 4, sub: 9, isTombstone: true),
    ]
    for first in all.indices {
      var history = KeyHistory(all[first])
      for end in first..<all.count {
        if end > first { history.append(all[end]) }
        #expect(history.all == Array(all[first...end]))
        #expect(history.newest == all[end] && history.isLive == !all[end].isTombstone)
        for at in [0, 5, 9, 10, 11, 1 << 40, 1 << 41, 1 << 42, (1 << 42) + 2, 1 << 50] as [Int64] {
          let seen = all[first...end].last { $0.main <= at }
          #expect(history.at(at) == (seen?.isTombstone == false ? seen : nil))
          var compacted = history
          var dropped: [KeyRevision] = []
          let stays = compacted.dropFirst(compacted.superseded(at: at)) { dropped.append($0) }
          let kept = all[first...end].filter {
            $0.main > at || ($0 == seen && (!$0.isTombstone || $0.main == at))
          }
          #expect(stays == !kept.isEmpty, "\(first)...\(end) at \(at)")
          if stays { #expect(compacted.all == kept, "\(first)...\(end) at \(at)") }
          #expect(dropped.count == end - first + 1 - kept.count)
        }
      }
    }
  }

  /// A transaction may delete a key and put it again.
  @Test func aTombstoneBelowAPutOfItsRevisionIsFound() {
    var history = KeyHistory(
      KeyRevision(main: 2, created: 2, version: 1, sub: 0, isTombstone: false))
    history.append(KeyRevision(main: 3, created: 3, version: 0, sub: 0, isTombstone: true))
    history.append(KeyRevision(main: 3, created: 3, version: 1, sub: 1, isTombstone: false))
    #expect(history.hasTombstone(at: 3) && !history.hasTombstone(at: 2))
    history.append(KeyRevision(main: 4, created: 3, version: 2, sub: 0, isTombstone: false))
    #expect(history.hasTombstone(at: 3) && !history.hasTombstone(at: 4))
    #expect(MemoryLayout<KeyHistory>.size == 24)
  }
}

@Suite struct HotKeyTests {
  /// However often a key was written, a step of the compaction does no more than it may.
  @Test func aKeyWithALongHistoryIsCompactedByParts() throws {
    var index = KeyIndex()
    func revision(_ main: Int64, _ version: Int64, _ isTombstone: Bool = false) -> KeyRevision {
      KeyRevision(
        main: main, created: 2, version: version, sub: 0, isTombstone: isTombstone)
    }
    for main in Int64(2)...1_001 { index.append("hot", revision(main, main - 1)) }
    for key in ["a", "z"] as [Bytes] {
      index.append(key, revision(1_002, 1))
      index.append(key, revision(1_003, 0, true))
    }
    var (dropped, steps) = ([Int64](), 0)
    var next: Bytes? = ""
    while let start = next {
      let before = dropped.count
      next = index.compact(from: start, limit: 6, at: 900) { dropped.append($0.main) }
      #expect(dropped.count - before <= 6 * KeyIndex.dropsOfAVisit)
      #expect(index.find("hot")?.at(900)?.main == 900)
      steps += 1
    }
    #expect(dropped == Array(2...899) && steps == 10)
    #expect(index.find("hot")?.all.map(\.main) == Array(900...1_001))
    next = ""
    while let start = next {
      next = index.compact(from: start, limit: 1, at: 1_004) { dropped.append($0.main) }
    }
    #expect(index.count == 1 && index.find("hot")?.all.count == 1)
  }
}

@Suite struct RevisionListTests {
  private static func revision(_ main: Int) -> KeyRevision {
    KeyRevision(main: Int64(main), created: 1, version: Int64(main), sub: 0, isTombstone: false)
  }

  /// Like an array, through all sizes at which pieces and blocks begin and end.
  @Test func itIsAnArray() {
    var random = SeededGenerator.printed("revisions")
    var (list, array) = (RevisionList(Self.revision(1)), [Self.revision(1)])
    var main = 1
    for _ in 0..<400 {
      for _
        in 0..<Int.random(in: 0...[3, 300, 2_000].randomElement(using: &random)!, using: &random)
      {
        main += 1
        list.append(Self.revision(main))
        array.append(Self.revision(main))
      }
      let gone =
        Bool.random(using: &random) ? Int.random(in: 0..<array.count, using: &random) / 8 : 0
      list.removeFirst(gone)
      array.removeFirst(gone)
      #expect(list.count == array.count && list.last == array.last && list.first == array.first)
      for _ in 0..<20 {
        let position = Int.random(in: 0..<array.count, using: &random)
        #expect(list[position] == array[position])
        #expect(list.count(upTo: array[position].main) == position + 1)
      }
      #expect(list.count(upTo: array[0].main - 1) == 0)
    }
    #expect(Array(list) == array)
    while array.count > 1 {
      let gone = (array.count + 1) / 2
      list.removeFirst(gone)
      array.removeFirst(gone)
      #expect(Array(list) == array)
      list.append(Self.revision(main + 1))
      list.removeFirst(0)
      array.append(Self.revision(main + 1))
      main += 1
      if array.count == 2 { break }
    }
  }

  /// What a snapshot holds is not copied by the next change, except for one piece.
  @Test func aChangeBehindASnapshotCopiesOnePiece() throws {
    var list = RevisionList(Self.revision(1))
    for main in 2...100_000 { list.append(Self.revision(main)) }
    let snapshot = list
    list.append(Self.revision(100_001))
    let (before, after) = (try pieces(snapshot), try pieces(list))
    #expect(before.count == 782 && after.count == 782)
    #expect(zip(before, after).count { $0 != $1 } == 1)
    #expect(snapshot.count == 100_000 && list.count == 100_001)
  }

  /// Where the pieces are in memory.
  private func pieces(_ list: RevisionList) throws -> [UnsafeRawPointer?] {
    let storage = try #require(Mirror(reflecting: list).children.first)
    let payload = try #require(Mirror(reflecting: storage.value).children.first)
    let blocks = try #require(
      payload.value as? ContiguousArray<ContiguousArray<ContiguousArray<KeyRevision>>>)
    return blocks.joined().map { $0.withUnsafeBytes { $0.baseAddress } }
  }
}
