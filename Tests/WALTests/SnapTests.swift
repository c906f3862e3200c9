import Bytes
import EtcdAPI
import FileSystem
import Raft
import Simulation
import Testing

@testable import Snap

/// Snapshot files: newest good one wins, damage is set aside, interrupted writes leave nothing.
@Suite struct SnapTests {
  private func snapshot(_ index: UInt64, term: UInt64 = 1) -> Raftpb.Snapshot {
    Raftpb.Snapshot(
      data: Bytes("state \(index)"),
      metadata: Raftpb.SnapshotMetadata(
        confState: Raftpb.ConfState(voters: [1]), index: index, term: term))
  }

  private func record(_ index: UInt64, term: UInt64 = 1) -> Walpb.Snapshot {
    Walpb.Snapshot(index: index, term: term)
  }

  private func make(_ indexes: [UInt64]) throws -> (SimulatedFileSystem, Snapshotter) {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("snap", permissions: 0o700)
    try disk.syncDirectory(".")
    let snapshotter = Snapshotter(disk, directory: "snap")
    for index in indexes { try snapshotter.save(snapshot(index)) }
    return (disk, snapshotter)
  }

  @Test func loadsTheNewestThatTheLogVouchesFor() throws {
    let (_, snapshotter) = try make([5, 9, 300])
    #expect(Snapshotter.name(term: 1, index: 300) == "0000000000000001-000000000000012c.snap")
    #expect(try snapshotter.names().count == 3)
    let all = [record(5), record(9), record(300)]
    #expect(try snapshotter.loadNewest(recorded: all)?.0 == snapshot(300))
    #expect(try snapshotter.loadNewest(recorded: Array(all.dropLast()))?.0 == snapshot(9))
    #expect(try snapshotter.loadNewest(recorded: [record(9, term: 2)]) == nil)
    #expect(try snapshotter.loadNewest(recorded: []) == nil)
  }

  @Test func everyBitFlipIsNoticedAndSetAside() throws {
    let name = Snapshotter.name(term: 1, index: 9)
    let (reference, snapshotter) = try make([5, 9])
    let size = try reference.readFile("snap/\(name)", limit: 1 << 20).count
    #expect(try snapshotter.names().first == name)
    var harmless = 0
    for offset in 0..<size {
      let disk = restarted(reference)
      try disk.flipBit("snap/\(name)", at: offset, bit: offset % 8)
      let damaged = Snapshotter(disk, directory: "snap")
      let found = try damaged.loadNewest(recorded: [record(5), record(9)])
      if found?.0 == snapshot(9) {
        // A bit of the checksum's varint beyond its 32 bits.
        harmless += 1
        continue
      }
      #expect(found?.0 == snapshot(5), "offset \(offset)")
      #expect(found?.broken.count == 1, "offset \(offset)")
      #expect(found?.broken.first?.contains(name) == true)
      #expect(try disk.list("snap").contains(name + ".broken"))
    }
    #expect(harmless <= 1)
  }

  @Test func everyTruncationIsNoticed() throws {
    let name = Snapshotter.name(term: 1, index: 9)
    let (reference, _) = try make([5, 9])
    let size = try reference.readFile("snap/\(name)", limit: 1 << 20).count
    for length in 0..<size {
      let disk = restarted(reference)
      let file = try disk.open("snap/\(name)", .readWrite)
      try file.truncate(to: length)
      file.close()
      let found = try Snapshotter(disk, directory: "snap").loadNewest(
        recorded: [record(5), record(9)])
      #expect(found?.0 == snapshot(5), "length \(length)")
    }
  }

  @Test func aSaveIsWholeOrAbsent() throws {
    let (reference, _) = try make([5])
    let before = reference.operations
    try Snapshotter(reference, directory: "snap").save(snapshot(9))
    for operation in 0..<(reference.operations - before) {
      for mode in CrashMode.allCases {
        let (disk, snapshotter) = try make([5])
        disk.stopBefore = disk.operations + operation
        #expect(throws: SnapError.self) { try snapshotter.save(snapshot(9)) }
        var random = SplitMix64(seed: UInt64(operation))
        let next = Snapshotter(disk.crashed(mode, &random), directory: "snap")
        try next.cleanLeftovers()
        let found = try next.loadNewest(recorded: [record(5), record(9)])
        #expect(found?.broken.isEmpty == true)
        #expect(found?.0 == snapshot(5) || found?.0 == snapshot(9))
      }
    }
  }

  @Test func cleansButLeavesWhatIsArriving() throws {
    let (disk, snapshotter) = try make([1, 2, 3, 4])
    for name in ["tmp-0000000000000009.snap.db", "0000000000000002.snap.db"] {
      try disk.open("snap/" + name, .createNew(permissions: 0o600)).close()
    }
    try snapshotter.clean(keep: 2, newest: snapshot(4).metadata)
    let left = try disk.list("snap")
    #expect(left.contains("tmp-0000000000000009.snap.db"))
    #expect(!left.contains("0000000000000002.snap.db"))
    #expect(try snapshotter.names().count == 2)
    try snapshotter.cleanLeftovers()
    #expect(try !disk.list("snap").contains("tmp-0000000000000009.snap.db"))
  }

  /// A file that the log does not vouch for is no reason to remove one that it does.
  @Test func keepsWhatTheLogVouchesFor() throws {
    let (_, snapshotter) = try make([1, 2, 3, 4])
    try snapshotter.clean(keep: 1, newest: snapshot(3).metadata)
    #expect(try snapshotter.names() == [4, 3].map { Snapshotter.name(term: 1, index: $0) })
  }
}
