import Bytes
import EtcdAPI
import EventLoops
import PeerTransport
import Protobuf
import Synchronization
import TestSupport
import Testing

/// A posted request whose body a test sends piece by piece.
private final class OpenBody: ByteChannelHandler, Sendable {
  private let loop: EventLoop
  private let connection: any ByteChannel
  private let heard = Mutex("")
  private let ended = Mutex(false)

  /// Connects and sends the head.
  init(
    to node: TestNode, _ path: String = "/raft/snapshot", from sender: UInt64, length: Int
  ) async throws {
    let (loop, port) = (node.loop, node.front.port)
    self.loop = loop
    connection = try await withCheckedThrowingContinuation { done in
      loop.execute {
        Connection.connect(
          to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
        ) { done.resume(with: $0) }
      }
    }
    let head =
      "POST \(path) HTTP/1.1\r\nHost: x\r\nX-Etcd-Cluster-ID: c1\r\nX-Server-Version: 3.5.1\r\n"
      + "X-Min-Cluster-Version: 3.0.0\r\nX-Server-From: \(String(sender, radix: 16))\r\n"
      + "Content-Length: \(length)\r\n\r\n"
    loop.execute { [self] in
      connection.handler = self
      connection.start()
      connection.write(Bytes(head))
    }
  }

  func write(_ bytes: Bytes) {
    loop.execute { [connection] in if !connection.isClosed { connection.write(bytes) } }
  }

  /// Sends `bytes` again and again until the connection ends.
  func repeatEvery(_ interval: Duration, _ bytes: Bytes) {
    loop.execute { [self] in
      var timer: LoopTimer?
      timer = loop.schedule(after: .zero, repeating: interval) { [self] in
        if isClosed { timer?.cancel() } else { connection.write(bytes) }
      }
    }
  }

  func close() {
    loop.execute { [connection] in if !connection.isClosed { connection.abort() } }
  }

  /// What was answered so far.
  var answer: String { heard.withLock { $0 } }
  var isClosed: Bool { ended.withLock { $0 } }
  /// Whether this side or that has said that it is over.
  var isOver: Bool { isClosed || !answer.isEmpty }

