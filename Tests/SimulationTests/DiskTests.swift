import Bytes
import FileSystem
import Raft
import Simulation
import Testing

/// The simulated disk keeps and forgets what a real one may.
@Suite struct DiskTests {
  private func write(_ text: String, at offset: Int, _ file: any StorageFile) throws {
    try Bytes(text).withUnsafeBytes { (memory) throws(FileError) in
      try file.write(memory, at: offset)
    }
  }

  private func text(_ path: String, _ disk: SimulatedFileSystem) throws -> String {
    try disk.readFile(path, limit: 1 << 20).string
  }

  /// A directory `d` that is durable, with an open file `d/f` in it that is not.
  private func prepared() throws -> (SimulatedFileSystem, any StorageFile) {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("d", permissions: 0o700)
    try disk.syncDirectory(".")
    return (disk, try disk.open("d/f", .createNew(permissions: 0o600)))
  }

  @Test func unsyncedDataIsLost() throws {
    let (disk, file) = try prepared()
    try disk.syncDirectory("d")
    try write("durable", at: 0, file)
    try file.syncData()
    try write("VOLATILE", at: 3, file)
    var random = SplitMix64(seed: 1)
    #expect(try text("d/f", disk) == "durVOLATILE")
    #expect(try text("d/f", disk.crashed(.clean, &random)) == "durVOLATILE")
    #expect(try text("d/f", disk.crashed(.lost, &random)) == "durable")
    // What was in the page cache when the process was killed is still not durable.
    #expect(
      try text("d/f", disk.crashed(.clean, &random).crashed(.lost, &random)) == "durable")
  }

  @Test func entriesNeedTheirDirectorySynced() throws {
    let (disk, file) = try prepared()
    try write("x", at: 0, file)
    try file.sync()
    var random = SplitMix64(seed: 1)
    #expect(try disk.crashed(.lost, &random).kind("d/f") == nil)
    try disk.syncDirectory("d")
    try disk.rename("d/f", to: "d/g")
    let lost = disk.crashed(.lost, &random)
    #expect(try lost.kind("d/f") == .file(size: 1))
    #expect(try lost.kind("d/g") == nil)
    try disk.syncDirectory("d")
    #expect(try disk.crashed(.lost, &random).list("d") == ["g"])
  }

  @Test func tornWritesKeepWholeSectors() throws {
    let (disk, file) = try prepared()
    try file.allocate(to: 4096)
    try file.sync()
    try disk.syncDirectory("d")
    try write(String(repeating: "n", count: 4096), at: 0, file)
    var random = SplitMix64(seed: 5)
    var seen: Set<Int> = []
    for _ in 0..<64 {
      let bytes = try disk.crashed(.torn, &random).readFile("d/f", limit: 1 << 20)
      for sector in 0..<8 {
        let part = Set(bytes[(sector * 512)..<(sector * 512 + 512)])
        #expect(part.count == 1)
        if part.contains(UInt8(ascii: "n")) { seen.insert(sector) }
      }
    }
    #expect(seen == Set(0..<8))
  }

  @Test func stopsAndFailsAtAnOperation() throws {
    let (disk, file) = try prepared()
    let at = disk.operations
    disk.fail(operation: at + 1, errno: FileError.noSpace)
    disk.stopBefore = at + 3
    try write("a", at: 0, file)
    let full = #expect(throws: FileError.self) { try self.write("b", at: 0, file) }
    #expect(full?.errno == FileError.noSpace)
    try write("c", at: 0, file)
    #expect(!disk.isDead)
    #expect(throws: FileError.self) { try file.sync() }
    #expect(disk.isDead)
    #expect(throws: FileError.self) { try disk.list("d") }
  }

  /// As the kernel does it: what an fsync could not write is lost though a later one succeeds.
  @Test func aFailedFsyncLosesWhatItShouldHaveWritten() throws {
    let (disk, file) = try prepared()
    try disk.syncDirectory("d")
    try write("durable", at: 0, file)
    try file.sync()
    try write("DUR", at: 0, file)
    disk.failsNextSync = true
    let failure = #expect(throws: FileError.self) { try file.sync() }
    #expect(failure?.errno == 5)
    try write("E", at: 6, file)
    try file.sync()
    var random = SplitMix64(seed: 1)
    #expect(try text("d/f", disk.crashed(.lost, &random)) == "durablE")
  }

  @Test func locksAndMappings() throws {
    let (disk, file) = try prepared()
    try write("abc", at: 0, file)
    let mapping = try file.map(length: 1 << 16)
    try write("X", at: 1, file)
    #expect(mapping.memory[1] == UInt8(ascii: "X"))
    try disk.flipBit("d/f", at: 0, bit: 1)
    #expect(mapping.memory[0] == UInt8(ascii: "c"))
    let other = try disk.open("d/f", .readWrite)
    #expect(try file.tryLock())
    #expect(try !other.tryLock())
    var random = SplitMix64(seed: 1)
    #expect(try disk.crashed(.clean, &random).open("d/f", .readWrite).tryLock())
    file.close()
    #expect(try other.tryLock())
  }
}
