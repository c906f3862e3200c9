import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Foundation
import HTTP
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// What members ask each other about data and versions, and downgrades. What is expected was asked of Go
/// etcd 3.5.30.
@Suite struct PeerQuestionTests {
  private func put(_ server: ServerUnderTest, _ key: String, _ value: String) async throws {
    let request = Etcdserverpb.PutRequest(key: Bytes(key), value: Bytes(value))
    _ = try await server.call(Etcdserverpb.KVService.put.path, request.encoded())
  }

  private func hash(_ server: ServerUnderTest, _ body: String) async throws -> String {
    let answer = try await server.ask("GET", "/members/hashkv", at: "peer", body: body)
    return "\(answer.status) \(answer.text)"
  }

  @Test func hashesAreThoseOfGo() async throws {
    try await withServer { server in
      for n in 1...30 { try await put(server, "k\(n % 7)", "v\(n)") }
      let delete = Etcdserverpb.DeleteRangeRequest(key: "k3")
      _ = try await server.call(Etcdserverpb.KVService.deleteRange.path, delete.encoded())
      let newest = #"200 {"header":{"revision":32},"hash":2196693559,"compact_revision":-1}"#
      for body in [#"{"revision":0}"#, "{}", "null"] {
        #expect(try await hash(server, body) == newest, "\(body)")
      }
      let twelve = #"200 {"header":{"revision":32},"hash":2982452619,"compact_revision":-1}"#
      #expect(try await hash(server, #"{"Revision":12}"#) == twelve)
      for body in ["5", #"{"revision":"1"}"#, #"{"revision":1.5}"#, "", "{"] {
        #expect(try await hash(server, body) == "400 error unmarshalling request\n", "\(body)")
      }
      #expect(
        try await hash(server, #"{"revision":99}"#)
          == "400 mvcc: required revision is a future revision\n")
      try await compact(server, 10)
      // What the compaction found, and what it left.
      try await settles(
        server, #"{"revision":10}"#,
        #"200 {"header":{"revision":32},"hash":2827785539,"compact_revision":-1}"#)
      #expect(
        try await hash(server, #"{"revision":31}"#)
          == #"200 {"header":{"revision":32},"hash":3689513204,"compact_revision":10}"#)
      #expect(
        try await hash(server, #"{"revision":9}"#)
          == "400 mvcc: required revision has been compacted\n")
      try await compact(server, 32)
      try await settles(
        server, #"{"revision":32}"#,
        #"200 {"header":{"revision":32},"hash":1587435699,"compact_revision":10}"#)
    }
  }

  private func compact(_ server: ServerUnderTest, _ revision: Int64) async throws {
    let request = Etcdserverpb.CompactionRequest(revision: revision, physical: true)
    _ = try await server.call(Etcdserverpb.KVService.compact.path, request.encoded())
  }

  /// A compaction is hashed behind the answer to it.
  private func settles(
    _ server: ServerUnderTest, _ body: String, _ expected: String
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    var answer = try await hash(server, body)
    while answer != expected, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(5))
      answer = try await hash(server, body)
    }
    #expect(answer == expected)
  }

  /// - Source: etcd issue 22147.
  @Test func aQuestionAboutALeaseIsShort() async throws {
    try await withServer { server in
      let body = String(repeating: "x", count: 70_000)
      let answer = try await server.ask("POST", "/leases", at: "peer", body: body)
      #expect(answer.status == 400 && answer.text.contains("error reading body"))
    }
  }

  @Test func strangersAreRefused() async throws {
    try await withServer { server in
      let post = try await server.ask("POST", "/members/hashkv", at: "peer", body: "{}")
      #expect(post.status == 405 && post.field("Allow") == "GET")
      let other = try await server.ask(
        "GET", "/members/hashkv", ["Host: a", "X-Etcd-Cluster-ID: 42"], at: "peer", body: "{}")
      #expect(other.status == 412 && other.text == "cluster ID mismatch\n")
      let long = String(repeating: " ", count: 70_000) + "{}"
      let answer = try await server.ask("GET", "/members/hashkv", at: "peer", body: long)
      #expect(answer.status == 400 && answer.text == "error reading body\n")
      // Clients have the RPC.
      #expect(try await server.ask("GET", "/members/hashkv", body: "{}").status == 404)
    }
  }

  /// The first URL of a member may lead nowhere.
  @Test func membersAreAskedByEachOfTheirURLs() async throws {
    let loop = EventLoop(name: "peer")
    loop.start()
    let listener = try loop.run { () throws(ChannelError) in
      try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) { connection in
        _ = HTTP1ServerConnection(channel: connection, limits: HTTPServerLimits()) { exchange in
          exchange.respond(
            status: 200, body: #"{"etcdserver":"3.4.9","etcdcluster":"3.4.0"}"#)
        }
        connection.start()
      }
    }
    let port = listener.address.port ?? 0
    let server = try ServerUnderTest(
      isAlone: false, peerURLs: ["http://127.0.0.1:1", "http://127.0.0.1:\(port)"])
    let deadline = ContinuousClock.now + .seconds(20)
    while server.peerVersions.isEmpty, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(server.peerVersions == ["3.4.9"])
    await server.stop()
    await Self.offLoop { loop.stop() }
  }

  @concurrent private static func offLoop(_ body: @Sendable () -> Void) async { body() }

  // MARK: Downgrade

  private func downgrade(
    _ server: ServerUnderTest, _ action: Etcdserverpb.DowngradeRequest.DowngradeAction,
    _ version: String = ""
  ) async throws -> String {
    let request = Etcdserverpb.DowngradeRequest(action: action, version: version)
    do {
      let answer = try await server.call(
        Etcdserverpb.MaintenanceService.downgrade.path, request.encoded())
      return try Etcdserverpb.DowngradeResponse.decode(answer).version
    } catch let status as GRPCStatus { return "\(status.code) \(status.message)" }
  }

  @Test func downgradesBeginAndEnd() async throws {
    try await withServer { server in
      for version in ["3.4", "3.4.0", "3.4.7", "3.4.1-rc1"] {
        let answer = try await downgrade(server, .validate, version)
        #expect(answer == "3.5.0", "\(version)")
      }
      for version in ["x", "3", "", "v3.4", "3.4.0.0", "3.4-rc"] {
        let answer = try await downgrade(server, .validate, version)
        #expect(
          answer == "InvalidArgument etcdserver: wrong downgrade target version format",
          "\(version)")
      }
      for version in ["3.3", "3.5", "3.6", "2.4"] {
        let answer = try await downgrade(server, .enable, version)
        #expect(
          answer == "InvalidArgument etcdserver: invalid downgrade target version", "\(version)")
      }
      let none = try await downgrade(server, .cancel)
      #expect(none == "FailedPrecondition etcdserver: no inflight downgrade job")
      let unknown = try await downgrade(server, .unrecognized(7))
      #expect(unknown == "Unknown etcdserver: unknown method")
      #expect(try await enabled(server) == "false")
      let begun = try await downgrade(server, .enable, "3.4")
      #expect(begun == "3.5.0")
      #expect(try await enabled(server) == "true")
      for action in [Etcdserverpb.DowngradeRequest.DowngradeAction.enable, .validate] {
        let refusal = try await downgrade(server, action, "3.4")
        #expect(refusal == "FailedPrecondition etcdserver: cluster has a downgrade job in progress")
      }
      #expect(server.messages.contains("The server is ready to downgrade"))
      let ended = try await downgrade(server, .cancel)
      #expect(ended == "3.5.0")
      #expect(try await enabled(server) == "false")
    }
  }

  private func enabled(_ server: ServerUnderTest) async throws -> String {
    let answer = try await server.ask("GET", "/downgrade/enabled", at: "peer")
    #expect(answer.status == 200 && answer.field("Content-Type") == "text/plain")
    return answer.text
  }

  // MARK: Flags

  @Test(arguments: [true, false])
  func theHealthServiceTellsOfADefragmentation(isAsked: Bool) async throws {
    var config = ServerConfig()
    config.stopGRPCOnDefrag = isAsked
    try await withServer(config) { server in
      let request = Etcdserverpb.DefragmentRequest().encoded()
      _ = try await server.call(Etcdserverpb.MaintenanceService.defragment.path, request)
      let changes = server.messages.filter { $0 == "grpc service status changed" }.count
      #expect(changes == (isAsked ? 3 : 1))
    }
  }

  /// Every turn is over the limit: each has a line and counts.
  @Test func longTurnsAreToldOf() async throws {
    var config = ServerConfig()
    config.warningApplyDuration = .nanoseconds(1)
    try await withServer(config) { server in
      #expect(server.messages.contains("apply request took too long"))
      let page = try await server.ask("GET", "/metrics").text
      let line = try #require(
        page.split(separator: "\n").first { $0.hasPrefix("etcd_server_slow_apply_total ") })
      #expect(try #require(line.split(separator: " ").last.flatMap { Double($0) }) > 0)
    }
    try await withServer { server in
      let page = try await server.ask("GET", "/metrics").text
      #expect(page.contains("\netcd_server_slow_apply_total "))
    }
  }
}
