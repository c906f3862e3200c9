import Bytes
import EtcdAPI
import EventLoops
import HTTP
import PeerTransport
import Protobuf
import Synchronization
import TestSupport
import Testing

/// A request to a peer port.
struct PeerProbe: Sendable, CustomStringConvertible {
  var method: String
  var path: String
  /// Left out when `nil`.
  var cluster: String? = "c1"
  var version: String? = "3.5.1"
  var oldest: String? = "3.0.0"
  var to: String? = "b1"
  var from: String?
  var body: Bytes = Bytes()

  var description: String {
    "\(method) \(path) cluster \(cluster ?? "-") version \(version ?? "-") to \(to ?? "-") "
      + "body \(body.count)"
  }

  var headers: HTTPHeaders {
    var headers = HTTPHeaders()
    if let cluster { headers.add("X-Etcd-Cluster-ID", cluster) }
    if let version { headers.add("X-Server-Version", version) }
    if let oldest { headers.add("X-Min-Cluster-Version", oldest) }
    if let to { headers.add("X-Raft-To", to) }
    if let from { headers.add("X-Server-From", from) }
    return headers
  }

  func with(_ change: (inout PeerProbe) -> Void) -> PeerProbe {
    var copy = self
    change(&copy)
    return copy
  }
}

/// What a peer port answers, as far as it can be compared.
struct PeerAnswer: Sendable, Equatable {
  var status: Int
  var body: String
  var headers: [String: String]
}

/// Sends a request and reads the whole answer.
func ask(_ loop: EventLoop, port: Int, _ probe: PeerProbe) async throws -> PeerAnswer {
  try await withCheckedThrowingContinuation { done in
    loop.execute {
      let client = HTTPClient(loop: loop)
      let request = HTTPClientRequest(
        probe.method, .tcp(host: "127.0.0.1", port: port), probe.path, headers: probe.headers,
        body: probe.method == "POST" ? .bytes(probe.body) : .none)
      client.send(request, limit: 1 << 20) { result in
        client.close()
        done.resume(
          with: result.map { answer in
            var headers: [String: String] = [:]
            for field in answer.head.headers.fields {
              headers[field.name.lowercased()] = field.value
            }
            headers["date"] = nil
            headers["connection"] = nil
            return PeerAnswer(
              status: answer.head.status, body: answer.body.string, headers: headers)
          })
      }
    }
  }
}

