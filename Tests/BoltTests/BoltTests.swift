import Bytes
import FileSystem
import Foundation
import TestSupport
import Testing

@testable import Bolt

@Suite struct BoltTests {
  static let unsynced: BoltOptions = {
    var options = BoltOptions()
    options.noSync = true
    options.mapBytes = 1 << 30
    return options
  }()

  func contents(_ transaction: BoltReadTransaction, _ bucket: Bytes) throws -> [Bytes: Bytes] {
    var found: [Bytes: Bytes] = [:]
    guard let view = try transaction.bucket(bucket) else { return found }
    var cursor = view.cursor()
    try cursor.seekFirst()
    var previous: Bytes?
    while let element = try cursor.next() {
      if let previous { #expect(previous < element.key) }
      previous = element.key
      found[element.key] = element.value
    }
    return found
  }

  /// Random batches over several buckets against dictionaries; readers keep their old state.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func agreesWithAModel(seed: UInt64) throws {
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let scratch = Scratch()
    let path = scratch.path + "/db"
    var database = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    let names: [Bytes] = ["alpha", "key", "meta"]
    var model: [Bytes: [Bytes: Bytes]] = [:]
    var held: [(BoltReadTransaction, [Bytes: [Bytes: Bytes]])] = []
    for round in 0..<120 {
      var changes: [BoltChange] = []
      for name in names where Bool.random(using: &random) {
        var operations: [Bytes: Bytes?] = [:]
        let deleting = Int.random(in: 0..<10, using: &random) < (round > 60 ? 7 : 2)
        for _ in 0..<Int.random(in: 0..<80, using: &random) {
          let key = Bytes("k\(Int.random(in: 0..<600, using: &random))")
          let size =
            Int.random(in: 0..<50, using: &random) == 0
            ? Int.random(in: 0..<20000, using: &random) : Int.random(in: 0..<60, using: &random)
          operations[key] = .some(
            deleting
              ? nil : Bytes(repeatElement(UInt8.random(in: 0...255, using: &random), count: size)))
        }
        var change = BoltChange(bucket: name)
        change.operations = operations.sorted { $0.key < $1.key }.map {
          BoltOperation(key: $0.key, value: $0.value)
        }
        if Int.random(in: 0..<40, using: &random) == 0 {
          change.clear = true
          model[name] = [:]
        }
        for operation in change.operations {
          model[name, default: [:]][operation.key] = operation.value
        }
        changes.append(change)
      }
      try database.commit(changes)
      if Int.random(in: 0..<8, using: &random) == 0 { held.append((database.read(), model)) }
      if held.count > 4 { held.removeFirst() }
      for (transaction, expected) in held {
        for name in names {
          #expect(try contents(transaction, name) == expected[name] ?? [:], "round \(round)")
        }
      }
      let survey = try database.read().survey(verifyingKeys: true)
      #expect(survey.problems == [])
      if Int.random(in: 0..<15, using: &random) == 0 {
        database.close()
        database = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
        held.removeAll()
      }
    }
    for name in names { #expect(try contents(database.read(), name) == model[name] ?? [:]) }
    let copy = scratch.path + "/copy"
    try BoltDatabase.compact(
      database.read(), to: copy, on: RealFileSystem(), options: Self.unsynced)
    let compacted = try BoltDatabase(RealFileSystem(), path: copy, options: Self.unsynced)
    for name in names { #expect(try contents(compacted.read(), name) == model[name] ?? [:]) }
    #expect(compacted.read().size <= database.read().size)
  }

  @Test func pagesAreReusedOnceReadersAreGone() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: Self.unsynced)
    func write(_ n: Int) throws {
      try database.commit([
        BoltChange(
          bucket: "b",
          operations: (0..<200).map {
            BoltOperation(
              key: Bytes("key-\(1000 + $0)"), value: Bytes(repeatElement(UInt8(n), count: 100)))
          })
      ])
    }
    for n in 0..<20 { try write(n) }
    let steady = database.read().size
    for n in 0..<50 { try write(n) }
    #expect(database.read().size == steady)
    let reader = database.read()
    for n in 100..<120 { try write(n) }
    #expect(database.read().size > steady)
    #expect(try reader.bucket("b")?.get("key-1000") == Bytes(repeatElement(49, count: 100)))
  }

