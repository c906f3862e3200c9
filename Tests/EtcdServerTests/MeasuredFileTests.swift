import Bytes
import EtcdAPI
import FileSystem
import MemberStorage
import Synchronization
import TestSupport
import Testing

@testable import EtcdServer
@testable import Member

/// The disk's metrics see every file that they are about.
@Suite struct MeasuredFileTests {
  private final class Heard: DiskObserver {
    let logSyncs = Atomic(0)
    func wrote(_ kind: MeasuredFile.Kind, bytes: Int, nanoseconds: UInt64) {}
    func synced(_ kind: MeasuredFile.Kind, nanoseconds: UInt64) {
      if case .log = kind { logSyncs.add(1, ordering: .relaxed) }
    }
  }

  /// A segment has another name while it is made.
  @Test func theLogIsMeasuredInEverySegment() throws {
    let scratch = Scratch()
    let heard = Heard()
    var directory = MemberDirectory(
      MeasuredFileSystem(RealFileSystem(), heard), dataDirectory: scratch.path + "/data")
    directory.segmentBytes = 4096
    let opened = try directory.create(memberID: 1, clusterID: 2)
    func segments() throws -> Int {
      try RealFileSystem().list(directory.walDirectory).count { $0.hasSuffix(".wal") }
    }
    var index: UInt64 = 0
    func append() throws -> Int {
      index += 1
      let before = heard.logSyncs.load(ordering: .relaxed)
      let entry = Raftpb.Entry(
        term: 1, index: index, data: Bytes([UInt8](repeating: 7, count: 500)))
      try opened.log.write([
        LogAppend(hardState: nil, entries: [entry], snapshot: nil, mustSync: true, responses: [])
      ])
      return heard.logSyncs.load(ordering: .relaxed) - before
    }
    while try segments() < 3 { #expect(try append() >= 1, "entry \(index)") }
    #expect(try append() == 1)
    try opened.log.close()
    opened.backend.close()
  }

  @Test(arguments: [
    ("d/wal/0000000000000000-0000000000000000.wal", true), ("d/wal/7.tmp", true),
    ("7.tmp", true), ("d/wal/x7.tmp", false), ("d/snap/db.tmp", false), ("d/.touch", false),
  ])
  func namesTellTheKind(path: String, isLog: Bool) {
    #expect(MeasuredFile.Kind(path: path) == (isLog ? .log : nil))
  }
}
