import Bytes
import EtcdAPI
import EventLoops
import Foundation
import HTTP
import PeerTransport
import Synchronization
import TestSupport
import Testing

/// Official servers to test against: `ETCD_INTEROP_SERVERS` (paths, separated by colons), else the
/// `etcd` found on `PATH`.
enum OfficialServers {
  static let paths: [String] = {
    let environment = ProcessInfo.processInfo.environment
    if let listed = environment["ETCD_INTEROP_SERVERS"] {
      return listed.split(separator: ":").map(String.init)
    }
    return (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/etcd" }
      .filter { FileManager.default.isExecutableFile(atPath: $0) }.prefix(1).map { $0 }
  }()
}

/// A running official member; ended by its process ID.
private final class OfficialMember {
  let client: Int
  let peer: Int
  private let process = Process()
  private let directory: String

  /// - Parameter others: `name=url` of members it waits for.
  init(_ path: String, others: [String] = []) async throws {
    let fronts = [try await Front(), try await Front()]
    (client, peer) = (fronts[0].port, fronts[1].port)
    for front in fronts { await front.stop() }
    directory = NSTemporaryDirectory() + "peer-interop-\(UUID().uuidString)"
    let (clientURL, peerURL) = ("http://127.0.0.1:\(client)", "http://127.0.0.1:\(peer)")
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = [
      "--name", "go", "--data-dir", directory, "--logger", "zap", "--log-level", "debug",
      "--listen-client-urls", clientURL, "--advertise-client-urls", clientURL,
      "--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
      "--initial-cluster", (["go=\(peerURL)"] + others).joined(separator: ","),
      "--strict-reconfig-check=false", "--initial-cluster-token", UUID().uuidString,
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
  }

  func stop() {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    try? FileManager.default.removeItem(atPath: directory)
  }
}

/// Posts JSON to the client port.
private func gateway(
  _ loop: EventLoop, _ port: Int, _ path: String, _ json: String
) async throws -> (Int, String) {
  try await withCheckedThrowingContinuation { done in
    loop.execute {
      let client = HTTPClient(loop: loop)
      let request = HTTPClientRequest(
        "POST", .tcp(host: "127.0.0.1", port: port), path, body: .bytes(Bytes(json)))
      client.send(request, limit: 4 << 20) { result in
        client.close()
        done.resume(with: result.map { ($0.head.status, $0.body.string) })
      }
    }
  }
}

/// Says yes to everything, as a follower whose log never differs.
private func acknowledge(_ node: TestNode, _ messages: [Raftpb.Message]) {
  var answers: [Raftpb.Message] = []
  for message in messages {
    var answer = Raftpb.Message(to: message.from, from: node.id.rawValue, term: message.term)
    switch message.type {
    case .preVote: answer.type = .preVoteResp
    case .vote: answer.type = .voteResp
    case .app:
      answer.type = .appResp
      answer.index = message.index + UInt64(message.entries.count)
    case .heartbeat:
      answer.type = .heartbeatResp
      answer.context = message.context
    default: continue
    }
    answers.append(answer)
  }
  node.transport.send(answers)
}

@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: !OfficialServers.paths.isEmpty))
struct InteropTests {
  @Test(arguments: OfficialServers.paths) func answersAreThoseOfEtcd(_ path: String) async throws {
    let official = try await OfficialMember(path)
    defer { official.stop() }
    let front = try await Front()
    let members = PeerProbe(method: "GET", path: "/members")
    var found: PeerAnswer?
    for _ in 0..<2000 where found?.status != 200 {
      found = try? await ask(front.loop, port: official.peer, members)
      try await Task.sleep(for: .milliseconds(5))
    }
    let cluster = try #require(found?.headers["x-etcd-cluster-id"])
    let digits = try #require(found?.body.firstMatch(of: /"id":(\d+)/)?.1)
    let id = MemberID(try #require(UInt64(digits)))
    let version = try await gatewayVersion(front.loop, official.client)
    let node = TestNode(
      front, id, cluster: try #require(UInt64(cluster, radix: 16)), version: version)
    for (probe, _, _) in refusedProbes(cluster: cluster, to: id.hex) {
      let theirs = try await ask(front.loop, port: official.peer, probe)
      let ours = try await ask(front.loop, port: front.port, probe)
      #expect(ours == theirs, "\(probe)")
    }
    await node.stop()
  }

  private func gatewayVersion(_ loop: EventLoop, _ port: Int) async throws -> String {
    let answer = try await ask(loop, port: port, PeerProbe(method: "GET", path: "/version"))
    return String(try #require(answer.body.firstMatch(of: /"etcdserver":"([0-9.]+)"/)?.1))
  }

  @Test(arguments: OfficialServers.paths) func aMixedClusterWorks(_ path: String) async throws {
    // The member tells who it takes us for with the first request for a stream.
    let front = try await Front()
    let seen = Mutex<(cluster: String, from: String, to: String, version: String)?>(nil)
    front.handler.withLock {
      $0 = { exchange in
        defer { exchange.respond(status: 404, body: "404 page not found\n") }
        let headers = exchange.request.headers
        guard let to = headers["X-Raft-To"], let from = headers["X-Server-From"],
          let cluster = headers["X-Etcd-Cluster-ID"], let version = headers["X-Server-Version"]
        else { return }
        seen.withLock { $0 = (cluster, from, to, version) }
      }
    }
    let official = try await OfficialMember(path, others: ["swift=\(front.url)"])
    defer { official.stop() }
    try await eventually("the member's dial") { seen.withLock { $0 != nil } }
    let names = try #require(seen.withLock { $0 })
    let id = try #require(MemberID(hex: names.to))
    let other = try #require(MemberID(hex: names.from))
    let node = TestNode(
      front, id, cluster: try #require(UInt64(names.cluster, radix: 16)), version: names.version)
    node.onReceived.withLock { $0 = { [unowned node] in acknowledge(node, $0) } }
    node.transport.addPeer(id: other, urls: ["http://127.0.0.1:\(official.peer)"])
    try await waitForStreams([node])
    try await eventually("all four streams") {
      node.state.withLock { state in
        state.logs.count { $0.contains("established TCP streaming connection") } >= 4
      }
    }
    let large = Data(repeating: 0x61, count: 1_000_000).base64EncodedString()
    for number in 1...20 {
      let value = number == 10 ? large : "YmFy"
      var status = 0
      var text = ""
      for _ in 0..<600 where status != 200 {
        (status, text) = try await gateway(
          node.loop, official.client, "/v3/kv/put", "{\"key\":\"Zm9v\",\"value\":\"\(value)\"}")
      }
      #expect(status == 200, "\(text)")
    }
    let (status, text) = try await gateway(
      node.loop, official.client, "/v3/kv/range", "{\"key\":\"Zm9v\"}")
    #expect(status == 200)
    #expect(text.contains("\"version\":\"20\""))
    // Entries came in order, the large one whole.
    let entries = node.state.withLock { state in
      state.received.filter { $0.type == .app }.flatMap(\.entries)
    }
    #expect(entries.contains { $0.data.count > 1_000_000 })
    let indexes = entries.map(\.index)
    #expect(Set(indexes).count >= 20)
    #expect(!node.has(log: "peer became inactive"))
    try await appends(node, other)
    try await snapshots(node, other)
    try await removal(node, official)
    await node.stop()
  }

  /// The official server reads our MsgApp stream in both forms; raft answers an old term with a
  /// MsgAppResp of the present one.
  private func appends(_ node: TestNode, _ other: MemberID) async throws {
    func answers() -> Int {
      node.state.withLock { state in state.received.count { $0.type == .appResp } }
    }
    let large = Bytes(repeatElement(7, count: 1_200_000))
    for index in 0..<6 as Range<UInt64> {
      // One after the other: of several answers at a time etcd sends only the last.
      let before = answers()
      let entry = Raftpb.Entry(term: 1, index: index + 10, data: index % 3 == 1 ? large : "x")
      node.transport.send([
        Raftpb.Message(
          type: .app, to: other.rawValue, from: node.id.rawValue, term: 1, logTerm: 1,
          index: index + 9,
          entries: [entry], commit: 1)
      ])
      try await eventually("the answer to an append") { answers() > before }
    }
    #expect(!node.has(log: "lost TCP streaming connection"))
  }

  /// The official server takes a snapshot in both forms; an old term makes raft ignore it.
  private func snapshots(_ node: TestNode, _ other: MemberID) async throws {
    var random = SeededGenerator.printed("interop snapshot")
    let message = snapshotMessage(from: node.id, to: other, term: 1)
    let source = RandomSource(20_000_003, &random)
    node.transport.sendSnapshot(message, source: source)
    try await eventually("the snapshot") { node.state.withLock { !$0.snapshots.isEmpty } }
    #expect(node.state.withLock { $0.snapshots.removeFirst().failed } == false)
    node.transport.send([message])
    try await eventually("the post") { node.state.withLock { !$0.snapshots.isEmpty } }
    #expect(node.state.withLock { $0.snapshots.removeFirst().failed } == false)
  }

  /// The official server removes this member and says so when asked for a stream again.
  private func removal(_ node: TestNode, _ official: OfficialMember) async throws {
    let (status, text) = try await gateway(
      node.loop, official.client, "/v3/cluster/member/remove", "{\"ID\":\"\(node.id)\"}")
    #expect(status == 200, "\(text)")
    try await eventually("the removal") { node.state.withLock { $0.wasRemoved } == 1 }
  }
}
