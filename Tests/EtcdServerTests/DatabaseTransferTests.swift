import Bolt
import Bytes
import EventLoops
import FileSystem
import Foundation
import Glibc
import MVCC
import PeerTransport
import TestSupport
import Testing

@testable import EtcdServer

/// Databases on their way in: what is put in place, what is refused, and what is left behind.
@Suite struct DatabaseTransferTests {
  private let scratch = Scratch()

  /// A database with some pages of keys, as a member sends it.
  /// - Parameter index: the row `consistent_index`; none when `nil`.
  private func database(index: Bytes?, keys: Int = 2_000) throws -> Bytes {
    let path = scratch.path + "/building-\(UUID().uuidString)"
    let database = try BoltDatabase(RealFileSystem(), path: path)
    defer { database.close() }
    let rows = (0..<keys).map { number in
      BoltOperation(
        key: Revision(main: Int64(number + 2)).encoded(), value: Bytes("value \(number)"))
    }
    try database.commit([
      BoltChange(bucket: Bucket.key.name, operations: rows),
      BoltChange(
        bucket: Bucket.meta.name,
        operations: index.map { [BoltOperation(key: "consistent_index", value: $0)] } ?? []),
    ])
    let state = database.read()
    return state.snapshotBytes(at: 0, count: state.size)
  }

  private func number(_ value: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(value)
    return writer.finish()
  }

  /// A folder for a member's snapshots, and what works on it.
  private final class Folder: Sendable {
    let path: String
    let thread = WorkerThread(name: "transfer")

    init(in scratch: Scratch) throws {
      path = scratch.path + "/snap-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { thread.stop() }

    /// - Parameter free: bytes that the disk says are free.
    func sink(_ index: UInt64, free: Int = .max) throws -> DatabaseSink {
      try DatabaseSink(
        directory: path, index: index, thread: thread, metrics: DiskMetrics(MetricsRegistry()),
        freeBytes: { _ throws(FileError) in free }, resume: {})
    }

    func finish(_ sink: DatabaseSink) async -> Result<Void, SnapshotError> {
      await withCheckedContinuation { done in sink.finish { done.resume(returning: $0) } }
    }

    /// Waits for what the thread was given so far.
    func settle() async {
      await withCheckedContinuation { done in thread.execute { done.resume() } }
    }

    var names: [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    func content(_ name: String) -> Bytes {
      Bytes(Array(FileManager.default.contents(atPath: "\(path)/\(name)") ?? Data()))
    }
  }

  /// Hands a database over in pieces. - Returns: why it was refused; `nil` when it was not.
  private func refusal(_ bytes: Bytes, at index: UInt64, _ folder: Folder) async throws -> String? {
    let sink = try folder.sink(index)
    var rest = bytes
    while !rest.isEmpty {
      let count = min(rest.count, 10_000)
      _ = try sink.write(rest[0..<count])
      rest = rest[count..<rest.count]
    }
    if case .failure(let error) = await folder.finish(sink) { return error.description }
    return nil
  }

  @Test func aDatabaseIsPutInPlace() async throws {
    let folder = try Folder(in: scratch)
    let bytes = try database(index: number(38))
    #expect(try await refusal(bytes, at: 38, folder) == nil)
    #expect(folder.names == ["0000000000000026.snap.db"])
    #expect(folder.content("0000000000000026.snap.db") == bytes)
  }

  /// After a crash it would look like a log that lost its end.
  @Test(arguments: [39, 5_000, UInt64.max]) func aNewerDatabaseIsRefused(_ held: UInt64)
    async throws
  {
    let folder = try Folder(in: scratch)
    let reason = try await refusal(try database(index: number(held)), at: 38, folder)
    #expect(
      reason
        == "the database that came with the snapshot at index 38 is newer: it is at index \(held)")
    #expect(folder.names.isEmpty)
  }

