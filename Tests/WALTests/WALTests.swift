import Bytes
import EtcdAPI
import FileSystem
import Protobuf
import Raft
import Simulation
import Testing

@testable import WAL

/// Writing, cutting, reopening and releasing of the log.
@Suite struct WALTests {
  @Test func roundTripOverManySegments() throws {
    let disk = try makeDisk()
    var wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 2048)
    var written: [Raftpb.Entry] = []
    var state = Raftpb.HardState()
    for round: UInt64 in 0..<20 {
      let entries = makeEntries((round * 5 + 1)...(round * 5 + 5), term: 1 + round / 7, seed: 1)
      state = Raftpb.HardState(term: 1 + round / 7, vote: 3, commit: round * 5)
      wal.append(state: state, entries: entries)
      try wal.flush(durably: round % 2 == 0)
      written += entries
      if round % 6 == 5 {
        try wal.close()
        let (next, contents, repaired) = try WAL.open(
          disk, directory: "d/wal", from: start, segmentBytes: 2048)
        #expect(contents.entries == written)
        #expect(contents.state == state)
        #expect(contents.metadata == metadata)
        #expect(!repaired)
        wal = next
      }
    }
    #expect(try segments(disk).count > 5)
  }

  @Test func aLaterTermReplacesATail() throws {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 1024)
    wal.append(state: nil, entries: makeEntries(1...10, term: 1, seed: 2))
    try wal.flush()
    let later = makeEntries(4...6, term: 2, seed: 3)
    wal.append(state: Raftpb.HardState(term: 2, vote: 1, commit: 6), entries: later)
    try wal.close()
    let contents = try WAL.open(disk, directory: "d/wal", from: start).1
    #expect(contents.entries == makeEntries(1...10, term: 1, seed: 2)[..<3] + later)
  }

  /// A snapshot from the leader of a later term voids the tail that was written before it.
  @Test func aReceivedSnapshotReplacesATail() throws {
    let snapshot = Walpb.Snapshot(index: 6, term: 2)
    let behind = makeEntries(7...8, term: 2, seed: 4)
    func read(_ before: [Raftpb.Entry], _ after: [Raftpb.Entry]) throws -> [Raftpb.Entry] {
      let disk = try makeDisk()
      let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 1024)
      wal.append(state: nil, entries: before)
      wal.append(snapshot: snapshot)
      wal.append(state: Raftpb.HardState(term: 2, vote: 1, commit: 6), entries: after)
      try wal.close()
      return try WAL.open(disk, directory: "d/wal", from: snapshot).1.entries
    }
    let old = makeEntries(1...10, term: 1, seed: 2)
    #expect(try read(old, []) == [])
    #expect(try read(old, behind) == behind)
    #expect(try read(Array(old[..<3]), behind) == behind)
    // The member's own snapshot of what is in its log voids nothing.
    let own = makeEntries(4...8, term: 2, seed: 3)
    #expect(try read(Array(old[..<3]) + own, []) == Array(own[3...]))
    // The log of a backup begins behind its snapshot, and has the record last.
    #expect(try read(behind, []) == behind)
    // What a later leader overwrote from before the snapshot on is gone whatever follows.
    #expect(try read(old + makeEntries(4...6, term: 2, seed: 3), []) == [])
    #expect(try read(old + makeEntries(4...6, term: 2, seed: 3), behind) == behind)
  }

  @Test func readsFromASnapshotAndReleasesSegments() throws {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata, segmentBytes: 1024)
    for round: UInt64 in 0..<10 {
      wal.append(
        state: Raftpb.HardState(term: 1, vote: 1, commit: round * 4 + 4),
        entries: makeEntries((round * 4 + 1)...(round * 4 + 4), term: 1, seed: 9))
      try wal.flush()
      if round == 6 { wal.append(snapshot: Walpb.Snapshot(index: 28, term: 1)) }
    }
    // A snapshot ahead of the committed index is not vouched for.
    wal.append(snapshot: Walpb.Snapshot(index: 99, term: 1))
    try wal.flush()
    let before = try segments(disk).count
    let valid = try WAL.validSnapshots(disk, directory: "d/wal")
    #expect(valid.map(\.index) == [0, 28])
    #expect(try wal.purge(upTo: 28, keep: 0).isEmpty)
    let removed = try wal.purge(upTo: 28, keep: 2)
    #expect(!removed.isEmpty)
    #expect(try segments(disk).count == before - removed.count)
    try wal.close()
    let snapshot = Walpb.Snapshot(index: 28, term: 1)
    let contents = try WAL.open(disk, directory: "d/wal", from: snapshot).1
    #expect(contents.entries.map(\.index) == Array(29...40))
    func reason(_ snapshot: Walpb.Snapshot) -> WALError.Reason? {
      do {
        _ = try WAL.open(restarted(disk), directory: "d/wal", from: snapshot)
        return nil
      } catch { return error.reason }
    }
    #expect(reason(start) == .fileNotFound)
    #expect(reason(Walpb.Snapshot(index: 28, term: 2)) == .snapshotMismatch)
    #expect(reason(Walpb.Snapshot(index: 39, term: 1)) == .snapshotNotFound)
  }

  @Test func refusesWhatIsNotItsOwn() throws {
    let disk = try makeDisk()
    let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata)
    func reason(_ body: () throws(WALError) -> Void) -> WALError.Reason? {
      do throws(WALError) { try body() } catch { return error.reason }
      return nil
    }
    #expect(
      reason { () throws(WALError) in
        _ = try WAL.create(disk, directory: "d/wal", metadata: metadata)
      } == .exists)
    #expect(
      reason { () throws(WALError) in
        _ = try WAL.open(disk, directory: "d/wal", from: start)
      } == .locked)
    try wal.close()
    #expect(
      reason { () throws(WALError) in
        _ = try WAL.open(disk, directory: "d/none", from: start)
      } == .fileNotFound)
  }

  @Test func refusesConflictingMetadata() throws {
    let disk = try makeDisk()
    for name in ["wal", "other"] {
      let wal = try WAL.create(
        disk, directory: "d/\(name)", metadata: Bytes(name), segmentBytes: 512)
      wal.append(state: nil, entries: makeEntries(1...8, term: 1, seed: 4))
      try wal.flush()
      wal.append(state: nil, entries: makeEntries(9...16, term: 1, seed: 4))
      try wal.close()
    }
    // The second segment of another log, its checksum continued, stands in for the own one.
    let names = try disk.list("d/wal")
    let record = try #require(names.last)
    let file = try disk.open("d/wal/\(record)", .readWrite)
    var writer = ByteWriter()
    var crc = SegmentReaderTestAccess.startCRC(
      try disk.readFile("d/wal/\(record)", limit: 1 << 20))
    Record.append(.crc, crc: crc, data: nil, to: &writer)
    Bytes("other").withUnsafeBytes {
      crc = CRC32C.update(crc, $0)
      Record.append(.metadata, crc: crc, data: $0, to: &writer)
    }
    let forged = writer.finish()
    try file.truncate(to: 0)
    try forged.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
    file.close()
    let error = #expect(throws: WALError.self) {
      try WAL.open(disk, directory: "d/wal", from: start)
    }
    #expect(error?.reason == .metadataConflict)
    #expect(error?.description.contains(record) == true)
  }

  @Test func aFailedWriteEndsTheLog() throws {
    for (offset, errno) in [(0, FileError.noSpace), (1, Int32(5))] {
      let disk = try makeDisk()
      let wal = try WAL.create(disk, directory: "d/wal", metadata: metadata)
      disk.fail(operation: disk.operations + offset, errno: errno)
      wal.append(state: nil, entries: makeEntries(1...2, term: 1, seed: 1))
      #expect(throws: WALError.self) { try wal.flush() }
      #expect(throws: WALError.self) { try wal.flush() }
    }
  }

  /// A log written by etcd 3.5.1: three puts on a single member.
  @Test func readsALogWrittenByGo() throws {
    let disk = try makeDisk()
    try disk.makeDirectory("d/wal", permissions: 0o700)
    let file = try disk.open(
      "d/wal/0000000000000000-0000000000000000.wal", .createNew(permissions: 0o600))
    try goLog.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
    try file.allocate(to: 64_000_000)
    file.close()
    let (wal, contents, repaired) = try WAL.open(disk, directory: "d/wal", from: start)
    let identity = try Etcdserverpb.Metadata.decode(contents.metadata)
    #expect(identity.nodeID == 0xcdf0_ca88_6175_6d98)
    #expect(identity.clusterID == 0xf7bd_5da7_7377_0c1e)
    #expect(!repaired)
    // The member also published its attributes, with a request of another form.
    let puts = contents.entries.filter { $0.type == .normal && !$0.data.isEmpty }
      .compactMap { (try? Etcdserverpb.InternalRaftRequest.decode($0.data))?.put }
    #expect(puts.map(\.key.string) == ["key1", "key2", "key3"])
    #expect(puts.map(\.value.string) == ["value1", "value2", "value3"])
    #expect(contents.state.commit == contents.entries.last?.index)
    wal.append(state: nil, entries: makeEntries(20...21, term: 9, seed: 1))
    try wal.close()
  }
}

/// The checksum that a segment begins with.
enum SegmentReaderTestAccess {
  static func startCRC(_ bytes: Bytes) -> UInt32 {
    var reader = SegmentReader(path: "test", bytes: bytes, isLast: true, crc: 0)
    guard case .record(let record)? = try? reader.next() else { return 0 }
    return record.crc
  }
}
