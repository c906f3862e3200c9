import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Foundation
import MVCC
import MemberStorage
import Protobuf
import Testing

/// Members whose data differ, found by either server in clusters of both.
@Suite(.serialized) struct CorruptionTests {
  /// Changes the value of the newest row in the database of a member that does not run.
  private func corrupt(_ member: Member) throws {
    let database = try BoltDatabase(RealFileSystem(), path: member.directory + "/member/snap/db")
    defer { database.close() }
    var last: (key: Bytes, value: Bytes)?
    try BoltRows(database.read()).scan(.key, from: Bytes()) { key, value in
      last = (key.detached(), value.detached())
      return true
    }
    let row = try #require(last)
    var pair = try Mvccpb.KeyValue.decode(row.value)
    pair.value = "corrupt"
    try database.commit([
      BoltChange(
        bucket: "key", operations: [BoltOperation(key: row.key, value: pair.encoded())])
    ])
  }

  private func waitFor(_ what: String, _ holds: () -> Bool) throws {
    let deadline = Date().addingTimeInterval(30)
    while !holds(), Date() < deadline { usleep(20_000) }
    #expect(holds(), "\(what)")
  }

  /// Three members with the same history; the last was stopped, corrupted, and is not running.
  private func corrupted(_ binaries: [String], extra: [String] = []) throws -> Cluster {
    let cluster = Cluster(
      binaries, extra: ["--heartbeat-interval", "50", "--election-timeout", "500"] + extra)
    try cluster.start()
    for n in 0..<10 { #expect(cluster.ctl(["put", "key\(n)", "v"]).status == 0) }
    let victim = cluster.members[2]
    // Everybody has everything, and the last does not lead.
    for member in cluster.members {
      #expect(cluster.ctl(["get", "key9"], at: member).output.contains("v"))
    }
    try cluster.lead(cluster.members[0])
    victim.stop()
    try corrupt(victim)
    return cluster
  }

  // MARK: Before serving

  /// Whether the one that starts is ours, and whether the others are.
  @Test(
    .enabled(if: Binaries.go35 != nil), arguments: [(true, true), (true, false), (false, true)])
  func aMemberWithOtherDataDoesNotStart(isOurs: Bool, othersAreOurs: Bool) throws {
    let other = othersAreOurs ? Binaries.ours : Binaries.go35!
    let own = isOurs ? Binaries.ours : Binaries.go35!
    // Go reads its members from the raft snapshot.
    let cluster = try corrupted([other, other, own], extra: ["--snapshot-count", "5"])
    let victim = cluster.members[2]
    victim.start(extra: ["--experimental-initial-corrupt-check"])
    try waitFor("it ends") { !victim.isRunning }
    #expect(
      victim.log.contains("found data inconsistency with peers"), "\(victim.log.suffix(2000))")
    if isOurs {
      #expect(victim.log.contains("found different hash values from remote peer"))
      #expect(victim.log.contains("checkInitialHashKV failed"))
      #expect(!victim.log.suffix(4000).contains("404 page not found"))
    }
    // A sound one passes.
    let sound = cluster.members[1]
    sound.stop()
    sound.start(extra: ["--experimental-initial-corrupt-check"])
    try sound.waitHealthy()
    #expect(sound.log.contains("initial corruption checking passed; no corruption"))
  }

  // MARK: While it leads

  /// The alarm stops reads and writes, outlives a restart, and ends when somebody disarms it.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func theLeaderFindsOtherData(leaderIsOurs: Bool) throws {
    let official = try #require(Binaries.go35)
    let (leader, follower) =
      leaderIsOurs ? (Binaries.ours, official) : (official, Binaries.ours)
    let cluster = try corrupted([leader, Binaries.ours, follower])
    cluster.members[2].start()
    try cluster.members[2].waitHealthy()
    // The one that is restarted with the check may lose the lead.
    for member in cluster.members.prefix(2) {
      member.stop()
      member.start(extra: ["--experimental-corrupt-check-time", "200ms"])
      try member.waitHealthy()
    }
    try cluster.lead(cluster.members[0])
    try waitFor("the alarm") { cluster.ctl(["alarm", "list"]).output.contains("CORRUPT") }
    let list = cluster.ctl(["alarm", "list"]).output
    // Member 0, as the text of a message leaves zeros out.
    if leaderIsOurs { #expect(list == "alarm:CORRUPT \n") }
    for member in cluster.members {
      for words in [["put", "a", "b"], ["del", "a"], ["lease", "grant", "5"], ["compact", "3"]] {
        let done = cluster.ctl(words, at: member)
        #expect(done.status != 0 && done.error.contains("corrupt cluster"), "\(words) \(done)")
      }
      for words in [["get", "key1"], ["get", "key1", "--consistency=s"]] {
        let done = cluster.ctl(words, at: member)
        #expect(done.output == "key1\nv\n", "\(words) \(done)")
      }
    }
    let hash = hashKV(cluster.members[1])
    #expect(UInt32(hash) != nil, "hashes are told all the same: \(hash)")
    for member in cluster.members { member.stop() }
    for member in cluster.members { member.start() }
    try waitFor("the members answer") { cluster.ctl(["alarm", "list"]).output == list }
    let disarmed = cluster.ctl(["alarm", "disarm"])
    #expect(disarmed.output == list, "\(disarmed)")
    #expect(cluster.ctl(["alarm", "list"]).output == "")
    #expect(cluster.ctl(["put", "a", "b"]).status == 0)
  }

