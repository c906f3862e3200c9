import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// Leases on the wire: the keep-alive stream, and the requests between members.
@Suite(.serialized) struct LeaseWireTests {
  typealias Lease = Etcdserverpb.LeaseService

  private func connect(_ port: Int, _ loop: EventLoop) async throws -> GRPCClient {
    try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: port), loop: loop)
  }

  private func grant(_ client: GRPCClient, _ id: Int64, ttl: Int64) async throws {
    let request = Etcdserverpb.LeaseGrantRequest(ttl: ttl, id: id)
    _ = try await client.unary(
      Lease.leaseGrant.path, request.encoded(), timeout: .seconds(20))
  }

  /// One stream renews several leases; answers come in order, also for leases that do not exist.
  @Test(.enabled(if: Binaries.go35 != nil)) func keepAliveStreamAnswersInOrder() async throws {
    let official = try #require(Binaries.go35)
    let clusters = [Cluster([official]), Cluster([Binaries.ours])]
    for cluster in clusters { try cluster.start() }
    let ids: [Int64] = [1, 2, 1, 77, 0, -5, 2, 2, 1]
    let ports = clusters.map { $0.members[0].clientPort }
    let answers = try await withLoop { loop in
      var answers: [[String]] = []
      for port in ports {
        let client = try await connect(port, loop)
        try await grant(client, 1, ttl: 30)
        try await grant(client, 2, ttl: 40)
        try await grant(client, -5, ttl: 50)
        let stream = try await client.stream(Lease.leaseKeepAlive.path)
        var seen: [String] = []
        for id in ids {
          try await stream.send(Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
        }
        for _ in ids {
          let reply = try await stream.next()
          var message = try Etcdserverpb.LeaseKeepAliveResponse.decode(try #require(reply))
          message.header = DifferentialTests.strip(message.header)
          seen.append(message.json().string)
        }
        stream.finish()
        let end = try await stream.next()
        #expect(end == nil)
        answers.append(seen)
        client.abort()
      }
      return answers
    }
    #expect(answers[0] == answers[1])
    #expect(answers[1].count == ids.count && answers[1][0].contains("\"TTL\":\"30\""))
  }

  /// What members ask each other is answered alike, byte for byte.
  @Test(.enabled(if: Binaries.go35 != nil)) func peerRequestsAreAnsweredAlike() async throws {
    let official = try #require(Binaries.go35)
    let scratch = Scratch()
    let clusters = [Cluster([official]), Cluster([Binaries.ours])]
    for cluster in clusters {
      try cluster.start()
      let port = cluster.members[0].clientPort
      try await withLoop { loop in
        let client = try await connect(port, loop)
        try await grant(client, 5, ttl: 5000)
        for key in ["b"] as [Bytes] {
          let put = Etcdserverpb.PutRequest(key: key, value: "v", lease: 5)
          _ = try await client.unary(Etcdserverpb.KVService.put.path, put.encoded())
        }
        client.abort()
      }
    }
    func time(_ id: Int64, keys: Bool) -> Bytes {
      Leasepb.LeaseInternalRequest(
        leaseTimeToLiveRequest: Etcdserverpb.LeaseTimeToLiveRequest(id: id, keys: keys)
      ).encoded()
    }
    let renewals = [5, 6, 0].map { Etcdserverpb.LeaseKeepAliveRequest(id: $0).encoded() }
    let cases: [(method: String, path: String, body: Bytes)] =
      renewals.map { ("POST", "/leases", $0) } + [
        ("POST", "/leases", Bytes()), ("POST", "/leases", "\u{8}"), ("GET", "/leases", Bytes()),
        ("PUT", "/leases/internal", Bytes()), ("POST", "/leases/", renewals[0]),
        ("POST", "/leases/internal/", renewals[0]), ("POST", "/leases/other", renewals[0]),
        ("POST", "/leases/internal", time(5, keys: true)),
        ("POST", "/leases/internal", time(5, keys: false)),
        ("POST", "/leases/internal", time(6, keys: true)), ("POST", "/leases/internal", "\u{a}"),
      ]
    for (method, path, body) in cases {
      try Data(body).write(to: URL(fileURLWithPath: scratch.path + "/body"))
      let answers = clusters.map { cluster in
        // Date, and seconds that pass between the two.
        run(
          "/usr/bin/curl",
          [
            "-s", "-m", "10", "-i", "-X", method, "--data-binary", "@\(scratch.path)/body",
            "http://127.0.0.1:\(cluster.members[0].peerPort)\(path)",
          ]
        ).output.replacingOccurrences(
          of: "Date: [^\r\n]*\r\n", with: "", options: .regularExpression)
      }
      var (real, ours) = (answers[0], answers[1])
      if path == "/leases/internal", real.hasPrefix("HTTP/1.1 200") {
        // Both end with fields 3 (seconds left, two bytes), 4 and 5.
        #expect(real.count == ours.count)
        (real, ours) = (String(real.dropLast(9)), String(ours.dropLast(9)))
      }
      #expect(real == ours, "\(method) \(path) \(body)")
      #expect(!real.isEmpty)
    }
    // Bounded where Go's is not.
    try Data(repeating: 8, count: 1 << 20).write(to: URL(fileURLWithPath: scratch.path + "/body"))
    let large = run(
      "/usr/bin/curl",
      [
        "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "--data-binary",
        "@\(scratch.path)/body", "http://127.0.0.1:\(clusters[1].members[0].peerPort)/leases",
      ])
    #expect(large.output == "400")
  }

  /// A member that does not lead says so.
  @Test func followersRefuseToRenew() async throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    let port = cluster.members[1].clientPort
    try await withLoop { loop in
      let client = try await connect(port, loop)
      try await grant(client, 5, ttl: 5000)
      client.abort()
    }
    let scratch = Scratch()
    let body = Etcdserverpb.LeaseKeepAliveRequest(id: 5).encoded()
    try Data(body).write(to: URL(fileURLWithPath: scratch.path + "/body"))
    var answers: [String] = []
    for member in cluster.members {
      answers.append(
        run(
          "/usr/bin/curl",
          [
            "-s", "-m", "10", "-w", " %{http_code}", "-X", "POST", "--data-binary",
            "@\(scratch.path)/body", "http://127.0.0.1:\(member.peerPort)/leases",
          ]
        ).output)
    }
    #expect(answers.filter { $0 == "not a primary lessor\n 400" }.count == 2, "\(answers)")
    #expect(answers.filter { $0.hasSuffix(" 200") }.count == 1, "\(answers)")
  }

  /// More renewals at a time than a follower sends to the leader: all are answered, and open streams
  /// do not keep a member from stopping.
  @Test func manyRenewThroughAFollower() async throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    try LeaseTests.lead(cluster.members[0], cluster)
    let port = cluster.members[1].clientPort
    let (streams, rounds) = (300, 10)
    try await withLoop { loop in
      let client = try await connect(port, loop)
      let start = ContinuousClock.now
      try await withThrowingTaskGroup(of: Void.self) { group in
        for id in 1...Int64(streams) {
          group.addTask {
            try await grant(client, id, ttl: 60)
            let stream = try await client.stream(Lease.leaseKeepAlive.path)
            for _ in 0..<rounds {
              try await stream.send(Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
              let reply = try await stream.next()
              let message = try Etcdserverpb.LeaseKeepAliveResponse.decode(try #require(reply))
              #expect(message.ttl == 60 && message.id == id)
            }
          }
        }
        try await group.waitForAll()
      }
      print("\(streams * rounds) renewals in \(ContinuousClock.now - start)")
      let open = try await client.stream(Lease.leaseKeepAlive.path)
      try await open.send(Etcdserverpb.LeaseKeepAliveRequest(id: 1).encoded())
      _ = try await open.next()
    }
    let start = Date()
    cluster.members[1].stop()
    #expect(Date().timeIntervalSince(start) < 10)
    #expect(cluster.members[1].log.contains("closed etcd server"))
    #expect(!cluster.members[1].log.contains("MISUSE"))
  }

  /// Thousands of leases that end together go at the rate that is allowed, and writes go on.
  @Test func manyLeasesEndTogether() async throws {
    let count: Int64 = 4000
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let port = cluster.members[0].clientPort
    let (first, last, slowest) = try await withLoop { loop in
      let client = try await connect(port, loop)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for id in 1...count {
          if id > 256 { try await group.next() }
          group.addTask { try await grant(client, id, ttl: 4) }
        }
        try await group.waitForAll()
      }
      let clock = ContinuousClock()
      let start = clock.now
      var (first, last): (Duration?, Duration?) = (nil, nil)
      var slowest = Duration.zero
      while last == nil, clock.now - start < .seconds(40) {
        let reply = try await client.unary(Lease.leaseLeases.path, Bytes()).message
        let left = try Etcdserverpb.LeaseLeasesResponse.decode(reply).leases.count
        if left < Int(count), first == nil { first = clock.now - start }
        if left == 0 { last = clock.now - start }
        let before = clock.now
        let put = Etcdserverpb.PutRequest(key: "k", value: "v")
        _ = try await client.unary(Etcdserverpb.KVService.put.path, put.encoded())
        slowest = max(slowest, clock.now - before)
        try await Task.sleep(for: .milliseconds(20))
      }
      client.abort()
      return (first, last, slowest)
    }
    let begun = try #require(first)
    let ended = try #require(last)
    print("\(count) leases went from \(begun) to \(ended); slowest put \(slowest)")
    // A thousand a second, and time for a busy machine.
    #expect(ended - begun > .seconds(2))
    #expect(ended - begun < .seconds(20))
    #expect(slowest < .seconds(3))
  }
}