/// Requests whose answers do not depend on time.
func refusedProbes(cluster: String, to: String) -> [(PeerProbe, Int, String)] {
  let get = PeerProbe(method: "GET", path: "/raft/stream/message/ab", cluster: cluster, to: to)
  let post = PeerProbe(method: "POST", path: "/raft", cluster: cluster, to: to)
  func path(_ probe: PeerProbe, _ path: String) -> PeerProbe { probe.with { $0.path = path } }
  let old = get.with {
    $0.version = nil
    $0.oldest = nil
  }
  let new = get.with {
    $0.version = "4.9.0"
    $0.oldest = "4.0.0"
  }
  return [
    (get, 404, "error sender not found\n"),
    (get.with { $0.to = nil }, 404, "error sender not found\n"),
    (path(get, "/raft/stream/msgapp/ab"), 404, "error sender not found\n"),
    (path(get, "/raft/stream/msgapp/xyz"), 404, "invalid from\n"),
    (path(get, "/raft/stream/msgapp/"), 404, "invalid from\n"),
    (path(get, "/raft/stream/msgapp/+1"), 404, "invalid from\n"),
    (path(get, "/raft/stream/bad/ab"), 404, "invalid path\n"),
    (path(get, "/raft/stream/ab"), 404, "invalid path\n"),
    (path(get, "/raft/stream/"), 404, "invalid path\n"),
    (get.with { $0.method = "POST" }, 405, "Method Not Allowed\n"),
    (get.with { $0.method = "HEAD" }, 405, ""),
    (get.with { $0.cluster = "1234" }, 412, "cluster ID mismatch\n"),
    (get.with { $0.cluster = nil }, 412, "cluster ID mismatch\n"),
    (old, 412, "incompatible version\n"),
    (new, 412, "incompatible version\n"),
    (path(get, "/raft"), 405, "Method Not Allowed\n"),
    (path(get, "/raft/snapshot"), 405, "Method Not Allowed\n"),
    (path(get, "/raft/other"), 404, "404 page not found\n"),
    (path(get, "/raft/"), 404, "404 page not found\n"),
    (path(get, "/raft/stream"), 301, "<a href=\"/raft/stream/\">Moved Permanently</a>.\n\n"),
    (path(post, "/raft/stream"), 301, ""),
    (post.with { $0.body = "zz" }, 400, "error unmarshalling raft message\n"),
    (post.with { $0.cluster = "1" }, 412, "cluster ID mismatch\n"),
    (
      path(post, "/raft/snapshot").with { $0.body = "zz" }, 400,
      "failed to decode raft message (unexpected EOF)\n"
    ),
    (path(post, "/raft/snapshot"), 400, "failed to decode raft message (EOF)\n"),
    (
      path(post, "/raft/snapshot").with { $0.body = [0, 0, 0, 0, 0, 0, 0, 0] }, 400,
      "wrong raft message type\n"
    ),
    (path(post, "/raft/snapshot").with { $0.cluster = "1" }, 412, "cluster ID mismatch\n"),
  ]
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct RequestTests {
  @Test func refusalsHaveTheTextsOfEtcd() async throws {
    let node = try await TestNode(0xb1)
    for (probe, status, body) in refusedProbes(cluster: "c1", to: "b1") {
      let answer = try await ask(node.loop, port: node.front.port, probe)
      #expect(answer.status == status, "\(probe)")
      #expect(answer.body == body, "\(probe)")
      if status == 405 {
        let isStream = probe.path.hasPrefix("/raft/stream")
        #expect(answer.headers["allow"] == (isStream ? "GET" : "POST"))
      }
      if status == 412 { #expect(answer.headers["x-etcd-cluster-id"] == "c1") }
    }
    #expect(node.state.withLock { $0.received.isEmpty })
    await node.stop()
  }

  @Test func postsAreCheckedBeforeTheyAreHandedOn() async throws {
    let node = try await TestNode(0xb1)
    node.state.withLock { _ = $0.removed.insert(0xdd) }
    node.transport.addPeer(id: 0xa1, urls: ["http://127.0.0.1:1"])
    func post(_ message: Raftpb.Message) async throws -> PeerAnswer {
      let probe = PeerProbe(method: "POST", path: "/raft", body: message.encoded())
      return try await ask(node.loop, port: node.front.port, probe)
    }
    let good = Raftpb.Message(type: .heartbeat, to: 0xb1, from: 0xa1, term: 1)
    let taken = try await post(good)
    #expect(taken == PeerAnswer(status: 204, body: "", headers: ["x-etcd-cluster-id": "c1"]))
    var other = good
    other.to = 0xb2
    let mismatch = try await post(other)
    #expect(mismatch.status == 403)
    #expect(mismatch.body == "{\"message\":\"cannot process message to mismatch member\"}")
    #expect(mismatch.headers["content-type"] == "application/json")
    other = good
    other.from = 0xdd
    let removed = try await post(other)
    #expect(removed.status == 403)
    #expect(removed.body == "{\"message\":\"cannot process message from removed member\"}")
    other = good
    other.type = .app
    other.entries = [Raftpb.Entry(index: 9)]
    let gap = try await post(other)
    #expect(gap.status == 500)
    #expect(gap.body == "error processing raft message\n")
    // Streams: a removed member, and a known one that means somebody else.
    let stream = PeerProbe(method: "GET", path: "/raft/stream/message/dd")
    let gone = try await ask(node.loop, port: node.front.port, stream)
    #expect(gone.status == 410)
    #expect(gone.body == "removed member\n")
    let wrong = stream.with {
      $0.path = "/raft/stream/msgapp/a1"
      $0.to = "b2"
    }
    let target = try await ask(node.loop, port: node.front.port, wrong)
    #expect(target.status == 412)
    #expect(target.body == "to field mismatch\n")
    #expect(node.state.withLock { $0.received } == [good])
    await node.stop()
  }

  /// Whoever reaches the port chooses texts of requests, and how often they come.
  @Test func textsOfRequestsNeitherFillTheLogNorComeWhole() async throws {
    let node = try await TestNode(0xb1)
    node.transport.addPeer(id: 0xa1, urls: ["http://127.0.0.1:1"])
    try await eventually("the peer") { node.has(log: "added remote peer") }
    let long = String(repeating: "z", count: 20_000)
    let stream = PeerProbe(method: "GET", path: "/raft/stream/message/a1")
    let post = PeerProbe(method: "POST", path: "/raft")
    let probes = [
      stream.with { $0.to = long }, stream.with { $0.path = "/raft/stream/message/" + long },
      stream.with { $0.cluster = long }, stream.with { $0.version = long },
      stream.with { $0.oldest = long }, stream.with { $0.path = "/raft/stream/message/ab" },
      post.with { $0.cluster = long }, post.with { $0.body = "zz" },
      post.with { $0.path = "/raft/snapshot" },
    ]
    let before = node.state.withLock { $0.logs.count }
    let start = ContinuousClock.now
    for _ in 0..<20 {
      for probe in probes { _ = try await ask(node.loop, port: node.front.port, probe) }
    }
    let seconds = Int((ContinuousClock.now - start).components.seconds) + 2
    let logs = node.state.withLock { $0.logs[before...] }
    let texts = [
      "ignored streaming request; ID mismatch", "failed to parse path into ID",
      "request cluster ID mismatch", "failed to check version compatibility",
      "failed to find remote peer in cluster", "failed to unmarshal Raft message",
      "failed to decode Raft message",
    ]
    for text in texts {
      let count = logs.count { $0.contains(text) }
      #expect((1...seconds).contains(count), "\(count) lines of \(text) in \(seconds) s")
    }
    for line in logs { #expect(line.utf8.count < 1_500, "\(line.prefix(200))…") }
    #expect(logs.contains { $0.contains("… (20000 bytes)") })
    await node.stop()
  }

  /// Names of senders that nobody knows make no counters.
  @Test func strangersHaveNoCountersOfTheirOwn() async throws {
    let node = try await TestNode(0xb1)
    for sender in 0x1000...0x1010 as ClosedRange<UInt64> {
      var message = Raftpb.Message(type: .heartbeat, to: 0xb1, from: sender, term: 1).encoded()
      var body = ByteWriter(capacity: message.count + 8)
      body.appendBigEndian(UInt64(message.count))
      body.append(message)
      message = body.finish()
      let probe = PeerProbe(
        method: "POST", path: "/raft/snapshot", from: String(sender, radix: 16), body: message)
      #expect(try await ask(node.loop, port: node.front.port, probe).status == 400)
    }
    let text = node.metrics.exposition().string
    #expect(!text.contains("\"1001\""))
    #expect(
      text.contains(
        "etcd_network_snapshot_receive_failures{From=\"UNKNOWN_SNAPSHOT_SENDER\"} 17\n"))
    await node.stop()
  }

  @Test func probingTellsTheTime() async throws {
    let node = try await TestNode(0xb1)
    let probe = PeerProbe(method: "GET", path: "/raft/probing")
    let answer = try await ask(node.loop, port: node.front.port, probe)
    #expect(answer.status == 200)
    #expect(answer.body.hasPrefix("{\"OK\":true,\"Now\":\"20") && answer.body.hasSuffix("Z\"}\n"))
    await node.stop()
  }

  @Test func aStoppedTransportAnswersSo() async throws {
    let node = try await TestNode(0xb1)
    node.transport.stop()
    let probe = PeerProbe(method: "GET", path: "/raft/probing")
    #expect(try await ask(node.loop, port: node.front.port, probe).status == 503)
    let other = PeerProbe(method: "GET", path: "/members")
    #expect(try await ask(node.loop, port: node.front.port, other).status == 404)
    await node.stop()
  }

  @Test func garbageAndSlowClientsDoNotHurtThePeers() async throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = .milliseconds(300)
    limits.bodyTimeout = .milliseconds(300)
    let a = try await TestNode(0xa1, limits: limits)
    let b = try await TestNode(0xb1, limits: limits)
    a.transport.addPeer(id: b.id, urls: [b.url])
    b.transport.addPeer(id: a.id, urls: [a.url])
    try await waitForStreams([a, b])
    var random = SeededGenerator.printed("garbage")
    let closed = Mutex(0)
    let head =
      "POST /raft/snapshot HTTP/1.1\r\nHost: x\r\nX-Etcd-Cluster-ID: c1\r\n"
      + "X-Server-Version: 3.5.1\r\nContent-Length: 1000000000\r\n\r\n"
    var starts: [Bytes] = [
      Bytes("GET /raft"), Bytes(head), Bytes(head + "\0\0\0\0\0\0\0\u{7f}abc"),
      Bytes(head.replacing("/snapshot", with: "")),
    ]
    for _ in 0..<16 {
      starts.append(
        Bytes(
          (0..<Int.random(in: 1..<3000, using: &random)).map { _ in
            UInt8.random(in: 0...255, using: &random)
          }))
    }
    let clients = starts
    b.loop.execute { [loop = b.loop, port = b.front.port] in
      for bytes in clients {
        Connection.connect(
          to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
        ) { result in
          guard case .success(let connection) = result else { return }
          connection.handler = SilentClient(connection) { closed.withLock { $0 += 1 } }
          connection.start()
          connection.write(bytes)
        }
      }
    }
    for number in 1...200 as ClosedRange<UInt64> {
      a.transport.send([
        Raftpb.Message(
          type: .heartbeat, to: b.id.rawValue, from: a.id.rawValue, term: 1,
          commit: number)
      ])
    }
    try await eventually("the messages") { b.state.withLock { $0.received.count } == 200 }
    try await eventually("the end of all bad clients") {
      closed.withLock { $0 } == clients.count
    }
    #expect(b.state.withLock { $0.received.map(\.commit) } == Array(1...200))
    #expect(!b.has(log: "lost TCP streaming connection"))
    await a.stop()
    await b.stop()
  }
}

/// Never sends anything more.
private final class SilentClient: ByteChannelHandler {
  private let connection: any ByteChannel
  private let closed: () -> Void
  init(_ connection: any ByteChannel, _ closed: @escaping () -> Void) {
    self.connection = connection
    self.closed = closed
  }
  func channelRead(_ bytes: Bytes) {}
  func channelReadEnded() { connection.abort() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { closed() }
}
