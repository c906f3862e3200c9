import Bolt
import Bytes
import FileSystem
import Foundation
import MemberStorage
import TestSupport
import Testing

/// Files that are no whole snapshots.
@Suite struct DamageTests {
  private func restore(_ scratch: Scratch, _ name: String, extra: [String] = []) -> Ran {
    etcdutl(
      ["snapshot", "restore", scratch.path + "/" + name, "--data-dir", scratch.path + "/out"]
        + extra)
  }

  @Test func anyFlippedBitIsNoticed() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 50)
    let good = scratch.read("s.db")
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var generator = SeededGenerator(state: seed)
    for _ in 0..<60 {
      var bad = good
      let position = Int.random(in: 0..<bad.count, using: &generator)
      bad[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      scratch.write(bad, to: "bad.db")
      let ran = restore(scratch, "bad.db")
      #expect(ran.code == 1 && ran.error.contains("expected sha256 ["), "byte \(position)")
      // Without the digest, damage is found or harmless; it never ends the process.
      let unchecked = restore(scratch, "bad.db", extra: ["--skip-hash-check"])
      let status = etcdutl(["snapshot", "status", scratch.path + "/bad.db"])
      #expect((unchecked.code == 0) == (status.code == 0), "byte \(position): \(unchecked.error)")
      if unchecked.code == 0 { try FileManager.default.removeItem(atPath: scratch.path + "/out") }
      #expect(scratch.contents == ["bad.db", "s.db"], "byte \(position)")
    }
  }

  @Test func anyCutIsNoticed() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 50)
    let good = scratch.read("s.db")
    let database = good.count - 32
    for length in [0, 1, 31, 32, 33, 100, 512, 4096, 4128, database / 2, database / 2 + 32] {
      scratch.write(good.prefix(length), to: "bad.db")
      let ran = restore(scratch, "bad.db")
      #expect(ran.code == 1 && ran.error.contains("Error: "), "\(length) bytes")
      let status = etcdutl(["snapshot", "status", scratch.path + "/bad.db"])
      #expect(status.code == 1 && status.output.isEmpty, "\(length) bytes")
      #expect(status.error.contains("bad.db: "), "\(length) bytes: \(status.error)")
      #expect(scratch.contents == ["bad.db", "s.db"], "\(length) bytes")
    }
    // The database alone, as copied from a data directory.
    scratch.write(good.prefix(database), to: "bad.db")
    let ran = restore(scratch, "bad.db")
    #expect(ran.error.hasSuffix("Error: snapshot missing hash but --skip-hash-check=false\n"))
    #expect(restore(scratch, "bad.db", extra: ["--skip-hash-check"]).code == 0)
  }

  @Test func readingChangesNothing() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 50)
    let path = scratch.path + "/s.db"
    let before = scratch.read("s.db")
    // Readers share the file, also one that may only be read.
    try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: path)
    var options = BoltOptions()
    options.isReadOnly = true
    let other = try BoltDatabase(RealFileSystem(), path: path, options: options)
    for words in [["snapshot", "status", path], ["hashkv", path]] {
      let ran = etcdutl(words)
      #expect(ran.code == 0, "\(ran.error)")
    }
    #expect(throws: BoltError.self) { try other.commit([BoltChange(bucket: "key")]) }
    other.close()
    #expect(scratch.read("s.db") == before)
    #expect(scratch.contents == ["s.db"])
  }

  @Test func aDatabaseInUseIsNotRead() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 1)
    let running = try BoltDatabase(RealFileSystem(), path: scratch.path + "/s.db")
    let ran = etcdutl(["snapshot", "status", scratch.path + "/s.db"])
    running.close()
    #expect(ran.code == 1 && ran.error.contains("is locked by another process"))
  }
}
