import Bytes
import FileSystem
import Foundation
import TestSupport
import Testing

@testable import Bolt

@Suite struct CopyTests {
  private typealias Model = [Bytes: [Bytes: Bytes]]

  private func contents(_ transaction: BoltReadTransaction) throws -> Model {
    var all: Model = [:]
    for name in try transaction.bucketNames() {
      all[name] = try BoltTests().contents(transaction, name)
    }
    return all
  }

  private func randomChanges(
    _ names: [Bytes], _ count: Int, _ random: inout SeededGenerator
  ) -> [BoltChange] {
    names.compactMap { name in
      guard Int.random(in: 0..<3, using: &random) > 0 else { return nil }
      var change = BoltChange(bucket: name)
      switch Int.random(in: 0..<20, using: &random) {
      case 0: change.clear = true
      case 1:
        change.remove = true
        return change
      default: break
      }
      var operations: [Bytes: Bytes?] = [:]
      for _ in 0..<Int.random(in: 0...count, using: &random) {
        let key = Bytes("k\(Int.random(in: 0..<5000, using: &random))")
        let size = Int.random(in: 0..<40, using: &random) == 0 ? 9000 : 80
        let isPut = Int.random(in: 0..<3, using: &random) > 0
        let byte = UInt8.random(in: 0...255, using: &random)
        operations[key] = .some(isPut ? Bytes([UInt8](repeating: byte, count: size)) : nil)
      }
      change.operations = operations.sorted { $0.key < $1.key }.map {
        BoltOperation(key: $0.key, value: $0.value)
      }
      return change
    }
  }

  /// Commits of all sizes between the rounds; readers that come and go.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func followsTheOriginal(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let scratch = Scratch()
    let names: [Bytes] = ["alpha", "key", "meta"]
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: BoltTests.unsynced)
    defer { database.close() }
    for _ in 0..<6 { try database.commit(randomChanges(names, 4000, &random)) }
    let copyPath = scratch.path + "/copy"
    var options = BoltTests.unsynced
    options.noSync = false
    let copy = try BoltCopy(
      of: database.read(), to: copyPath, on: RealFileSystem(), options: options)
    _ = try copy.follow(database.read())
    for round in 0..<12 {
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let count = [0, 1, 30, 3000].randomElement(using: &random)!
        try database.commit(randomChanges(names, count, &random))
      }
      let changed = try copy.follow(database.read())
      if round == 11 { #expect(try copy.follow(database.read()) == 0) }
      #expect(changed >= 0)
    }
    try copy.finish()
    let copied = try BoltDatabase(RealFileSystem(), path: copyPath, options: BoltTests.unsynced)
    defer { copied.close() }
    #expect(try contents(copied.read()) == contents(database.read()), "seed \(seed)")
    let survey = try copied.read().survey(verifyingKeys: true)
    #expect(survey.problems.isEmpty)
  }

  /// A round costs what changed, not what there is.
  @Test func unchangedPagesAreNotRead() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: BoltTests.unsynced)
    defer { database.close() }
    let all = (0..<20_000).map {
      BoltOperation(key: Bytes("k\(100_000 + $0)"), value: Bytes("v"))
    }
    try database.commit([BoltChange(bucket: "key", operations: all)])
    let copy = try BoltCopy(
      of: database.read(), to: scratch.path + "/copy", on: RealFileSystem(),
      options: BoltTests.unsynced)
    defer { copy.abandon() }
    #expect(try copy.follow(database.read()) == 20_000)
    let before = database.read()
    let one = BoltOperation(key: "k110000", value: "other")
    try database.commit([BoltChange(bucket: "key", operations: [one])])
    let (old, new) = (try before.bucket("key")!, try database.read().bucket("key")!)
    var cursor = try ChangedCursor(new, skipping: PageSet(old))
    var seen = 0
    while try cursor.next() != nil { seen += 1 }
    #expect(seen > 0 && seen < 400)
    #expect(try copy.follow(database.read()) == 1)
  }

  @Test func isGivenUpWhenAsked() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: BoltTests.unsynced)
    defer { database.close() }
    try database.commit([
      BoltChange(bucket: "key", operations: [BoltOperation(key: "a", value: "b")])
    ])
    let copy = try BoltCopy(
      of: database.read(), to: scratch.path + "/copy", on: RealFileSystem(),
      options: BoltTests.unsynced, shouldStop: { true })
    let error = #expect(throws: BoltError.self) { try copy.follow(database.read()) }
    #expect(error?.reason == .stopped)
    copy.abandon()
  }

  @Test func aReplacedFileWaitsForItsReaders() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: BoltTests.unsynced)
    let value = Bytes([UInt8](repeating: 7, count: 1 << 20))
    let operations = (10..<50).map { BoltOperation(key: Bytes("k\($0)"), value: value) }
    try database.commit([BoltChange(bucket: "key", operations: operations)])
    try RealFileSystem().remove(scratch.path + "/db")
    do {
      let reader = database.read()
      #expect(!database.discard())
      #expect(try reader.bucket("key")?.get("k49") == value)
    }
    #expect(database.discard())
  }
}
