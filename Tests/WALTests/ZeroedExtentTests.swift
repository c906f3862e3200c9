import EtcdAPI
import FileSystem
import Testing

@testable import WAL

/// Zeros ahead of the log.
@Suite struct ZeroedExtentTests {
  private let segment = 1 << 20

  @Test func smallFlushesWriteAheadOnceInAWhile() {
    var extent = ZeroedExtent(end: 100)
    let ahead = ZeroedExtent.aheadBytes
    #expect(extent.ahead(of: 100..<400, segmentBytes: segment) == 400..<(400 + ahead))
    // Up to the end of the zeros nothing is written, whatever the size.
    #expect(extent.ahead(of: 400..<90_000, segmentBytes: segment) == nil)
    #expect(extent.ahead(of: 90_000..<(400 + ahead), segmentBytes: segment) == nil)
    let next = (400 + ahead)..<(401 + ahead)
    #expect(
      extent.ahead(of: next, segmentBytes: segment) == next.upperBound..<(next.upperBound + ahead))
  }

  @Test func largeFlushesWriteTheirOwnBytesAlone() {
    var extent = ZeroedExtent(end: 0)
    let large = 0..<(ZeroedExtent.flushBytesMax + 1)
    #expect(extent.ahead(of: large, segmentBytes: segment) == nil)
    let small = large.upperBound..<(large.upperBound + 10)
    #expect(extent.ahead(of: small, segmentBytes: segment)?.lowerBound == small.upperBound)
  }

  /// A segment does not grow by zeros.
  @Test func zerosEndWithTheSegment() {
    var extent = ZeroedExtent(end: 0)
    let last = (segment - 20)..<(segment - 10)
    let rest = (segment - 10)..<segment
    #expect(extent.ahead(of: last, segmentBytes: segment) == rest)
    let beyond = rest.lowerBound..<(segment + 5)
    #expect(extent.ahead(of: beyond, segmentBytes: segment) == nil)
    var other = ZeroedExtent(end: 0)
    #expect(other.ahead(of: 0..<segment, segmentBytes: segment) == nil)
  }

  /// The file keeps its size and its records, and what is behind them is zero.
  @Test func zerosStandBehindTheRecords() throws {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 300_000)
    for round: UInt64 in 0..<40 {
      wal.append(
        state: nil, entries: makeEntries((round * 9 + 1)...(round * 9 + 9), term: 1, seed: 1))
      try wal.flush()
    }
    let name = try #require(try segments(disk).first)
    let bytes = try disk.readFile(name, limit: 1 << 20)
    #expect(bytes.count == 300_000)
    try wal.close()
    let contents = try WAL.open(disk, directory: "d/wal", from: start).1
    #expect(contents.entries == makeEntriesOfRounds(40))
  }

  private func makeEntriesOfRounds(_ rounds: UInt64) -> [Raftpb.Entry] {
    (0..<rounds).flatMap { makeEntries(($0 * 9 + 1)...($0 * 9 + 9), term: 1, seed: 1) }
  }
}
