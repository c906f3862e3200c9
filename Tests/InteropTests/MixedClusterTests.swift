import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import TestSupport
import Testing

/// Members of both kinds in one cluster.
@Suite(.serialized) struct MixedClusterTests {
  static let ratios: [[Bool]] =
    [[true, false, false], [false, true, true], [false, false, false, true, true]]
    + (Ratios.all
      ? [
        [true, false, false, false, false], [true, true, true, false, false],
        [false, true, true, true, true],
      ] : [])

  /// Leadership goes to a member of each kind, everybody takes writes and answers linearizable reads,
  /// the leader dies, and at the end all have the same history.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: ratios)
  func replicatesWithEitherLeader(ours: [Bool]) throws {
    let official = try #require(Binaries.go35)
    // Some members ask before they stand for election, some do not.
    let cluster = Cluster(
      ours.map { $0 ? Binaries.ours : official },
      extra: ["--heartbeat-interval", "50", "--election-timeout", "500"],
      each: { ["--pre-vote=\($0 % 2 == 0)"] })
    try cluster.start()
    let leaders = [ours.firstIndex(of: true)!, ours.firstIndex(of: false)!]
    var written = 0
    for leader in leaders.map({ cluster.members[$0] }) {
      try cluster.lead(leader)
      for member in cluster.members {
        for n in 0..<3 {
          let done = cluster.ctl(["put", "\(leader.name)-\(member.name)-\(n)", "v"], at: member)
          #expect(done.status == 0, "\(done)")
          written += 1
        }
      }
      // Through ReadIndex of the leader, from each follower.
      for member in cluster.members {
        let read = cluster.ctl(
          ["get", "", "--prefix", "--count-only", "-w", "fields"], at: member)
        #expect(read.output.contains("\"Count\" : \(written)"), "\(member.name): \(read)")
      }
    }
    let list = cluster.ctl(["member", "list"], at: cluster.members[0])
    #expect(
      list.output.split(separator: "\n").filter { $0.contains("started") }.count == ours.count)
    // Each kind of leader goes the hard way or, where the kind has a known fault, the soft one.
    for leader in leaders.map({ cluster.members[$0] }) {
      try cluster.lead(leader)
      if leader.binary == official { leader.stop() } else { leader.kill() }
      let survivor = cluster.members.first { $0 !== leader }!
      let deadline = Date().addingTimeInterval(20)
      var done = cluster.ctl(["put", "after", leader.name], at: survivor)
      while done.status != 0, Date() < deadline {
        done = cluster.ctl(["put", "after", leader.name], at: survivor)
      }
      #expect(done.status == 0, "no leader after \(leader.name) died: \(done)")
      leader.start()
      try leader.waitHealthy()
    }
    try expectEqualHashes(cluster.members)
  }

  /// Every member is replaced by the other kind and back again, one at a time, on its directory, while
  /// clients write through all of them.
  @Test(.enabled(if: Binaries.go35 != nil)) func rollingReplacement() async throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster(
      Array(repeating: official, count: 3),
      extra: [
        "--heartbeat-interval", "50", "--election-timeout", "500", "--snapshot-count", "300",
      ])
    try cluster.start()
    let ledger = Ledger()
    let loop = EventLoop(name: "rolling-clients")
    loop.start()
    let stop = StopFlag()
    let ports = cluster.members.map(\.clientPort)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<6 {
        group.addTask {
          await writeNumbers("writer\(writer)", to: ports[writer % 3], loop, ledger, stop)
        }
      }
      defer { stop.set() }
      for binary in [Binaries.ours, official] {
        for member in cluster.members {
          let before = ledger.all.total
          member.stop()
          member.start(binary: binary)
          try member.waitHealthy()
          // Load goes on between the replacements.
          let deadline = Date().addingTimeInterval(20)
          while ledger.all.total < before + 200, Date() < deadline {
            try await Task.sleep(for: .milliseconds(20))
          }
          #expect(ledger.all.total >= before + 200, "writes stand still")
        }
        try expectEqualHashes(cluster.members)
      }
    }
    loop.stop()
    print("\(ledger.all.total) acknowledged writes")
    try ledger.check(cluster.members)
  }

  /// The cluster's version is that of its oldest member, and rises when the last one is replaced.
  @Test(.enabled(if: Binaries.go34 != nil && Binaries.go35 != nil)) func versionIsNegotiated()
    throws
  {
    let older = try #require(Binaries.go34)
    let official = try #require(Binaries.go35)
    let cluster = Cluster([older, Binaries.ours, official])
    try cluster.start()
    func waitFor(_ version: String) {
      let deadline = Date().addingTimeInterval(30)
      for member in cluster.members {
        var text = httpGet("\(member.endpoint)/version")
        while text?.contains("\"etcdcluster\":\"\(version)\"") != true, Date() < deadline {
          usleep(100_000)
          text = httpGet("\(member.endpoint)/version")
        }
        #expect(text?.contains("\"etcdcluster\":\"\(version)\"") == true, "\(text ?? "")")
      }
    }
    // Our leader decides, then Go's confirms.
    try cluster.lead(cluster.members[1])
    waitFor("3.4.0")
    #expect(cluster.ctl(["put", "a", "1"], at: cluster.members[0]).status == 0)
    cluster.members[0].stop()
    cluster.members[0].start(binary: Binaries.ours)
    try cluster.members[0].waitHealthy()
    waitFor("3.5.0")
    try expectEqualHashes(cluster.members)
  }

  /// A member whose clock differs is named by members of both kinds.
  @Test(
    .enabled(
      if: Binaries.go35 != nil && Binaries.isThere(Self.fakeClock),
      "etcd 3.5.1 and libfaketime, which scripts/setup.sh installs"))
  func clocksThatDiffer() throws {
    let library = Self.fakeClock
    let official = try #require(Binaries.go35)
    // Go etcd names only clocks that are behind its own.
    let cluster = Cluster([official, Binaries.ours, Binaries.ours])
    cluster.members[0].start()
    cluster.members[1].start()
    cluster.members[2].start(environment: [
      "LD_PRELOAD": library, "FAKETIME": "-7s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    ])
    for member in cluster.members { try member.waitHealthy() }
    let deadline = Date().addingTimeInterval(30)
    for member in cluster.members {
      while !member.log.contains("prober found high clock drift"), Date() < deadline {
        usleep(100_000)
      }
      #expect(member.log.contains("prober found high clock drift"), "\(member.name)")
    }
  }

  private static let fakeClock = "/usr/lib/\(machine)-linux-gnu/faketime/libfaketime.so.1"

  private static var machine: String {
    var info = utsname()
    uname(&info)
    return withUnsafePointer(to: &info.machine) {
      $0.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) }
    }
  }
}