  /// Once installed it would end the member at every start.
  @Test(arguments: [39, 1038, .max]) func anOlderDatabaseIsRefused(_ index: UInt64) async throws {
    let folder = try Folder(in: scratch)
    let reason = try await refusal(try database(index: number(38)), at: index, folder)
    #expect(
      reason
        == "the database that came with the snapshot at index \(index) is older: it is at index 38")
    #expect(folder.names.isEmpty)
    // One that never was a member's.
    #expect(
      try await refusal(try database(index: nil), at: index, folder)?.hasSuffix("is at index 0")
        == true)
    #expect(folder.names.isEmpty)
  }

  @Test func whatIsNoDatabaseIsRefused() async throws {
    let folder = try Folder(in: scratch)
    let good = try database(index: number(38))
    let pages = good.count / 4096
    try #require(pages > 10)
    var cases: [(String, Bytes)] = [
      ("nothing", Bytes()), ("text", Bytes("no database")),
      ("zeros", Bytes([UInt8](repeating: 0, count: 40_000))),
      ("torn", good[0..<(pages / 2 * 4096)]), ("torn inside of a page", good[0..<(good.count - 9)]),
      ("an index of three bytes", try database(index: Bytes([0, 0, 38]))),
    ]
    let empty = try BoltDatabase(RealFileSystem(), path: scratch.path + "/empty")
    let state = empty.read()
    cases.append(("no buckets", state.snapshotBytes(at: 0, count: state.size)))
    empty.close()
    for (name, bytes) in cases {
      let reason = try await refusal(bytes, at: 38, folder)
      #expect(
        reason?.hasPrefix("what came with the snapshot is no database of etcd: ") == true,
        "\(name): \(reason ?? "taken")")
    }
    // A page that did not come, wherever it is, unless nothing is in it.
    var refused = 0
    for page in 2..<pages {
      var torn = Array(good)
      torn.replaceSubrange(
        page * 4096..<(page + 1) * 4096, with: [UInt8](repeating: 0, count: 4096))
      if try await refusal(Bytes(torn), at: 38, folder) != nil { refused += 1 }
    }
    #expect(refused >= pages - 2 - 4, "\(refused) of \(pages - 2) pages were missed")
    try? FileManager.default.removeItem(atPath: "\(folder.path)/0000000000000026.snap.db")
    #expect(folder.names.isEmpty)
  }

  /// Whoever sends without end must not take the room of the log.
  @Test func aDatabaseLeavesRoomOnTheDisk() async throws {
    let folder = try Folder(in: scratch)
    let piece = Bytes([UInt8](repeating: 1, count: 1 << 20))
    for (free, isTaken) in [(128 << 20, true), ((128 << 20) - 1, false)] {
      let sink = try folder.sink(7, free: free)
      var refusal: SnapshotError?
      var sent = 0
      do throws(SnapshotError) {
        for _ in 0..<16 {
          _ = try sink.write(piece)
          await folder.settle()
          sent += 1
        }
      } catch { refusal = error }
      #expect((refusal == nil) == isTaken, "\(String(describing: refusal))")
      #expect(sent == (isTaken ? 16 : 4))
      if let refusal {
        #expect(refusal.description.contains("would fill the disk: 4194304 bytes came"))
      }
      sink.abort()
      await folder.settle()
      #expect(folder.names.isEmpty)
    }
    #expect(try RealFileSystem().freeBytes(scratch.path) > 0)
    #expect(throws: FileError.self) { try RealFileSystem().freeBytes(scratch.path + "/none") }
  }

  /// What was refused is given up once more by the transport: a descriptor that was closed may be that of the
  /// log by then.
  @Test func whatWasRefusedIsClosedOnce() async throws {
    let folder = try Folder(in: scratch)
    for _ in 0..<10 {
      let sink = try folder.sink(7)
      guard case .failure = await folder.finish(sink) else {
        Issue.record("an empty file was taken")
        return
      }
      // These take the number that has become free.
      let others = (0..<32).compactMap { _ in FileHandle(forReadingAtPath: "/dev/null") }
      sink.abort()
      await folder.settle()
      for other in others {
        #expect(fcntl(other.fileDescriptor, F_GETFD) >= 0, "somebody else's file was closed")
      }
    }
    #expect(folder.names.isEmpty)
  }

  /// A leader that hung sends again: the two never write into each other.
  @Test func twoOfOneIndexShareNoFile() async throws {
    let folder = try Folder(in: scratch)
    let (one, other) = (try database(index: number(7)), try database(index: number(7), keys: 3_000))
    let (first, second) = (try folder.sink(7), try folder.sink(7))
    await folder.settle()
    #expect(folder.names.count == 2)
    #expect(folder.names.allSatisfy { $0.hasPrefix("tmp-0000000000000007-") })
    _ = try first.write(one[0..<5_000])
    _ = try second.write(other)
    _ = try first.write(one[5_000..<one.count])
    // One that is given up leaves the other.
    second.abort()
    await folder.settle()
    #expect(folder.names.count == 1)
    if case .failure(let error) = await folder.finish(first) { Issue.record("\(error)") }
    #expect(folder.names == ["0000000000000007.snap.db"])
    #expect(folder.content("0000000000000007.snap.db") == one)
    // And one that comes later has no part in what is in place until it is whole.
    let third = try folder.sink(7)
    _ = try third.write(other[0..<9_000])
    await folder.settle()
    #expect(folder.content("0000000000000007.snap.db") == one)
    third.abort()
    await folder.settle()
    #expect(folder.names == ["0000000000000007.snap.db"])
  }
}
