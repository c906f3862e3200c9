import EtcdAPI
import FileSystem
import Foundation
import TestSupport
import Testing
import WAL

/// One member that is left of a cluster becomes a cluster of its own.
@Suite(.serialized) struct ForceNewClusterTests {
  /// Kinds of the three members, and of the binary that is forced onto the first one's directory.
  @Test(
    .enabled(if: Binaries.go35 != nil),
    arguments: [
      ([true, true, true], true), ([false, false, false], true), ([true, true, false], false),
    ])
  func aSurvivorGoesOnAlone(ours: [Bool], forcedIsOurs: Bool) async throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster(
      ours.map { $0 ? Binaries.ours : official },
      extra: ["--snapshot-count", "20", "--strict-reconfig-check=false"])
    try cluster.start()
    for n in 0..<50 { #expect(cluster.ctl(["put", "key\(n)", "v"]).status == 0) }
    let survivor = cluster.members[0]
    let hash = hashKV(survivor)
    for member in cluster.members { member.stop() }
    let binary = forcedIsOurs ? Binaries.ours : official
    survivor.start(binary: binary, extra: ["--force-new-cluster"])
    try survivor.waitHealthy()
    #expect(cluster.ctl(["member", "list"], at: survivor).output.split(separator: "\n").count == 1)
    #expect(hashKV(survivor) == hash)
    #expect(cluster.ctl(["put", "alone", "v"], at: survivor).status == 0)
    // The next start needs no flag, with either binary.
    for binary in [Binaries.ours, official] {
      survivor.stop()
      survivor.start(binary: binary)
      try survivor.waitHealthy()
      let list = cluster.ctl(["member", "list"], at: survivor).output
      #expect(list.split(separator: "\n").count == 1, "\(list)")
      #expect(cluster.ctl(["put", "again", "v"], at: survivor).status == 0)
    }
    // Others join again, from nothing.
    let second = cluster.members[1]
    try FileManager.default.removeItem(atPath: second.directory)
    let url = "http://127.0.0.1:\(second.peerPort)"
    let added = cluster.ctl(["member", "add", "m2", "--peer-urls", url], at: survivor)
    #expect(added.status == 0, "\(added)")
    second.start(
      binary: Binaries.ours,
      extra: [
        "--initial-cluster-state", "existing", "--initial-cluster",
        "m1=http://127.0.0.1:\(survivor.peerPort),m2=\(url)",
      ])
    try second.waitHealthy()
    try expectEqualHashes([survivor, second])
  }

  /// What was acknowledged is there, though the member was killed behind it and nothing else was written: the log
  /// learns that it is committed a millisecond later, or once its thread gets to run.
  @Test(arguments: [1, 3]) func nothingAcknowledgedIsDiscarded(_ count: Int) throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: count))
    try cluster.start()
    let leader = cluster.members[0]
    if count > 1 { try cluster.lead(leader) }
    for n in 0..<20 { #expect(cluster.ctl(["put", "key\(n)", "v"], at: leader).status == 0) }
    try LeaseTests.wait(10, "the log knows its last entry as committed") {
      let (log, _) = try WAL.copy(
        RealFileSystem(), directory: leader.directory + "/member/wal", from: Walpb.Snapshot())
      return try #require(log.entries.last).index == log.state.commit
    }
    for member in cluster.members { member.kill() }
    leader.start(binary: Binaries.ours, extra: ["--force-new-cluster"])
    try leader.waitHealthy()
    let keys = cluster.ctl(["get", "key", "--prefix", "--count-only", "-w", "fields"], at: leader)
    #expect(keys.output.contains("\"Count\" : 20"), "\(keys)")
  }
}
