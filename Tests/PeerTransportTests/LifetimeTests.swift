import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Synchronization
import TestSupport
import Testing

@testable import PeerTransport

/// Reads a stream as a peer would.
private final class StreamClient: HTTPResponseHandler, @unchecked Sendable {
  // @unchecked: written on the loop, read under the lock.
  struct State: Sendable {
    var status = 0
    var bytes: [UInt8] = []
    var ended = false
    var failed = false
  }
  let state = Mutex(State())
  func responseHead(_ head: HTTPResponseHead) { state.withLock { $0.status = head.status } }
  func responseData(_ bytes: Bytes) { state.withLock { $0.bytes += Array(bytes) } }
  func responseEnded() { state.withLock { $0.ended = true } }
  func responseFailed(_ error: HTTPClientError) { state.withLock { $0.failed = true } }
  func requestWritable() {}
}

/// Remembers objects without keeping them.
private struct Weak: @unchecked Sendable {
  // @unchecked: only compared with nil.
  weak var object: AnyObject?
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct LifetimeTests {
  private func open(_ node: TestNode, _ stream: StreamClient, _ path: String) {
    node.loop.execute { [loop = node.loop, port = node.front.port] in
      let client = HTTPClient(loop: loop)
      let headers: HTTPHeaders = [
        "X-Etcd-Cluster-ID": "c1", "X-Server-Version": "3.4.0", "X-Raft-To": "b1",
      ]
      client.start(
        HTTPClientRequest("GET", .tcp(host: "127.0.0.1", port: port), path, headers: headers),
        stream)
    }
  }

  @Test func aSecondStreamReplacesTheFirst() async throws {
    let node = try await TestNode(0xb1) { $0.readTimeout = .milliseconds(90) }
    node.transport.addPeer(id: 0xa1, urls: ["http://127.0.0.1:1"])
    let (first, second) = (StreamClient(), StreamClient())
    open(node, first, "/raft/stream/msgapp/a1")
    try await eventually("the first stream") { first.state.withLock { $0.bytes.count } >= 2 }
    open(node, second, "/raft/stream/msgapp/a1")
    try await eventually("the second stream") { second.state.withLock { $0.bytes.count } >= 2 }
    try await eventually("the end of the first") { first.state.withLock { $0.ended } }
    // Keep-alives of the msgapp stream are single zeros.
    #expect(first.state.withLock { $0.bytes.allSatisfy { $0 == 0 } })
    #expect(node.has(log: "closed TCP streaming connection with remote peer"))
    node.transport.removePeer(id: 0xa1)
    try await eventually("the end of the second") { second.state.withLock { $0.ended } }
    #expect(!second.state.withLock { $0.failed })
    await node.stop()
  }

  @Test func nothingIsLeftAfterStop() async throws {
    let nodes = try await startCluster(2) { $0.probeInterval = .milliseconds(5) }
    try await waitForStreams(nodes)
    var left: [Weak] = []
    for (node, other) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
      let transport = node.transport
      let id = other.id
      left.append(Weak(object: transport))
      let peer = await withCheckedContinuation { done in
        transport.loop.execute { done.resume(returning: Weak(object: transport.peer(id))) }
      }
      #expect(peer.object != nil)
      left.append(peer)
    }
    nodes[0].transport.send([
      Raftpb.Message(
        type: .heartbeat, to: nodes[1].id.rawValue, from: nodes[0].id.rawValue, term: 1)
    ])
    for node in nodes { await node.stop() }
    try await eventually("the end of all objects") { left.allSatisfy { $0.object == nil } }
  }

  @Test func callsAfterStopAreIgnored() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    a.transport.stop()
    a.transport.send([
      Raftpb.Message(type: .heartbeat, to: b.id.rawValue, from: a.id.rawValue, term: 1)
    ])
    a.transport.addPeer(id: b.id, urls: [b.url])
    a.transport.addRemote(id: 0xd1, urls: [b.url])
    a.transport.removePeer(id: b.id)
    var random = SeededGenerator.printed("afterStop")
    let source = RandomSource(10, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    try await eventually("the source's end") { source.isClosed.withLock { $0 } }
    #expect(a.transport.activePeers == 0)
    try await eventually("the other side's loss") { b.transport.activeSince(a.id) == nil }
    for node in nodes { await node.stop() }
  }

  /// Strangers do not keep those out who come later, and have no counters of their own.
  @Test func idleStrangersAreForgotten() async throws {
    let node = try await TestNode(0xb1) {
      $0.remotesMax = 2
      $0.remoteIdleTime = .milliseconds(200)
    }
    func known() async -> [UInt64] {
      await withCheckedContinuation { done in
        node.loop.execute {
          let ids: [UInt64] = [0xd1, 0xd2, 0xd3]
          done.resume(returning: ids.filter { node.transport.link(MemberID($0)) != nil })
        }
      }
    }
    func add(_ id: MemberID) { node.transport.addRemote(id: id, urls: ["http://127.0.0.1:1"]) }
    add(0xd1)
    add(0xd2)
    add(0xd3)
    #expect(await known() == [0xd1, 0xd2], "both were just heard of")
    let end = ContinuousClock.now + .seconds(20)
    while await !known().contains(0xd3), ContinuousClock.now < end {
      // One of them goes on to tell where it is.
      add(0xd2)
      add(0xd3)
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(await known() == [0xd2, 0xd3])
    #expect(!node.metrics.exposition().string.contains("\"d1\""))
    await node.stop()
  }
}
