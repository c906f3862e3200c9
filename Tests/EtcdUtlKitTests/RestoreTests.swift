import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Foundation
import MVCC
import MemberStorage
import Membership
import Raft
import TestSupport
import Testing
import V2Store

/// What a restore makes, and that it makes all of it or nothing.
@Suite struct RestoreTests {
  static let cluster = "b=http://10.0.0.2:2380,a=http://10.0.0.1:2380,c=https://10.0.0.3:2380"

  private func restore(
    _ scratch: Scratch, _ fileSystem: any FileSystem = RealFileSystem(), extra: [String] = []
  ) -> Ran {
    etcdutl(
      fileSystem,
      [
        "snapshot", "restore", scratch.path + "/s.db", "--data-dir", scratch.path + "/new/data",
        "--name", "b", "--initial-cluster", Self.cluster,
        "--initial-advertise-peer-urls", "http://10.0.0.2:2380",
      ] + extra)
  }

  @Test func theDirectoryIsOneOfTheNewCluster() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 300)
    let ran = restore(scratch)
    #expect(ran.code == 0, "\(ran.error)")
    let directory = MemberDirectory(
      RealFileSystem(), dataDirectory: scratch.path + "/new/data")
    let opened = try directory.open()
    defer { opened.backend.close() }
    let found = try Membership(V2Store(document: opened.snapshot.data))
    let ids = found.sorted.map(\.id)
    #expect(opened.snapshot.metadata.confState.voters == ids.map(\.rawValue))
    #expect(opened.snapshot.metadata.index == 3 && opened.snapshot.metadata.term == 1)
    #expect(opened.consistentIndex == 3)
    #expect(
      opened.storage.hardState.commit == 3 && opened.storage.hardState.vote == ids[0].rawValue)
    #expect(opened.memberID == found.sorted.first { $0.peerURLs == ["http://10.0.0.2:2380"] }?.id)
    #expect(opened.clusterID == Identity.clusterID(members: ids))
    #expect(opened.store.revision == 301)
    let rows = try opened.store.rows(.members)
    #expect(rows.map(\.key.string).sorted() == found.sorted.map(\.hexID).sorted())
    #expect(try opened.store.rows(.membersRemoved).isEmpty)
    #expect(try opened.store.get(.cluster, "clusterVersion") == "3.5.0")
    try opened.log.close()
  }

  @Test func bumpedRevisionsAreCompacted() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 10)
    let ran = restore(scratch, extra: ["--bump-revision", "1000", "--mark-compacted"])
    #expect(ran.code == 0, "\(ran.error)")
    #expect(ran.error.contains("\"new-latest-revision\": 1011"))
    #expect(!ran.error.contains("will be used again"))
    let hash = etcdutl(["hashkv", scratch.path + "/new/data/member/snap/db", "-w", "json"])
    #expect(hash.output.hasSuffix("\"hashRevision\":1011,\"compactRevision\":1011}\n"), "\(hash)")
    // A store there would have no revision left for its next change.
    let last = restore(
      scratch,
      extra: [
        "--bump-revision", "\(Int64.max - 11)", "--mark-compacted", "--data-dir",
        scratch.path + "/last",
      ])
    #expect(last.code == 1 && last.error.contains("cannot be raised by"), "\(last.error)")
    for flags in [["--bump-revision", "5"], ["--mark-compacted"]] {
      let refused = restore(scratch, extra: flags)
      #expect(refused.code == 128)
      #expect(refused.error == "Error: --mark-compacted required if --revision-bump > 0\n")
    }
  }

  /// Every change of the disk fails once, in each way the directories can lie.
  @Test(arguments: 0..<3)
  func afterAFailureThereIsAllOrNothing(layout: Int) throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 20)
    let data = scratch.path + "/new/data"
    let wal = scratch.path + "/logs/deep/wal"
    if layout == 1 {
      try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    }
    let extra = layout == 2 ? ["--wal-dir", wal] : []
    let before = scratch.contents
    var failures = 0
    while true {
      let disk = FailingFileSystem(failingAt: failures)
      let ran = restore(scratch, disk, extra: extra)
      guard disk.hasFailed else {
        #expect(ran.code == 0)
        break
      }
      failures += 1
      if scratch.contents == before {
        #expect(ran.code == 1 && ran.error.contains("no space left"), "failure \(failures)")
        continue
      }
      // The last steps come after everything is in its place.
      let opened = try MemberDirectory(
        RealFileSystem(), dataDirectory: data, walDirectory: layout == 2 ? wal : ""
      ).open()
      #expect(opened.consistentIndex == 3, "failure \(failures)")
      opened.backend.close()
      try opened.log.close()
      #expect(!scratch.contents.contains { $0.contains("restoring") && layout != 1 })
      for left in scratch.contents where !before.contains(left) {
        try? FileManager.default.removeItem(atPath: scratch.path + "/" + left)
      }
    }
    #expect(failures > 30, "the disk was changed only \(failures) times")
  }

  @Test func whatIsThereIsLeftAlone() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 1)
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/new/data/mine", withIntermediateDirectories: true)
    let ran = restore(scratch)
    #expect(ran.code == 1)
    #expect(
      ran.error
        == "Error: data-dir \"\(scratch.path)/new/data\" not empty or could not be read\n")
    let logs = restore(
      scratch, extra: ["--data-dir", scratch.path + "/other", "--wal-dir", scratch.path + "/new"])
    #expect(logs.error == "Error: wal-dir \"\(scratch.path)/new\" exists\n")
    #expect(scratch.contents == ["new", "new/data", "new/data/mine", "s.db"])
  }

  /// A name that a restore would build under belongs to someone else.
  @Test func aTakenNameIsNotRemoved() throws {
    let scratch = Scratch()
    try makeSnapshot(in: scratch, name: "s.db", keys: 1)
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/new/data.restoring-abc/mine", withIntermediateDirectories: true)
    let before = scratch.contents
    let ran = restore(scratch)
    #expect(ran.code == 1 && ran.error.contains("file exists"))
    #expect(scratch.contents == before)
  }
}
