import Bytes
import FileSystem
import Foundation
import TestSupport
import Testing

@testable import Bolt

/// Files come from peers: what is made to keep a walk busy, or to exhaust its stack, is told from a database.
@Suite struct SurveyTests {
  /// A bucket inside of a value, which holds `names` more of which all have the same value, and so on.
  private func bucket(_ depth: Int, names: Int) -> Bytes {
    var value = Bytes()
    for level in 0..<depth {
      let names = level == 0 ? 0 : names
      var page = ByteWriter(capacity: value.count + 100)
      page.append(repeating: 0, count: Format.bucketHeaderBytes + 8)
      page.appendLittleEndian(Format.leafFlag)
      page.appendLittleEndian(UInt16(names))
      page.appendLittleEndian(UInt32(0))
      for name in 0..<names {
        page.appendLittleEndian(Format.bucketElementFlag)
        page.appendLittleEndian(UInt32((names - name) * Format.elementBytes))
        page.appendLittleEndian(UInt32(0))
        page.appendLittleEndian(UInt32(value.count))
      }
      page.append(value)
      value = page.finish()
    }
    return value
  }

  /// A database of which the only element is such a bucket, in the root page.
  private func file(_ value: Bytes) -> Bytes {
    let overflow = (value.count + 100) / 4096
    let size = (4 + overflow) * 4096
    var file = ByteWriter(capacity: size)
    for transaction in 0...1 as ClosedRange<UInt64> {
      let meta = Meta(
        pageSize: 4096, root: 3, sequence: 0, freelist: Format.noFreelist,
        highWater: UInt64(4 + overflow), transaction: transaction)
      file.append(meta.encodedPage())
    }
    file.append(repeating: 0, count: 4096)
    file.appendLittleEndian(UInt64(3))
    file.appendLittleEndian(Format.leafFlag)
    file.appendLittleEndian(UInt16(1))
    file.appendLittleEndian(UInt32(overflow))
    file.appendLittleEndian(Format.bucketElementFlag)
    file.appendLittleEndian(UInt32(Format.elementBytes))
    file.appendLittleEndian(UInt32(1))
    file.appendLittleEndian(UInt32(value.count))
    file.append("b")
    file.append(value)
    file.append(repeating: 0, count: size - file.count)
    return file.finish()
  }

  private func problems(_ bytes: Bytes, max: Int) throws -> [String] {
    let scratch = Scratch()
    let path = scratch.path + "/db"
    try Data(Array(bytes)).write(to: URL(fileURLWithPath: path))
    var options = BoltOptions()
    options.isReadOnly = true
    let database = try BoltDatabase(RealFileSystem(), path: path, options: options)
    defer { database.close() }
    return try database.read().survey(problemsMax: max).problems
  }

  @Test func aWalkEndsWhateverTheFile() throws {
    #expect(try problems(file(bucket(2, names: 1)), max: 1) == [])
    let deep = try problems(file(bucket(50_000, names: 1)), max: 1)
    #expect(deep.count == 1 && deep[0].hasSuffix("deeper than 64 levels"), "\(deep)")
    // A million million million steps.
    let wide = try problems(file(bucket(60, names: 2)), max: 1)
    #expect(wide.count == 1 && wide[0].hasSuffix("share bytes with others"), "\(wide)")
  }

  /// One problem may stand on every page.
  @Test func aWalkEndsAtItsLimit() throws {
    var torn = Array(file(bucket(2, names: 1)))
    let root = 3 * 4096
    // A branch of many children that are all outside of the file.
    torn.replaceSubrange(root + 8..<root + 12, with: [1, 0, 200, 0])
    torn.replaceSubrange(root + 16..<root + 4096, with: [UInt8](repeating: 0xee, count: 4080))
    #expect(try problems(Bytes(torn), max: .max).count == 200)
    #expect(try problems(Bytes(torn), max: 1).count == 1)
  }

