import Bolt
import Bytes
import CommandLineTool
import EtcdAPI
import FileSystem
import Foundation
import MemberStorage
import Protobuf
import Synchronization
import TestSupport
import Testing
import WAL

@testable import EtcdUtlKit

/// Commands on the files of a member, and what they print.
@Suite struct CommandTests {
  /// A restored member; its directory.
  private func member(_ scratch: Scratch, keys: Int = 200) throws -> String {
    try makeSnapshot(in: scratch, name: "s.db", keys: keys)
    let path = scratch.path + "/data"
    let ran = etcdutl(["snapshot", "restore", scratch.path + "/s.db", "--data-dir", path])
    #expect(ran.code == 0, "\(ran.error)")
    return path
  }

  @Test func timesAreRFC3339() {
    #expect(UtilityLog.time(1_700_000_000) == "2023-11-14T22:13:20Z")
    #expect(UtilityLog.time(0) == "1970-01-01T00:00:00Z")
  }

  @Test func versionHasTwoLines() {
    let lines = etcdutl(["version"]).output.split(separator: "\n")
    #expect(lines.count == 2 && lines[0].hasPrefix("etcdutl version: 3.5."))
    #expect(lines.last == "API version: 3.5")
  }

  @Test func defragKeepsTheDataAndDropsFreePages() throws {
    let scratch = Scratch()
    let path = try member(scratch, keys: 2000)
    let file = path + "/member/snap/db"
    let hash = etcdutl(["hashkv", file])
    // Pages become free: members are rewritten.
    let database = try BoltDatabase(RealFileSystem(), path: file)
    for number in 0..<20 {
      try database.commit([
        BoltChange(
          bucket: "lease",
          operations: [.init(key: "x", value: Bytes(repeatElement(UInt8(number), count: 9000)))])
      ])
    }
    try database.commit([BoltChange(bucket: "lease", operations: [.init(key: "x", value: nil)])])
    let before = database.read().size
    database.close()
    let ran = etcdutl(["defrag", "--data-dir", path])
    #expect(ran.code == 0 && ran.error.contains("finished defragmenting directory"), "\(ran.error)")
    #expect(etcdutl(["hashkv", file]) == hash)
    var options = BoltOptions()
    options.isReadOnly = true
    let after = try BoltDatabase(RealFileSystem(), path: file, options: options)
    #expect(after.read().size < before)
    after.close()
    #expect(!scratch.contents.contains { $0.contains("tmp") })
  }

  /// As Go's, it says so once and goes on when the member has ended.
  @Test func defragWaitsForTheMemberToEnd() throws {
    let scratch = Scratch()
    let path = try member(scratch, keys: 5)
    let running = try BoltDatabase(RealFileSystem(), path: path + "/member/snap/db")
    let pauses = Mutex(0)
    let ran = etcdutl(RealFileSystem(), ["defrag", "--data-dir", path]) {
      let count = pauses.withLock { count in
        count += 1
        return count
      }
      if count == 3 { running.close() }
    }
    #expect(ran.code == 0 && pauses.withLock { $0 } == 3)
    #expect(
      ran.error.hasPrefix(
        "waiting for etcd to close and release its lock on \"\(path)/member/snap/db\". To defrag a "
          + "running etcd instance, omit --data-dir.\n2023-11-14T22:13:20Z\tinfo\t"))
  }

  @Test func defragSaysWhatIsMissing() {
    let scratch = Scratch()
    let ran = etcdutl(["defrag", "--data-dir", scratch.path + "/none"])
    #expect(
      ran.error
        == "Error: Failed to defragment etcd data[\(scratch.path)/none] (stat \(scratch.path)/none/"
        + "member/snap/db: no such file or directory)\n")
    #expect(ran.code == 1 && scratch.contents.isEmpty)
  }

  @Test func hashesAreOfARevision() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 10)
    let path = scratch.path + "/s.db"
    let half = etcdutl(["hashkv", path, "--rev", "6"])
    #expect(half.output.hasSuffix(", 6, -1\n"))
    #expect(half != etcdutl(["hashkv", path]))
    let future = etcdutl(["hashkv", path, "--rev", "12"])
    #expect(future.error == "Error: mvcc: required revision is a future revision\n")
  }

  @Test func storageMovesBetween35And36() throws {
    let scratch = Scratch()
    let path = try member(scratch)
    func migrate(_ target: String, _ extra: String...) -> Ran {
      etcdutl(["migrate", "--data-dir", path, "--target-version", target] + extra)
    }
    #expect(migrate("3.5").error.contains("storage version up-to-date"))
    #expect(migrate("3.6").error.contains("\"new-storage-version\": \"3.6.0\""))
    #expect(try version(path) == .release36)
    #expect(migrate("3.6").error.contains("storage version up-to-date"))
    #expect(migrate("3.7").error.contains("version \"3.7.0\" is not supported"))
    #expect(migrate("3.7").code == 1)
    #expect(migrate("3.4").code == 128)
    #expect(
      migrate("3.4").error == "Error: target version \"3.4\" not supported. Minimal \"3.5\"\n")
    #expect(
      migrate("3").error == "Error: wrong target version format, expected \"X.Y\", got \"3\"\n")
    try append(
      Etcdserverpb.InternalRaftRequest(
        downgradeVersionTest: Etcdserverpb.DowngradeVersionTestRequest(ver: "3.6.0")), to: path)
    let blocked = migrate("3.5")
    #expect(
      blocked.code == 1 && blocked.error.contains("WAL contains newer entries"), "\(blocked)")
    #expect(try version(path) == .release36)
    #expect(migrate("3.5", "--force").code == 0)
    #expect(try version(path) == .release35)
  }

  private func version(_ path: String) throws -> StorageVersion {
    let database = try BoltDatabase(RealFileSystem(), path: path + "/member/snap/db")
    defer { database.close() }
    return try StorageVersion.detect(database.read())
  }

  private func append(_ request: Etcdserverpb.InternalRaftRequest, to path: String) throws {
    let (wal, contents, _) = try WAL.open(
      RealFileSystem(), directory: path + "/member/wal", from: Walpb.Snapshot(index: 1, term: 1))
    var state = contents.state
    state.commit = 2
    wal.append(
      state: state,
      entries: [Raftpb.Entry(type: .normal, term: 1, index: 2, data: request.encoded())])
    try wal.close()
  }
}
