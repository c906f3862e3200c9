import Bytes
import EtcdAPI
import EventLoops
import Foundation
import PeerTransport
import Synchronization
import TestSupport
import Testing

/// A database of random bytes that is never in memory as a whole.
final class RandomSource: SnapshotSource {
  let totalSize: Int
  let offset = Mutex(0)
  let crc = Mutex<UInt32>(0)
  let isClosed = Mutex(false)
  private let block: Bytes
  private let failsAt: Int
  /// What each read takes; for a source that a worker reads.
  private let readTakes: Duration

  init(
    _ size: Int, failsAt: Int = .max, readTakes: Duration = .zero,
    _ random: inout SeededGenerator
  ) {
    totalSize = size
    self.readTakes = readTakes
    self.failsAt = failsAt
    var out = ByteWriter(capacity: 1 << 20)
    while out.count < 1 << 20 { out.appendBigEndian(random.next()) }
    block = out.finish()
  }

  func read(offset: Int, count: Int) throws(SnapshotError) -> Bytes {
    guard offset + count <= failsAt else { throw SnapshotError("input/output error") }
    if readTakes > .zero { usleep(UInt32(readTakes / .microseconds(1))) }
    let start = (offset / 4096 * 7919) % (block.count - count)
    let piece = block[start..<(start + count)]
    self.offset.withLock { $0 = offset + count }
    crc.withLock { $0 = CRC32C.update($0, piece) }
    return piece
  }

  func close() { isClosed.withLock { $0 = true } }
}

func snapshotMessage(from: MemberID, to: MemberID, term: UInt64 = 3) -> Raftpb.Message {
  let metadata = Raftpb.SnapshotMetadata(
    confState: Raftpb.ConfState(voters: [from.rawValue, to.rawValue]), index: 42, term: term)
  return Raftpb.Message(
    type: .snap, to: to.rawValue, from: from.rawValue, term: term,
    snapshot: Raftpb.Snapshot(data: "{\"v2\":true}", metadata: metadata))
}

