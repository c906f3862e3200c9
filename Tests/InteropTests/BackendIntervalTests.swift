import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import Protobuf
import TestSupport
import Testing

/// When a put is in the database file, which tools read beside a running member (CASES.md C13).
@Suite(.serialized) struct BackendIntervalTests {
  typealias API = Etcdserverpb

  /// The only member of a cluster, with the longest heartbeat that is sensible.
  private func started(_ extra: [String]) throws -> Cluster {
    let cluster = Cluster(
      [Binaries.ours],
      extra: ["--heartbeat-interval", "1000", "--election-timeout", "10000"] + extra)
    try cluster.start()
    return cluster
  }

  /// Whether the database file of a member holds a text.
  private struct DatabaseFile: Sendable {
    let path: String
    init(of member: Member) { path = member.directory + "/member/snap/db" }

    func holds(_ text: String) throws -> Bool {
      try Data(contentsOf: URL(fileURLWithPath: path)).range(of: Data(text.utf8)) != nil
    }
  }

  private func put(_ value: String, _ client: GRPCClient) async throws {
    _ = try await client.unary(
      API.KVService.put.path, API.PutRequest(key: Bytes(value), value: "v").encoded(),
      timeout: .seconds(20))
  }

  /// Whatever the heartbeat: 0.4 s after the answer by default, sooner when that is asked for. The median
  /// tells an interval from a disk that was slow once.
  @Test(arguments: [(nil, 0.4), ("5ms", 0.09)] as [(String?, Double)])
  func aPutIsInTheFileWhenTheIntervalIsOver(_ interval: String?, limit: Double) async throws {
    let cluster = try started(interval.map { ["--backend-batch-interval", $0] } ?? [])
    let port = cluster.members[0].clientPort
    let file = DatabaseFile(of: cluster.members[0])
    try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      var times: [Double] = []
      for number in 0..<9 {
        try await put("needle\(number)", client)
        let answered = Date()
        while try !file.holds("needle\(number)"), Date().timeIntervalSince(answered) < 10 {
          usleep(1000)
        }
        times.append(Date().timeIntervalSince(answered))
      }
      #expect(times.sorted()[4] < limit, "\(times)")
      client.abort()
    }
  }

  /// The limit counts changes, and does not wait for the interval.
  @Test func asManyPutsAsTheLimitAreInTheFileAtOnce() async throws {
    let cluster = try started(["--backend-batch-interval", "1h", "--backend-batch-limit", "5"])
    let port = cluster.members[0].clientPort
    let file = DatabaseFile(of: cluster.members[0])
    try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      for number in 0..<4 { try await put("needle\(number)", client) }
      #expect(try !file.holds("needle"))
      try await put("needle4", client)
      let deadline = Date().addingTimeInterval(10)
      while try !file.holds("needle4"), Date() < deadline { usleep(1000) }
      for number in 0..<5 { #expect(try file.holds("needle\(number)"), "needle\(number)") }
      client.abort()
    }
  }
}
