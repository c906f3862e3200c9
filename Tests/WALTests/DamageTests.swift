import Bytes
import EtcdAPI
import FileSystem
import Raft
import Simulation
import Testing

@testable import WAL

/// A log that was cut off or damaged is repaired or refused with file and offset: never a crash, and
/// never a record missing in the middle.
@Suite struct DamageTests {
  struct Written {
    let disk: SimulatedFileSystem
    let entries: [Raftpb.Entry]
    /// Offsets in the last segment at which records begin, and its end.
    let boundaries: [Int]
    let last: String
    /// Entries in the segments before the last one, and before each boundary.
    let entriesBefore: [Int]
  }

  /// Three segments; the last one holds several records.
  private func make() throws -> Written {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 4096)
    var entries: [Raftpb.Entry] = []
    var index: UInt64 = 1
    while try segments(disk).count < 3 {
      let batch = makeEntries(index...(index + 1), term: 1, seed: 77)
      wal.append(state: nil, entries: batch)
      try wal.flush()
      entries += batch
      index += 2
    }
    for size in [40, 700, 10, 300] {
      let entry = Raftpb.Entry(
        term: 1, index: index, data: Bytes([UInt8](repeating: 0xab, count: size)))
      wal.append(state: nil, entries: [entry])
      try wal.flush()
      entries.append(entry)
      index += 1
    }
    try wal.close()
    let last = try #require(try segments(disk).last)
    let bytes = try disk.readFile(last, limit: 1 << 20)
    var reader = SegmentReader(path: last, bytes: bytes, isLast: true, crc: 0)
    var boundaries = [0]
    var entriesBefore = [entries.count - 4]
    while case .record(let record) = try reader.next() {
      boundaries.append(reader.validEnd)
      entriesBefore.append(entriesBefore.last! + (record.kind == .entry ? 1 : 0))
    }
    return Written(
      disk: disk, entries: entries, boundaries: boundaries, last: last,
      entriesBefore: entriesBefore)
  }

  /// A log with a segment missing is refused, and nothing of it changes; a missing end cannot be told
  /// from a log that ends there, and is found by the database that is ahead of it.
  @Test func missingSegments() throws {
    let written = try make()
    let all = try segments(written.disk)
    for path in all.dropLast() {
      var random = SplitMix64(seed: 1)
      let disk = written.disk.crashed(.clean, &random)
      try disk.remove(path)
      let left = try segments(disk)
      do throws(WALError) {
        _ = try WAL.open(disk, directory: "d/wal", from: Walpb.Snapshot())
        Issue.record("opened without \(path)")
      } catch {
        #expect(error.reason == .fileNotFound, "\(error)")
        #expect(error.description.hasPrefix("wal: file not found"), "\(error)")
      }
      #expect(try segments(disk) == left)
    }
  }

  /// Records whose checksums are right and whose indices are no log's.
  @Test(arguments: [UInt64.max - 1, 1 << 63, 1 << 40])
  func anEntryFarAheadIsRefused(_ index: UInt64) throws {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata)
    wal.append(state: nil, entries: [Raftpb.Entry(term: 1, index: index, data: "x")])
    try wal.flush()
    try wal.close()
    do throws(WALError) {
      _ = try WAL.open(disk, directory: "d/wal", from: Walpb.Snapshot())
      Issue.record("opened")
    } catch {
      #expect(error.reason == .outOfRange, "\(error)")
    }
  }

  /// Names that no member gives: no segment could follow the last of all numbers.
  @Test(arguments: [UInt64.max, 1 << 63])
  func aNameBeyondAllSegmentsIsNone(_ sequence: UInt64) throws {
    let disk = try makeDisk()
    try WAL.create(disk, directory: "d/wal", metadata: metadata).close()
    let first = try #require(try segments(disk).first)
    try disk.rename(first, to: "d/wal/\(sequence.hex16)-\(UInt64(0).hex16).wal")
    try disk.open("d/wal/\(sequence.hex16)-\(UInt64(1).hex16).wal", .createNew(permissions: 0o600))
      .close()
    do throws(WALError) {
      _ = try WAL.open(disk, directory: "d/wal", from: Walpb.Snapshot())
      Issue.record("opened")
    } catch {
      #expect(error.reason == .fileNotFound, "\(error)")
    }
  }

  /// Opens; a failure must name the segment and an offset.
  private func open(
    _ disk: SimulatedFileSystem, _ context: String
  ) throws -> (contents: WALContents, repaired: Bool)? {
    do throws(WALError) {
      let (wal, contents, repaired) = try WAL.open(
        disk, directory: "d/wal", from: start, segmentBytes: 4096)
      // What was repaired can be written to and read again.
      let next = (contents.entries.last?.index ?? 0) + 1
      wal.append(state: nil, entries: makeEntries(next...next, term: 2, seed: 5))
      try wal.close()
      let again = try WAL.open(disk, directory: "d/wal", from: start, segmentBytes: 4096)
      #expect(again.1.entries.count == contents.entries.count + 1, "\(context)")
      #expect(!again.repaired, "\(context)")
      try again.0.close()
      return (contents, repaired)
    } catch {
      let text = error.description
      #expect(text.contains(".wal") && text.contains("offset"), "\(context): \(text)")
      return nil
    }
  }

  @Test func everyTruncationOfTheLastTwoRecords() throws {
    let written = try make()
    let from = written.boundaries[written.boundaries.count - 3]
    for size in from...written.boundaries.last! {
      let disk = restarted(written.disk)
      let file = try disk.open(written.last, .readWrite)
      try file.truncate(to: size)
      file.close()
      let whole = written.boundaries.lastIndex { $0 <= size }!
      let result = try #require(try open(disk, "cut at \(size)"), "cut at \(size) is refused")
      #expect(
        result.contents.entries == Array(written.entries[..<written.entriesBefore[whole]]),
        "cut at \(size)")
      #expect(result.repaired == (written.boundaries[whole] != size), "cut at \(size)")
    }
  }

  @Test func everyTornSectorOfTheLastWrite() throws {
    let written = try make()
    let begin = written.boundaries[written.boundaries.count - 4]
    let end = written.boundaries[written.boundaries.count - 3]
    var sector = begin / 512 * 512
    while sector < end {
      // Only this write was unsynced: what follows is not there yet.
      let disk = restarted(written.disk)
      let file = try disk.open(written.last, .readWrite)
      try file.truncate(to: end)
      try file.allocate(to: 4096)
      let from = max(sector, begin)
      let zeros = Bytes([UInt8](repeating: 0, count: min(sector + 512, end) - from))
      try zeros.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: from) }
      file.close()
      let result = try #require(try open(disk, "sector \(sector)"), "sector \(sector)")
      let kept = written.entriesBefore[written.boundaries.count - 4]
      #expect(result.contents.entries == Array(written.entries[..<kept]), "sector \(sector)")
      sector += 512
    }
  }

  @Test func bitFlipsNeverLoseRecordsInTheMiddle() throws {
    let written = try make()
    let count = written.boundaries.count
    var offsets = Array(written.boundaries[count - 3]..<written.boundaries[count - 1])
    for boundary in written.boundaries.dropLast() { offsets += Array(boundary..<(boundary + 16)) }
    var refused = 0
    for (number, offset) in offsets.enumerated() {
      let disk = restarted(written.disk)
      try disk.flipBit(written.last, at: offset, bit: number % 8)
      guard let result = try open(disk, "bit \(number % 8) at \(offset)") else {
        refused += 1
        continue
      }
      // What is read is a prefix of what was written: whole, or without the damaged end.
      let got = result.contents.entries
      #expect(got == Array(written.entries[..<min(got.count, written.entries.count)]))
      let damaged = written.boundaries.lastIndex { $0 <= offset }!
      #expect(got.count >= written.entriesBefore[damaged], "offset \(offset)")
    }
    #expect(refused > offsets.count / 2)
  }

  @Test func damageBeforeTheLastSegmentIsRefused() throws {
    let written = try make()
    let first = try #require(try segments(written.disk).first)
    guard case .file(let size)? = try written.disk.kind(first) else {
      Issue.record("no segment")
      return
    }
    var random = SplitMix64(seed: 3)
    for _ in 0..<200 {
      let offset = random.below(size)
      let disk = restarted(written.disk)
      try disk.flipBit(first, at: offset, bit: random.below(8))
      guard let result = try open(disk, "offset \(offset)") else { continue }
      // A bit that no record depends on: padding.
      #expect(result.contents.entries == written.entries, "offset \(offset)")
    }
  }
}