  /// Two metas of these transactions, a root that holds the bucket `b`, whose root is page 4.
  private func file(transactions: [UInt64], bucketRoot: (inout ByteWriter) -> Void) -> Bytes {
    var file = ByteWriter(capacity: 6 * 4096)
    for transaction in transactions {
      let meta = Meta(
        pageSize: 4096, root: 3, sequence: 0, freelist: Format.noFreelist, highWater: 6,
        transaction: transaction)
      file.append(meta.encodedPage())
    }
    file.append(repeating: 0, count: 3 * 4096 - file.count)
    file.appendLittleEndian(UInt64(3))
    file.appendLittleEndian(Format.leafFlag)
    file.appendLittleEndian(UInt16(1))
    file.appendLittleEndian(UInt32(0))
    file.appendLittleEndian(Format.bucketElementFlag)
    file.appendLittleEndian(UInt32(Format.elementBytes))
    file.appendLittleEndian(UInt32(1))
    file.appendLittleEndian(UInt32(16))
    file.append("b")
    file.appendLittleEndian(UInt64(4))
    file.appendLittleEndian(UInt64(0))
    file.append(repeating: 0, count: 4 * 4096 - file.count)
    file.appendLittleEndian(UInt64(4))
    bucketRoot(&file)
    file.append(repeating: 0, count: 6 * 4096 - file.count)
    return file.finish()
  }

  private func leaf(_ file: inout ByteWriter) { file.appendLittleEndian(Format.leafFlag) }

  private func open(_ bytes: Bytes, _ scratch: Scratch) throws -> BoltDatabase {
    let path = scratch.path + "/numbers.db"
    try Data(Array(bytes)).write(to: URL(fileURLWithPath: path))
    var options = BoltOptions()
    options.mapBytes = 1 << 20
    return try BoltDatabase(RealFileSystem(), path: path, options: options)
  }

  /// A walk asks for pages before it looks whether they exist.
  @Test func childrenThatNoFileHasEndAWalk() throws {
    let scratch = Scratch()
    let bytes = file(transactions: [0, 1]) { file in
      file.appendLittleEndian(Format.branchFlag)
      file.appendLittleEndian(UInt16(2))
      file.appendLittleEndian(UInt32(0))
      for (number, child) in [UInt64.max, 5].enumerated() {
        file.appendLittleEndian(UInt32((2 - number) * Format.elementBytes + number))
        file.appendLittleEndian(UInt32(1))
        file.appendLittleEndian(child)
      }
      file.append("km")
    }
    let database = try open(bytes, scratch)
    defer { database.close() }
    let found = try #require(try database.read().bucket("b"))
    #expect(throws: BoltError.self) {
      try found.scanMemory(from: Bytes(), to: nil) { _, _ in true }
    }
  }

  /// The last transaction of all could not be followed by a commit.
  @Test(arguments: [UInt64.max, UInt64.max - 1, 1 << 63])
  func aTransactionOutOfReachIsNone(_ transaction: UInt64) throws {
    let scratch = Scratch()
    let bytes = file(transactions: [transaction, transaction], bucketRoot: leaf)
    #expect(throws: BoltError.self) {
      let database = try open(bytes, scratch)
      defer { database.close() }
      var change = BoltChange(bucket: "b")
      change.operations = [BoltOperation(key: "k", value: "v")]
      try database.commit([change])
      try database.commit([change])
    }
  }

  /// Of a fresh file whose second meta is damaged the first is left, which no transaction precedes.
  @Test func theFirstTransactionIsCopied() throws {
    let scratch = Scratch()
    let database = try open(file(transactions: [0], bucketRoot: leaf), scratch)
    let state = database.read()
    #expect(state.transaction == 0)
    let copy = state.snapshotBytes(at: 0, count: state.size)
    database.close()
    let again = try open(copy, scratch)
    defer { again.close() }
    #expect(again.read().transaction <= 1)
    var change = BoltChange(bucket: "b")
    change.operations = [BoltOperation(key: "k", value: "v")]
    try again.commit([change])
    #expect(try again.read().bucket("b")?.get("k") == "v")
  }
}
