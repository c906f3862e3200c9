import Bytes
import EtcdAPI
import EventLoops
import PeerTransport
import Synchronization
import Testing

private let block = Bytes((0..<70_000).map { UInt8(truncatingIfNeeded: $0 / 251 &* 31 &+ $0) })

/// A MsgApp with one entry, as a leader in term 7 sends them one after the other.
private func append(_ from: MemberID, _ to: MemberID, _ index: UInt64, _ size: Int)
  -> Raftpb.Message
{
  let start = Int(index % 5000)
  let entry = Raftpb.Entry(term: 7, index: index + 1, data: block[start..<(start + size)])
  return Raftpb.Message(
    type: .app, to: to.rawValue, from: from.rawValue, term: 7, logTerm: 7, index: index,
    entries: [entry],
    commit: index)
}

private func heartbeat(_ from: MemberID, _ to: MemberID, _ number: UInt64) -> Raftpb.Message {
  Raftpb.Message(type: .heartbeat, to: to.rawValue, from: from.rawValue, term: 7, commit: number)
}

extension TestNode {
  func indexes(_ type: Raftpb.MessageType, from: MemberID) -> [UInt64] {
    state.withLock { state in
      state.received.filter { $0.type == type && $0.sender == from }
        .map { type == .app ? $0.index : $0.commit }
    }
  }
}