  @Test func theLeaderComparesCompactions() throws {
    let ours = Binaries.ours
    let cluster = try corrupted(
      [ours, ours, ours],
      extra: [
        "--experimental-compact-hash-check-enabled", "--experimental-compact-hash-check-time",
        "200ms",
      ])
    cluster.members[2].start()
    try cluster.members[2].waitHealthy()
    #expect(cluster.ctl(["put", "key9", "newer"]).status == 0)
    #expect(cluster.ctl(["alarm", "list"]).output == "")
    #expect(cluster.ctl(["compact", "11"]).status == 0)
    try waitFor("the alarm") {
      cluster.ctl(["alarm", "list"]).output == "alarm:CORRUPT \n"
    }
    #expect(cluster.members.contains { $0.log.contains("failed compaction hash check") })
    #expect(cluster.members.allSatisfy { $0.log.contains("storing new hash") })
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func soundClustersStaySound() throws {
    let official = try #require(Binaries.go35)
    for kinds in [
      [Binaries.ours, Binaries.ours, Binaries.ours], [official, Binaries.ours, official],
    ] {
      let cluster = Cluster(
        kinds, extra: ["--experimental-corrupt-check-time", "100ms"],
        oursOnly: [
          "--experimental-compact-hash-check-enabled",
          "--experimental-compact-hash-check-time", "100ms",
        ])
      try cluster.start()
      for leader in cluster.members.prefix(2) {
        try cluster.lead(leader)
        for n in 0..<20 { #expect(cluster.ctl(["put", "key\(n % 3)", "\(n)"]).status == 0) }
        let status = cluster.ctl(["get", "key1", "-w", "fields"], at: leader).output
        let revision = try #require(
          status.firstMatch(of: /"Revision" : (\d+)/).map { String($0.1) })
        #expect(cluster.ctl(["compact", revision]).status == 0)
        // Twice: the first may have begun before the writes.
        let before = leader.log.components(separatedBy: "finished peer corruption check").count
        try waitFor("two checks") {
          leader.log.components(separatedBy: "finished peer corruption check").count >= before + 2
        }
      }
      #expect(cluster.ctl(["alarm", "list"]).output == "")
      if kinds[0] == Binaries.ours {
        try waitFor("a compaction is compared") {
          cluster.members.contains {
            $0.log.contains("successfully checked hash on whole cluster")
          }
        }
      }
    }
  }

  // MARK: At start

  @Test func aMemberDefragmentsAtStart() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    let value = String(repeating: "x", count: 100_000)
    for _ in 0..<60 { #expect(cluster.ctl(["put", "key", value]).status == 0) }
    #expect(cluster.ctl(["compact", "61", "--physical"]).status == 0)
    member.stop()
    let file = member.directory + "/member/snap/db"
    func size() throws -> Int {
      try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
    }
    let before = try size()
    #expect(before > 5 << 20)
    member.start(extra: ["--experimental-bootstrap-defrag-threshold-megabytes", "1000"])
    try member.waitHealthy()
    #expect(member.log.contains("Skipping defragmentation"))
    #expect(member.log.contains("\"experimental-bootstrap-defrag-threshold\":\"1.0 GB\""))
    member.stop()
    #expect(try size() == before)
    member.start(extra: ["--experimental-bootstrap-defrag-threshold-megabytes", "2"])
    try member.waitHealthy()
    #expect(try size() < 2 << 20)
    #expect(cluster.ctl(["get", "key"]).output == "key\n\(value)\n")
  }
}