  func channelRead(_ bytes: Bytes) { heard.withLock { $0 += bytes.string } }
  func channelReadEnded() { connection.abort() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { ended.withLock { $0 = true } }
}

/// Bodies that are held open by whoever reaches the port: they neither take the memory nor the places that
/// members need.
@Suite(.serialized, .timeLimit(.minutes(5))) struct HeldBodyTests {
  private static let databaseBytes = 100_000
  private static let piece = Bytes([UInt8](repeating: 9, count: databaseBytes))

  /// A snapshot's message of about `bytes`, with its length in front.
  private func message(from: UInt64, bytes: Int) -> Bytes {
    let message = Raftpb.Message(
      type: .snap, to: 0xb1, from: from, term: 3,
      snapshot: Raftpb.Snapshot(
        data: Bytes([UInt8](repeating: 7, count: bytes)),
        metadata: Raftpb.SnapshotMetadata(
          confState: Raftpb.ConfState(voters: [from, 0xb1]), index: 42, term: 3))
    ).encoded()
    var out = ByteWriter(capacity: message.count + 8)
    out.appendBigEndian(UInt64(message.count))
    out.append(message)
    return out.finish()
  }

  /// A body of which the message was sent, and nothing of the database.
  private func snapshot(to node: TestNode, from sender: UInt64, bytes: Int) async throws -> OpenBody
  {
    let message = message(from: sender, bytes: bytes)
    let body = try await OpenBody(
      to: node, from: sender, length: message.count + Self.databaseBytes)
    body.write(message)
    return body
  }

  /// Two messages that together would take more than there is: the younger comes when the database of the other
  /// is there.
  @Test func messagesOfSnapshotsShareTheBudgetUntilTheirDatabasesAreThere() async throws {
    let node = try await TestNode(0xb1) { $0.postedBytes = 8_000_000 }
    // While it is saved nobody has to come on.
    node.state.withLock { $0.sinkSavesFor = .seconds(2) }
    var bodies: [OpenBody] = []
    for sender in [0xa1, 0xa2] as [UInt64] {
      let body = try await snapshot(to: node, from: sender, bytes: 3_000_000)
      body.write(Self.piece)
      bodies.append(body)
      try await eventually("the first") { node.state.withLock { !$0.sinks.isEmpty } }
    }
    for (done, body) in bodies.enumerated() {
      try await eventually("the next") {
        node.state.withLock {
          $0.sinks.count > done && $0.sinks[done].state.withLock { $0.isFinished }
        }
      }
      #expect(node.state.withLock { $0.sinks.count } == done + 1)
      try await eventually("the answer") { body.answer.hasPrefix("HTTP/1.1 204") }
    }
    #expect(node.state.withLock { $0.received.map(\.from) } == [0xa1, 0xa2])
    await node.stop()
  }

  /// It is the budget of posted messages, whichever came first.
  @Test func postsWaitForSnapshots() async throws {
    let node = try await TestNode(0xb1) {
      $0.postedBytes = 8_000_000
      // However long a busy machine takes for what follows.
      $0.postedGrace = .seconds(100)
    }
    let body = try await snapshot(to: node, from: 0xa1, bytes: 3_000_000)
    try await eventually("the start") { node.state.withLock { !$0.sinks.isEmpty } }
    let append = Raftpb.Message(
      type: .app, to: 0xb1, from: 0xa2, term: 3, index: 6,
      entries: [
        Raftpb.Entry(term: 3, index: 7, data: Bytes([UInt8](repeating: 1, count: 3_000_000)))
      ]
    ).encoded()
    let post = try await OpenBody(to: node, "/raft", from: 0xa2, length: append.count)
    post.write(append)
    try await Task.sleep(for: .milliseconds(300))
    #expect(!post.isOver)
    body.write(Self.piece)
    try await eventually("both answers") {
      body.answer.hasPrefix("HTTP/1.1 204") && post.answer.hasPrefix("HTTP/1.1 204")
    }
    await node.stop()
  }

  /// Nothing comes behind a message that takes all the room: who waits for it gets it.
  @Test func whoHoldsTheRoomMustGoOn() async throws {
    let node = try await TestNode(0xb1) { $0.postedBytes = 8_000_000 }
    let held = try await snapshot(to: node, from: 0xa1, bytes: 3_000_000)
    try await eventually("the start") { node.state.withLock { !$0.sinks.isEmpty } }
    held.repeatEvery(.milliseconds(100), "x")
    let waiting = try await snapshot(to: node, from: 0xa2, bytes: 3_000_000)
    waiting.write(Self.piece)
    try await eventually("the answer", within: .seconds(10)) {
      waiting.answer.hasPrefix("HTTP/1.1 204")
    }
    #expect(held.answer.contains("came too slowly while others were waiting"))
    #expect(node.state.withLock { $0.sinks[0] }.state.withLock { $0.isAborted })
    held.close()
    await node.stop()
  }

  /// A message that alone takes more than there is, is refused when its length is known.
  @Test func aMessageLargerThanTheBudgetIsRefused() async throws {
    let node = try await TestNode(0xb1) { $0.postedBytes = 8_000_000 }
    let body = try await OpenBody(to: node, from: 0xa1, length: 5_000_000)
    body.write(Bytes([0, 0, 0, 0, 0, 0x3d, 0x09, 0x01]))
    try await eventually("the answer") { body.isOver }
    #expect(
      body.answer.hasSuffix("failed to decode raft message (rafthttp: error limit exceeded)\n"))
    body.close()
    await node.stop()
  }

  /// However a body ends, its room is free.
  @Test func roomIsGivenBack() async throws {
    let node = try await TestNode(0xb1) {
      $0.postedBytes = 8_000_000
      // Nobody is made to give way meanwhile: what comes last has the room that was given back, or none.
      $0.postedGrace = .seconds(100)
    }
    for round in 0..<4 as Range<UInt64> {
      let whole = message(from: 0xa1 + round, bytes: 3_000_000)
      let body = try await OpenBody(
        to: node, from: 0xa1 + round, length: whole.count + Self.databaseBytes)
      switch round {
      case 0: body.write(whole[0..<2_000_000])
      case 1: body.write(whole)
      case 2:
        body.write(Bytes([0, 0, 0, 0, 0, 0x2d, 0, 0] + [UInt8](repeating: 0xff, count: 3_000_000)))
      default:
        node.state.withLock { $0.sinkFailsAfter = 10 }
        body.write(whole)
        body.write(Self.piece)
      }
      try await Task.sleep(for: .milliseconds(100))
      body.close()
    }
    node.state.withLock { $0.sinkFailsAfter = .max }
    let last = try await snapshot(to: node, from: 0xaf, bytes: 3_000_000)
    last.write(Self.piece)
    try await eventually("the answer") {
      last.answer.hasPrefix("HTTP/1.1 204")
    }
    await node.stop()
  }

