import EtcdAPI

/// A follower that was away while so much was written that it needs a snapshot.
extension Bench {
  private static let valueBytes = 100_000

  func recovery() async throws {
    for server in pair {
      // Go etcd keeps 5,000 entries behind a snapshot: what is written is twice that.
      let cluster = try await cluster(
        server, members: 3, ["--quota-backend-bytes", "8589934592", "--snapshot-count", "1000"])
      let away = (cluster.leader + 1) % 3
      let leader = cluster.clients[cluster.leader]
      cluster.stop(member: away)
      let count = Swift.max(7_000, scaled(10_000))
      let bytes = options.scale < 1 ? 10_000 : Self.valueBytes
      try await leader.fill(
        0..<count, perTransaction: 1, parallel: 16, value: Bodies.noise(bytes))
      try await Task.sleep(for: .seconds(2))
      let target = try await leader.revision()
      let begin = now()
      try cluster.launchAgain(member: away)
      let follower = try await cluster.connect(member: away)
      while try await follower.status().header?.revision ?? 0 < target {
        guard now() < begin + 120 else { throw BenchError("\(server.name) does not catch up") }
        try await Task.sleep(for: .milliseconds(5))
      }
      let name = "Recovery of a follower \(count * bytes / 1_000_000) MB behind"
      results.add(ResultLine(name, .milliseconds, .share(1.0 / 3)), server, now() - begin)
      follower.close()
      cluster.stop()
    }
  }
}
