import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

/// Members are killed again and again while clients write: no acknowledged write may be lost.
@Suite(.serialized) struct KillTests {
  static let kills = Int(ProcessInfo.processInfo.environment["KILLS"] ?? "") ?? 40

  @Test func noAcknowledgedWriteIsLost() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed), \(Self.kills) kills")
    var random = SeededGenerator(state: seed)
    let cluster = Cluster(
      Array(repeating: Binaries.ours, count: 3),
      extra: [
        "--heartbeat-interval", "20", "--election-timeout", "200", "--snapshot-count", "500",
        "--experimental-snapshot-catchup-entries", "50",
      ])
    try cluster.start()
    let ledger = Ledger()
    let loop = EventLoop(name: "kill-clients")
    loop.start()
    let stop = StopFlag()
    let ports = cluster.members.map(\.clientPort)
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<6 {
        group.addTask {
          await writeNumbers("writer\(writer)", to: ports[writer % 3], loop, ledger, stop)
        }
      }
      for _ in 0..<Self.kills {
        let victim = cluster.members[Int.random(in: 0..<3, using: &random)]
        victim.kill()
        try? await Task.sleep(for: .milliseconds(Int.random(in: 0..<400, using: &random)))
        victim.start()
        try? await Task.sleep(for: .milliseconds(Int.random(in: 50..<500, using: &random)))
      }
      stop.set()
    }
    for member in cluster.members { try member.waitHealthy() }
    loop.stop()
    let total = ledger.all.total
    print("\(total) acknowledged writes")
    #expect(total > Self.kills)
    try ledger.check(cluster.members)
    guard let utl = Binaries.utl35 else { return }
    for member in cluster.members {
      // Go's status runs bbolt's consistency check over every page.
      member.stop()
      let checked = run(utl, ["snapshot", "status", member.directory + "/member/snap/db"])
      #expect(checked.status == 0, "\(checked)")
    }
  }

  /// After the leader's death a survivor takes writes again within two election timeouts.
  @Test func writesGoOnAfterTheLeaderDies() async throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: 3))
    try cluster.start()
    let loop = EventLoop(name: "leader-dies")
    loop.start()
    for round in 0..<3 {
      let leader = try #require(
        cluster.members.first {
          httpGet("\($0.endpoint)/metrics")?.contains("etcd_server_is_leader 1\n") == true
        })
      let survivor = try #require(cluster.members.first { $0 !== leader })
      let client = try await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: survivor.clientPort), loop: loop)
      leader.kill()
      let start = ContinuousClock.now
      let put = Etcdserverpb.PutRequest(key: "after", value: Bytes("\(round)")).encoded()
      // What a follower passed on to the dead leader is lost, as in etcd: ask again.
      while ContinuousClock.now - start < .seconds(20) {
        let done = try? await client.unary(
          Etcdserverpb.KVService.put.path, put, timeout: .milliseconds(200))
        if done != nil { break }
      }
      let took = ContinuousClock.now - start
      print("writes went on after \(took)")
      // Two election timeouts of a second; the rest is for a machine that runs all tests at once.
      #expect(took < .seconds(5))
      client.abort()
      leader.start()
      try leader.waitHealthy()
    }
    loop.stop()
  }
}
