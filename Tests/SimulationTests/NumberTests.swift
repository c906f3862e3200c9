import Bolt
import Bytes
import EtcdAPI
import Raft
import Simulation
import Testing

@testable import MemberStorage

/// Numbers that only a damaged or a made up log holds.
@Suite struct NumberTests {
  /// `--force-new-cluster` with a commit index behind the end of the log.
  @Test(arguments: [UInt64.max, 9999])
  func aCommitIndexBehindTheLogIsRefused(_ commit: UInt64) throws {
    let disk = SimulatedFileSystem()
    var directory = MemberDirectory(disk, dataDirectory: "data")
    directory.bolt.mapBytes = 1 << 20
    let created = try directory.create(memberID: 1, clusterID: 7)
    try created.log.write(Raftpb.HardState(term: 1, commit: commit), [])
    try created.log.close()
    created.backend.close()
    var opened = try directory.open()
    defer { opened.backend.close() }
    #expect(throws: StorageError.self) { try opened.becomeStandalone() }
    try opened.log.close()
  }
}