  /// All places are held in names of nobody, a byte now and then: a member gets in at its first try.
  @Test func aMemberTakesThePlaceOfAStranger() async throws {
    let nodes = try await startCluster(2)
    try await waitForStreams(nodes)
    let (a, b) = (nodes[0], nodes[1])
    var held: [OpenBody] = []
    for sender in 1...16 as ClosedRange<UInt64> {
      let body = try await OpenBody(to: b, from: sender, length: 200_000_000)
      body.write(Bytes([0, 0, 0, 0, 5, 0, 0, 0]))
      body.repeatEvery(.milliseconds(50), "x")
      held.append(body)
    }
    try await Task.sleep(for: .milliseconds(300))
    var random = SeededGenerator.printed("strangers")
    let source = RandomSource(3_000_000, &random)
    a.transport.sendSnapshot(snapshotMessage(from: a.id, to: b.id), source: source)
    try await eventually("the report") { a.state.withLock { !$0.snapshots.isEmpty } }
    #expect(a.state.withLock { !$0.snapshots[0].failed })
    #expect(held.count(where: \.isOver) == 1)
    for body in held { body.close() }
    await a.stop()
    await b.stop()
  }

  /// The same in names of members, some with a database: the seventeenth gets in within seconds, and in the
  /// place of one that does not come on.
  @Test func aPlaceThatIsHeldSlowlyIsFreed() async throws {
    let node = try await TestNode(0xb1)
    for sender in 0xa1...0xb2 as ClosedRange<UInt64> where sender != 0xb1 {
      node.transport.addPeer(id: MemberID(sender), urls: ["http://127.0.0.1:1"])
    }
    var held: [OpenBody] = []
    for sender in 0xa1...0xb0 as ClosedRange<UInt64> {
      if sender % 2 == 0 {
        held.append(try await OpenBody(to: node, from: sender, length: 200_000_000))
        held.last?.write(Bytes([0, 0, 0, 0, 5, 0, 0, 0]))
      } else {
        held.append(try await snapshot(to: node, from: sender, bytes: 100))
      }
      held.last?.repeatEvery(.milliseconds(100), "x")
    }
    // One of them is a transfer like any other.
    held[5].repeatEvery(.milliseconds(100), Bytes([UInt8](repeating: 1, count: 4_096)))
    let start = ContinuousClock.now
    var answer = ""
    while !answer.hasPrefix("HTTP/1.1 204"), ContinuousClock.now - start < .seconds(20) {
      let late = try await snapshot(to: node, from: 0xb2, bytes: 100)
      late.write(Self.piece)
      try await eventually("an answer") { late.isOver }
      answer = late.answer
      late.close()
      try await Task.sleep(for: .milliseconds(100))
    }
    #expect(answer.hasPrefix("HTTP/1.1 204"), "\(answer)")
    #expect(ContinuousClock.now - start < .seconds(6))
    #expect(held.count(where: \.isOver) == 1)
    #expect(!held[5].isOver)
    #expect(node.has(log: "it came too slowly, and another member waits"))
    for body in held { body.close() }
    await node.stop()
  }

  /// Transfers that come on keep their places, and so do those that wait for this member's disk.
  @Test func whatComesOnKeepsItsPlace() async throws {
    let node = try await TestNode(0xb1) { $0.snapshotsInFlight = 1 }
    for sender in [0xa1, 0xa2] as [MemberID] {
      node.transport.addPeer(id: sender, urls: ["http://127.0.0.1:1"])
    }
    let body = try await OpenBody(to: node, from: 0xa1, length: 200_000_000)
    body.write(message(from: 0xa1, bytes: 100))
    body.repeatEvery(.milliseconds(100), Bytes([UInt8](repeating: 1, count: 4_096)))
    for _ in 0..<15 {
      let late = try await snapshot(to: node, from: 0xa2, bytes: 100)
      try await eventually("the refusal") { late.isOver }
      #expect(late.answer.hasSuffix("too many snapshots in flight\n"))
      late.close()
      try await Task.sleep(for: .milliseconds(200))
    }
    #expect(!body.isOver)
    body.close()
    await node.stop()
  }
}
