import Bytes
import EtcdAPI
import PeerTransport
import Runtime
import Synchronization
import Testing

/// A MsgApp with one entry, as a leader in term 7 sends them one after the other.
private func append(_ from: UInt64, _ to: UInt64, _ index: UInt64, _ size: Int) -> Raftpb.Message {
  let entry = Raftpb.Entry(
    term: 7, index: index + 1,
    data: Bytes(repeatElement(UInt8(truncatingIfNeeded: index), count: size)))
  return Raftpb.Message(
    type: .app, to: to, from: from, term: 7, logTerm: 7, index: index, entries: [entry],
    commit: index)
}

private func heartbeat(_ from: UInt64, _ to: UInt64, _ number: UInt64) -> Raftpb.Message {
  Raftpb.Message(type: .heartbeat, to: to, from: from, term: 7, commit: number)
}

extension TestNode {
  func indexes(_ type: Raftpb.MessageType, from: UInt64) -> [UInt64] {
    state.withLock { state in
      state.received.filter { $0.type == type && $0.from == from }
        .map { type == .app ? $0.index : $0.commit }
    }
  }
}

@Suite(.serialized) struct StreamTests {
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
      #expect(node.has(log: "set message encoder"))
      #expect(node.has(log: "peer became active"))
      let text = node.metrics.exposition().string
      #expect(
        text.contains(
          "etcd_network_active_peers{Local=\"\(String(node.id, radix: 16))\",Remote=\"\(String(other.id, radix: 16))\"} 1\n"
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
}