  /// Space counts as free behind the commit that freed it, though no other follows, once nobody reads what was before.
  @Test func whatTheLastCommitGaveUpIsNotInUse() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: Self.unsynced)
    func commit(_ value: Bytes?) throws {
      try database.commit([
        BoltChange(
          bucket: "b",
          operations: (0..<500).map { BoltOperation(key: Bytes("key-\(1000 + $0)"), value: value) })
      ])
    }
    try commit(Bytes(repeatElement(1, count: 1000)))
    let full = database.sizes
    #expect(full.inUse > 400_000)
    do {
      let reader = database.read()
      try commit(nil)
      #expect(database.sizes.inUse >= full.inUse, "what is read is in use")
      #expect(try reader.bucket("b")?.get("key-1499")?.count == 1000)
    }
    #expect(database.sizes.inUse < 100_000)
    #expect(database.sizes.total >= full.total)
  }

  @Test func secondOpenIsRefused() throws {
    let scratch = Scratch()
    let path = scratch.path + "/db"
    let database = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    #expect(throws: BoltError.self) {
      _ = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    }
    database.close()
    try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced).close()
  }

  /// A torn newest meta page: the commit before it counts.
  @Test func tornMetaFallsBack() throws {
    let scratch = Scratch()
    let path = scratch.path + "/db"
    let database = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    for n in 0..<2 {
      try database.commit([
        BoltChange(bucket: "b", operations: [BoltOperation(key: "k", value: Bytes("\(n)"))])
      ])
    }
    let newest = database.read().transaction
    database.close()
    let file = try RealFileSystem().open(path, .readWrite)
    try [UInt8](repeating: 7, count: 64).withUnsafeBytes {
      try file.write($0, at: Int(newest % 2) * 4096 + 20)
    }
    file.close()
    let reopened = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    #expect(reopened.read().transaction == newest - 1)
    #expect(try reopened.read().bucket("b")?.get("k") == "0")
  }

  /// A meta page with a good checksum and numbers that no file has.
  @Test(arguments: [UInt64.max, 1 << 63, 1 << 52, 1 << 40])
  func aMetaPageBeyondTheFileIsRefused(_ highWater: UInt64) throws {
    let scratch = Scratch()
    let path = scratch.path + "/db"
    try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced).close()
    let file = try RealFileSystem().open(path, .readWrite)
    for transaction: UInt64 in [8, 9] {
      let meta = Meta(
        pageSize: 4096, root: 3, sequence: 0, freelist: .max, highWater: highWater,
        transaction: transaction)
      try meta.encodedPage().withUnsafeBytes {
        try file.write($0, at: Int(transaction % 2) * 4096)
      }
    }
    file.close()
    #expect(throws: BoltError.self) {
      _ = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    }
  }

  /// Flipped bytes anywhere give an error or different data, never a crash.
  @Test func damagedFilesAreRefusedNotFollowed() throws {
    let seed: UInt64 = 42
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let scratch = Scratch()
    let path = scratch.path + "/db"
    let database = try BoltDatabase(RealFileSystem(), path: path, options: Self.unsynced)
    try database.commit([
      BoltChange(
        bucket: "b",
        operations: (0..<2000).map {
          BoltOperation(key: Bytes("key-\(10000 + $0)"), value: Bytes("value \($0)"))
        })
    ])
    database.close()
    let original = try Data(contentsOf: URL(fileURLWithPath: path))
    for n in 0..<400 {
      var damaged = original
      let page = Int.random(in: 0..<(original.count / 4096), using: &random)
      let offset = page * 4096 + Int.random(in: 0..<200, using: &random)
      guard offset < damaged.count else { continue }
      damaged[offset] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
      if n % 5 == 0 { damaged = damaged.prefix(Int.random(in: 0..<damaged.count, using: &random)) }
      let copy = scratch.path + "/damaged-\(n)"
      try damaged.write(to: URL(fileURLWithPath: copy))
      do throws(BoltError) {
        let opened = try BoltDatabase(RealFileSystem(), path: copy, options: Self.unsynced)
        _ = try? opened.read().survey(verifyingKeys: true)
        if var cursor = try? opened.read().bucket("b")?.cursor() {
          try? cursor.seekFirst()
          while let element = try? cursor.next() { _ = element.value.count }
        }
        opened.close()
      } catch { #expect(error.description.contains(copy)) }
      try FileManager.default.removeItem(atPath: copy)
    }
  }

  @Test func badKeysAreRefused() throws {
    let scratch = Scratch()
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: Self.unsynced)
    #expect(throws: BoltError.self) {
      try database.commit([
        BoltChange(bucket: "b", operations: [BoltOperation(key: Bytes(), value: "v")])
      ])
    }
    #expect(try database.read().bucketNames() == [])
  }
}
