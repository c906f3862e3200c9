import Foundation
import Testing

/// A member that was away longer than the log reaches back is brought up by a snapshot.
@Suite(.serialized) struct SnapshotTests {
  /// Which member lags, and what kind each member is.
  @Test(
    .enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil),
    arguments: [[true, true, true], [false, false, true], [true, true, false]])
  func laggingMemberCatchesUp(ours: [Bool]) async throws {
    let official = try #require(Binaries.go35)
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster(
      ours.map { $0 ? Binaries.ours : official },
      extra: ["--snapshot-count", "1000"],
      oursOnly: ["--experimental-snapshot-catchup-entries", "10"])
    try cluster.start()
    let lagging = cluster.members[2]
    try await putMany(1, to: cluster.members[0])
    lagging.stop()
    let others = cluster.members.dropLast().map { (member: $0, before: $0.log.count) }
    // Go etcd 3.5.1 keeps 5,000 entries behind a snapshot, whatever the flags.
    try await putMany(6500, to: cluster.members[0])
    // Whoever leads must have let go of what the member lacks.
    for (member, before) in others {
      let deadline = Date().addingTimeInterval(15)
      while !member.log.dropFirst(before).contains("saved snapshot"), Date() < deadline {
        usleep(20_000)
      }
    }
    lagging.start()
    try lagging.waitHealthy()
    let read = run(ctl, ["--endpoints", lagging.endpoint, "get", "key99", "--print-value-only"])
    #expect(read.output == "value6499\n")
    let hashes = Set(cluster.members.map { hashKV($0, revision: 6502) })
    #expect(hashes.count == 1, "\(hashes)")
    if ours[2] {
      #expect(lagging.log.contains("applied snapshot"), "\(lagging.log.suffix(3000))")
    }
    // It keeps what it got: after a restart the snapshot is what its log begins with.
    lagging.kill()
    lagging.start()
    try lagging.waitHealthy()
    #expect(hashKV(lagging, revision: 6502) == hashKV(cluster.members[0], revision: 6502))
    try replace(lagging, cluster)
  }

  /// A member whose disk is lost is removed, added under a new id, and gets everything by a snapshot.
  private func replace(_ member: Member, _ cluster: Cluster) throws {
    member.kill()
    try FileManager.default.removeItem(atPath: member.directory)
    let list = cluster.ctl(["member", "list"], at: cluster.members[0]).output
    let line = try #require(list.split(separator: "\n").first { $0.contains(" \(member.name),") })
    let id = String(line.prefix { $0 != "," })
    let url = "http://127.0.0.1:\(member.peerPort)"
    // The strict check counts members that are connected for five seconds.
    for words in [["member", "remove", id], ["member", "add", member.name, "--peer-urls", url]] {
      let deadline = Date().addingTimeInterval(15)
      var done = cluster.ctl(words, at: cluster.members[0])
      while done.status != 0, Date() < deadline {
        usleep(200_000)
        done = cluster.ctl(words, at: cluster.members[0])
      }
      #expect(done.status == 0, "\(words): \(done)")
    }
    let before = member.log.count
    member.start(extra: ["--initial-cluster-state", "existing"])
    try member.waitHealthy()
    try expectEqualHashes(cluster.members)
    if member.binary == Binaries.ours {
      #expect(String(member.log.dropFirst(before)).contains("applied snapshot"))
    }
  }
}