@Suite(.serialized, .timeLimit(.minutes(3))) struct SnapshotTests {
  private func pair(
    _ change: (inout PeerTransportConfiguration) -> Void = { _ in }
  ) async throws -> (TestNode, TestNode) {
    let nodes = try await startCluster(2, change)
    try await waitForStreams(nodes)
    return (nodes[0], nodes[1])
  }

  private func result(_ node: TestNode) async throws -> Bool {
    try await eventually("the report", within: .seconds(100)) {
      node.state.withLock { !$0.snapshots.isEmpty }
    }
    return node.state.withLock { $0.snapshots.removeFirst().failed }
  }

  /// Bytes that the kernel holds for one socket at most.
  private func largestBuffer(_ name: String) throws -> Int {
    let text = try String(contentsOfFile: "/proc/sys/net/ipv4/" + name, encoding: .utf8)
    return try #require(text.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) })
  }

  @Test func largeDatabaseArrivesWholeWithBoundedQueues() async throws {
    let (a, b) = try await pair()
    b.state.withLock { $0.sinkPauses = true }
    var random = SeededGenerator.printed("largeDatabase")
    let source = RandomSource(200 * 1_000_000 + 17, &random)
    let message = snapshotMessage(from: a.id, to: b.id)
    a.transport.sendSnapshot(message, source: source)
    // What the kernel may hold for the two sockets is this machine's, the rest is ours.
    let queues = try largestBuffer("tcp_rmem") + largestBuffer("tcp_wmem") + (4 << 20)
    try #require(queues < source.totalSize / 2)
    var widest = 0
    try await eventually("the report", within: .seconds(100)) {
      // Read by the sender but not yet in the sink: the connection's queue and the sockets.
      // In this order, so that progress between the two is never taken for a queue.
      let sent = source.offset.withLock { $0 }
      let taken = b.state.withLock { $0.sinks.first }?.state.withLock { $0.count } ?? 0
      widest = max(widest, sent - taken)
      return a.state.withLock { !$0.snapshots.isEmpty }
    }
    print("widest gap between sender and sink: \(widest) bytes")
    #expect(try await !result(a))
    let sink = try #require(b.state.withLock { $0.sinks.first }).state.withLock { $0 }
    #expect(sink.count == source.totalSize)
    #expect(sink.crc == source.crc.withLock { $0 })
    #expect(sink.isFinished && !sink.isAborted)
    #expect(sink.writesWhilePaused < 100)
    #expect(widest < queues)
    #expect(source.isClosed.withLock { $0 })
    #expect(b.state.withLock { $0.received } == [message])
    #expect(b.has(log: "received and saved database snapshot"))
    #expect(a.has(log: "sent database snapshot"))
    let text = a.metrics.exposition().string + b.metrics.exposition().string
    #expect(text.contains("etcd_network_snapshot_send_success{To=\"a2\"} 1\n"))
    #expect(text.contains("etcd_network_snapshot_receive_success{From=\"a1\"} 1\n"))
    #expect(text.contains("etcd_network_snapshot_send_inflights_total{To=\"a2\"} 0\n"))
    // The streams were not in the way.
    #expect(!a.has(log: "lost TCP streaming connection"))
    await a.stop()
    await b.stop()
  }

  @Test func failuresOfEitherSideAreReported() async throws {
    let (a, b) = try await pair()
    var random = SeededGenerator.printed("failures")
    b.state.withLock { $0.sinkFailsAfter = 3_000_000 }
    let refused = RandomSource(50_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: refused)
    #expect(try await result(a))
    #expect(refused.isClosed.withLock { $0 })
    #expect(b.has(log: "no space left on device"))
    b.state.withLock { $0.sinkFailsAfter = .max }
    let broken = RandomSource(50_000_000, failsAt: 20_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: broken)
    #expect(try await result(a))
    try await eventually("the sink's end") {
      b.state.withLock { $0.sinks.last }!.state.withLock { $0.isAborted }
    }
    #expect(b.state.withLock { $0.received.isEmpty })
    // A member nobody knows.
    let lost = RandomSource(10, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: 0x99), source: lost)
    #expect(try await result(a))
    #expect(lost.isClosed.withLock { $0 })
    await a.stop()
    await b.stop()
  }

  @Test func aCutConnectionFailsTheSnapshot() async throws {
    let (a, b) = try await pair()
    b.state.withLock { $0.sinkPauses = true }
    var random = SeededGenerator.printed("cut")
    // Far more than can be sent before the cut, however late it comes.
    let source = RandomSource(400_000_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    // Bytes may be on their way before the receiver has taken the connection that is to be cut.
    try await eventually("the start") { b.state.withLock { !$0.sinks.isEmpty } }
    b.front.killConnections()
    #expect(try await result(a))
    // The two sides hear of it on loops of their own.
    let sink = try #require(b.state.withLock { $0.sinks.first })
    try await eventually("the sink's end") { sink.state.withLock { $0.isAborted } }
    try await eventually("the report") { a.state.withLock { $0.unreachable[b.id] ?? 0 } > 0 }
    await a.stop()
    await b.stop()
  }

  @Test func onlySoManyAtATime() async throws {
    let (a, b) = try await pair { $0.snapshotsInFlight = 2 }
    b.state.withLock { $0.sinkPauses = true }
    var random = SeededGenerator.printed("many")
    for _ in 0..<3 {
      a.transport.sendSnapshot(
        snapshotMessage(from: a.id, to: b.id), source: RandomSource(30_000_000, &random))
    }
    // The third is one too many; the second takes the place of the first, which its sender gave up.
    #expect(try await result(a))
    #expect(try await result(a))
    #expect(try await !result(a))
    await a.stop()
    await b.stop()
  }

  /// The receiver reads the whole file before it answers.
  @Test func largeDatabasesMayBeSavedForLonger() async throws {
    let (a, b) = try await pair { $0.snapshotStallTimeout = .seconds(1) }
    b.state.withLock { $0.sinkSavesFor = .seconds(2) }
    var random = SeededGenerator.printed("largeDatabases")
    let message = snapshotMessage(from: a.id, to: b.id)
    a.transport.sendSnapshot(message, source: RandomSource(1_000_000, &random))
    #expect(try await result(a))
    a.transport.sendSnapshot(message, source: RandomSource(150_000_000, &random))
    #expect(try await !result(a))
    await a.stop()
    await b.stop()
  }

  /// The connection is always empty when the disk is slower than the network.
  @Test func aSlowDiskIsNoStall() async throws {
    let worker = WorkerThread(name: "slow-disk")
    defer { worker.stop() }
    let (a, b) = try await pair {
      $0.snapshotStallTimeout = .milliseconds(500)
      $0.worker = worker
    }
    var random = SeededGenerator.printed("aSlowDisk")
    // 30 pieces: three times the time in which bytes have to leave.
    let source = RandomSource(30 * 128 * 1024, readTakes: .milliseconds(50), &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    #expect(try await !result(a))
    await a.stop()
    await b.stop()
  }

  @Test func aPeerThatTakesNothingIsGivenUp() async throws {
    let worker = WorkerThread(name: "quick-disk")
    defer { worker.stop() }
    let (a, b) = try await pair {
      $0.snapshotStallTimeout = .milliseconds(500)
      $0.worker = worker
    }
    b.state.withLock { $0.sinkStops = true }
    var random = SeededGenerator.printed("aPeerThatTakesNothing")
    // Far more than the sockets hold.
    let source = RandomSource(400_000_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    #expect(try await result(a))
    #expect(source.isClosed.withLock { $0 })
    #expect(a.has(log: "i/o timeout"))
    await a.stop()
    await b.stop()
  }

  @Test func removingThePeerEndsItsSnapshot() async throws {
    let (a, b) = try await pair()
    b.state.withLock { $0.sinkPauses = true }
    var random = SeededGenerator.printed("removing")
    // Far more than can be sent before the cut, however late it comes.
    let source = RandomSource(400_000_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    try await eventually("the start") { source.offset.withLock { $0 } > 1 << 20 }
    a.transport.removePeer(id: b.id)
    try await eventually("the end") { source.isClosed.withLock { $0 } }
    await a.stop()
    await b.stop()
  }
}
