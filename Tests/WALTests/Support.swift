import Bytes
import EtcdAPI
import FileSystem
import Raft
import Simulation

@testable import WAL

/// A simulated disk with a directory for the log.
func makeDisk() throws -> SimulatedFileSystem {
  let disk = SimulatedFileSystem()
  try disk.makeDirectory("d", permissions: 0o700)
  try disk.syncDirectory(".")
  return disk
}

/// Entries with payloads of 0 to 1500 bytes, so that records cross sectors.
func makeEntries(_ range: ClosedRange<UInt64>, term: UInt64, seed: UInt64) -> [Raftpb.Entry] {
  var random = SplitMix64(seed: seed &+ range.lowerBound)
  return range.map { index in
    let count = random.below(3) == 0 ? random.below(1500) : random.below(60)
    let data = Bytes((0..<count).map { _ in UInt8(1 + random.below(255)) })
    return Raftpb.Entry(term: term, index: index, data: data)
  }
}

let metadata = Bytes("metadata of the member")
let start = Walpb.Snapshot(index: 0, term: 0)

/// The disk after its process ended.
func restarted(_ disk: SimulatedFileSystem) -> SimulatedFileSystem {
  var random = SplitMix64(seed: 1)
  return disk.crashed(.clean, &random)
}

/// Segment files in order.
func segments(_ disk: SimulatedFileSystem) throws -> [String] {
  try disk.list("d/wal").filter { $0.hasSuffix(".wal") }.map { "d/wal/" + $0 }
}