@Suite(.serialized, .timeLimit(.minutes(3))) struct StreamTests {
  @Test func thousandsBothWaysKeepTheirOrder() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    let count: UInt64 = 4000
    for start in stride(from: 0, to: count, by: 50) {
      for (from, to) in [(a, b), (b, a)] {
        var batch: [Raftpb.Message] = []
        for index in start..<(start + 50) {
          batch.append(append(from.id, to.id, index + 1, Int(index % 300)))
          batch.append(heartbeat(from.id, to.id, index + 1))
        }
        from.transport.send(batch)
      }
    }
    let expected = Array(1...count)
    try await eventually("all messages") {
      nodes.allSatisfy { $0.state.withLock { $0.received.count } == Int(count) * 2 }
    }
    for (node, other) in [(a, b), (b, a)] {
      #expect(node.indexes(.app, from: other.id) == expected)
      #expect(node.indexes(.heartbeat, from: other.id) == expected)
      let (first, batches) = node.state.withLock { state in
        (state.received.first { $0.type == .app && $0.index == 200 }, state.batches)
      }
      #expect(first == append(other.id, node.id, 200, 199))
      #expect(batches < Int(count))
      #expect(node.state.withLock { $0.unreachable }.isEmpty)
      #expect(node.transport.activeSince(other.id) != nil)
      #expect(node.state.withLock { $0.versions[other.id] } == "3.5.1")
      #expect(node.has(log: "set message encoder"))
      #expect(node.has(log: "peer became active"))
      let text = node.metrics.exposition().string
      #expect(
        text.contains(
          "etcd_network_active_peers{Local=\"\(node.id.hex)\",Remote=\"\(other.id.hex)\"} 1\n"
        ))
    }
    for node in nodes { await node.stop() }
  }

  @Test func postsCarryMessagesToRemotes() async throws {
    let a = try await TestNode(0xa1)
    let b = try await TestNode(0xb1)
    a.transport.addRemote(id: b.id, urls: [b.url])
    for index in 1...40 as ClosedRange<UInt64> {
      a.transport.send([heartbeat(a.id, b.id, index)])
    }
    try await eventually("posted messages") { b.state.withLock { $0.received.count } == 40 }
    #expect(Set(b.indexes(.heartbeat, from: a.id)) == Set(1...40))
    // The receiver learned the sender's URLs and can answer.
    #expect(b.state.withLock { $0.seen[a.id] } == [a.url])
    b.transport.send([heartbeat(b.id, a.id, 9)])
    try await eventually("answer") { a.indexes(.heartbeat, from: b.id) == [9] }
    await a.stop()
    await b.stop()
  }

  @Test func killedConnectionsComeBack() async throws {
    let nodes = try await startCluster(3)
    try await waitForStreams(nodes)
    let rounds: UInt64 = 300
    for round in 1...rounds {
      for from in nodes {
        for to in nodes where to !== from {
          from.transport.send([
            append(from.id, to.id, round, 2000), heartbeat(from.id, to.id, round),
          ])
        }
      }
      if round % 60 == 30 { nodes[Int(round / 60) % 3].front.killConnections() }
      try await Task.sleep(for: .milliseconds(1))
    }
    // Whatever was lost: afterwards everybody hears from everybody again.
    for from in nodes {
      for to in nodes where to !== from {
        var next = rounds
        try await eventually("a message after the cut") {
          next += 1
          from.transport.send([heartbeat(from.id, to.id, next)])
          return to.indexes(.heartbeat, from: from.id).contains { $0 > rounds }
        }
        // Posts, used while a stream was down, may overtake each other, streams may not: what is
        // out of order is at most what was posted during the five cuts.
        let indexes = to.indexes(.app, from: from.id)
        let descents = zip(indexes, indexes.dropFirst()).count { $0 >= $1 }
        #expect(descents < indexes.count / 4, "\(indexes)")
        #expect(Set(indexes).count == indexes.count)
      }
    }
    for node in nodes {
      try await eventually("streams that are told of") {
        node.state.withLock { $0.streams.count == 2 && $0.streams.values.allSatisfy { $0 } }
      }
    }
    #expect(nodes.contains { $0.has(log: "lost TCP streaming connection with remote peer") })
    #expect(
      nodes.contains { $0.has(log: "peer became inactive (message send to peer failed)") })
    for node in nodes { await node.stop() }
  }

  @Test func pausedPeersAreCutOffBothWays() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    a.transport.pausePeer(id: b.id)
    a.transport.send([heartbeat(a.id, b.id, 1)])
    b.transport.send([heartbeat(b.id, a.id, 1)])
    // The order of a stream shows that the first messages are gone.
    try await Task.sleep(for: .milliseconds(50))
    a.transport.resumePeer(id: b.id)
    a.transport.send([heartbeat(a.id, b.id, 2)])
    try await eventually("message after the pause") { !b.indexes(.heartbeat, from: a.id).isEmpty }
    try await eventually("message after the pause") {
      b.transport.send([heartbeat(b.id, a.id, 3)])
      return !a.indexes(.heartbeat, from: b.id).isEmpty
    }
    #expect(b.indexes(.heartbeat, from: a.id) == [2])
    #expect(a.indexes(.heartbeat, from: b.id).first == 3)
    for node in nodes { await node.stop() }
  }

  @Test func fullQueuesDropAndReport() async throws {
    let a = try await TestNode(0xa1) { $0.streamQueueMessages = 100 }
    let b = try await TestNode(0xb1)
    a.transport.addPeer(id: b.id, urls: [b.url])
    b.transport.addPeer(id: a.id, urls: [a.url])
    try await waitForStreams([a, b])
    // The receiver does not read: what is written stays in the sockets and then in the queue.
    let gate = Mutex(false)
    b.loop.execute { while !gate.withLock({ $0 }) {} }
    for round in 0..<60 as Range<UInt64> {
      a.transport.send((1...20).map { append(a.id, b.id, round * 20 + $0, 60_000) })
    }
    try await eventually("drops") { a.state.withLock { $0.unreachable[b.id] ?? 0 } > 0 }
    let pending = await a.front.pendingBytes()
    gate.withLock { $0 = true }
    #expect(pending < 4 << 20)
    #expect(a.has(log: "dropped internal Raft message since sending buffer is full"))
    let dropped = a.state.withLock { $0.unreachable[b.id]! }
    try await eventually("the rest") {
      b.indexes(.app, from: a.id).count + dropped >= 1200
    }
    let indexes = b.indexes(.app, from: a.id)
    #expect(indexes == indexes.sorted())
    await a.stop()
    await b.stop()
  }

  @Test func messagesOfOthersAreDropped() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    var gap = append(a.id, b.id, 5, 1)
    gap.entries[0].index = 9
    a.transport.send([
      heartbeat(0x77, b.id, 1), gap,
      Raftpb.Message(type: .readIndex, to: b.id.rawValue, from: 0x77, term: 7),
      heartbeat(a.id, b.id, 2),
    ])
    try await eventually("what belongs") { b.state.withLock { $0.received.count } >= 2 }
    let types = b.state.withLock { $0.received.map(\.type) }
    #expect(types == [.readIndex, .heartbeat])
    try await eventually("the log") {
      b.has(log: "dropped Raft message that does not belong to the stream")
    }
    for node in nodes { await node.stop() }
  }

  @Test func aClusterMismatchIsToldAndRetried() async throws {
    let a = try await TestNode(0xa1, cluster: 0xc1)
    let b = try await TestNode(0xb1, cluster: 0xc2)
    a.transport.addPeer(id: b.id, urls: [b.url])
    b.transport.addPeer(id: a.id, urls: [a.url])
    try await eventually("both sides' logs") {
      [a, b].allSatisfy {
        $0.has(log: "request sent was ignored by remote peer due to cluster ID mismatch")
          && $0.has(log: "request cluster ID mismatch")
      }
    }
    a.transport.send([heartbeat(a.id, b.id, 1)])
    try await eventually("the post's log") {
      a.has(log: "request sent was ignored due to cluster ID mismatch")
    }
    #expect(a.transport.activeSince(b.id) == nil)
    #expect(b.state.withLock { $0.received.isEmpty })
    #expect(a.state.withLock { $0.wasRemoved } == 0)
    await a.stop()
    await b.stop()
  }

  @Test func aRemovedMemberIsTold() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    b.state.withLock { _ = $0.removed.insert(a.id) }
    b.transport.removePeer(id: a.id)
    try await eventually("the removal") { a.state.withLock { $0.wasRemoved } == 1 }
    #expect(b.has(log: "rejected stream from remote peer because it was removed"))
    #expect(b.has(log: "removed remote peer"))
    #expect(b.transport.activePeers == 0)
    // By post too, and only once.
    a.transport.send([heartbeat(a.id, b.id, 1)])
    try await eventually("the post's refusal") {
      b.has(log: "rejected Raft message from removed member")
    }
    #expect(b.state.withLock { $0.received.isEmpty })
    #expect(a.state.withLock { $0.wasRemoved } == 1)
    await a.stop()
    await b.stop()
  }

  @Test func theNextURLIsTriedWhenOneFails() async throws {
    let a = try await TestNode(0xa1)
    let b = try await TestNode(0xb1)
    let gone = try await Front()
    let dead = gone.url
    await gone.stop()
    a.transport.addPeer(id: b.id, urls: [dead, b.url])
    b.transport.addPeer(id: a.id, urls: [a.url])
    try await waitForStreams([a, b])
    // New URLs take effect without a restart.
    a.transport.updatePeer(id: b.id, urls: [b.url])
    try await eventually("the update") { a.has(log: "updated remote peer") }
    // A member that is told of again changes nothing, or its URLs: so come those of an installed snapshot.
    func updates() -> Int {
      a.state.withLock { $0.logs.count { $0.contains("updated remote peer") } }
    }
    a.transport.addPeer(id: b.id, urls: [b.url])
    a.transport.addPeer(id: b.id, urls: [b.url, dead])
    try await eventually("the second update") { updates() == 2 }
    #expect(a.state.withLock { $0.logs.last { $0.contains("updated") } }?.contains(dead) == true)
    a.transport.addPeer(id: 0xd1, urls: ["ftp://x:1"])
    try await eventually("the refusal") { a.has(log: "failed to parse peer URLs") }
    await a.stop()
    await b.stop()
  }

  /// What waits is dialled later, and is not in the way of the rest.
  @Test func streamsMayWait() async throws {
    let a = try await TestNode(0xa1)
    let b = try await TestNode(0xb1)
    a.transport.addPeer(id: b.id, urls: [b.url], delays: StreamDelays(msgApp: .seconds(1)))
    b.transport.addPeer(id: a.id, urls: [a.url], delays: StreamDelays(msgApp: .seconds(1)))
    let open = "\"stream-writer-type\":\"stream MsgApp v2\""
    try await eventually("the streams of messages") {
      a.state.withLock { $0.streams[b.id] == true } && b.state.withLock { $0.streams[a.id] == true }
    }
    a.transport.send([Raftpb.Message(type: .app, to: b.id.rawValue, from: a.id.rawValue, term: 1)])
    try await eventually("entries on it") { b.state.withLock { $0.received.count == 1 } }
    #expect(!a.has(log: open), "the other came first")
    try await eventually("the stream of entries") { a.has(log: open) }
    await a.stop()
    await b.stop()
  }

  @Test func probesMeasureAndWarn() async throws {
    let nodes = try await startCluster(2) {
      $0.probeInterval = .milliseconds(10)
      $0.probeReportInterval = .milliseconds(30)
      $0.probeReportErrorInterval = .milliseconds(30)
    }
    let (a, b) = (nodes[0], nodes[1])
    try await eventually("round trips") {
      !a.metrics.exposition().string.contains(
        "etcd_network_peer_round_trip_time_seconds_count{To=\"a2\"} 0\n")
    }
    await b.stop()
    try await eventually("the warning") { a.has(log: "prober detected unhealthy status") }
    #expect(a.has(log: "ROUND_TRIPPER_RAFT_MESSAGE"))
    await a.stop()
  }

  @Test func aSilentStreamIsGivenUp() async throws {
    let nodes = try await startCluster(2) { $0.readTimeout = .milliseconds(1000) }
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    // Heartbeats keep it for several timeouts.
    try await Task.sleep(for: .milliseconds(2500))
    #expect(!a.has(log: "lost TCP streaming connection with remote peer"))
    b.transport.pausePeer(id: a.id)
    try await eventually("the timeout") { a.has(log: "i/o timeout") }
    for node in nodes { await node.stop() }
  }
}
