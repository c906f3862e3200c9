import Bytes
import EtcdAPI
import EventLoops
import HTTP
import PeerTransport
import Synchronization
import TestSupport
import Testing

/// A member without raft: a transport with a listener on a loop of its own.
final class TestNode: PeerTransportDelegate {
  struct State: Sendable {
    var received: [Raftpb.Message] = []
    var batches = 0
    /// Whether the stream of messages to a member is there, as told last.
    var streams: [MemberID: Bool] = [:]
    var unreachable: [MemberID: Int] = [:]
    var snapshots: [(id: MemberID, failed: Bool)] = []
    var removed: Set<MemberID> = []
    var wasRemoved = 0
    var seen: [MemberID: [String]] = [:]
    var versions: [MemberID: String] = [:]
    var logs: [String] = []
    var sinks: [TestSink] = []
    var sinkPauses = false
    var sinkStops = false
    var sinkFailsAfter = Int.max
    var sinkSavesFor = Duration.zero
  }

  let id: MemberID
  let front: Front
  let state = Mutex(State())
  let metrics = MetricsRegistry()
  /// Called with each batch after it was recorded.
  let onReceived = Mutex<(@Sendable ([Raftpb.Message]) -> Void)?>(nil)
  private let made = Mutex<PeerTransport?>(nil)

  convenience init(
    _ id: MemberID, cluster: UInt64 = 0xc1, version: String = "3.5.1",
    limits: HTTPServerLimits = .init(),
    _ change: (inout PeerTransportConfiguration) -> Void = { _ in }
  ) async throws {
    let front = try await Front(limits)
    self.init(front, id, cluster: cluster, version: version, change)
  }

  init(
    _ front: Front, _ id: MemberID, cluster: UInt64, version: String = "3.5.1",
    _ change: (inout PeerTransportConfiguration) -> Void = { _ in }
  ) {
    self.id = id
    self.front = front
    var configuration = PeerTransportConfiguration(
      localID: id, clusterID: cluster, peerURLs: [front.url], serverVersion: version,
      dial: HTTPClient.dial(.plain))
    configuration.metrics = metrics
    configuration.logger = Logger(
      targets: [.sink { [weak self] in self?.log($0) }], encoding: .json, level: .info)
    change(&configuration)
    let transport = PeerTransport(configuration: configuration, loop: front.loop, delegate: self)
    made.withLock { $0 = transport }
    var router = HTTPRouter()
    transport.register(in: &router)
    front.handler.withLock { [router] in $0 = { router.handle($0) } }
  }

  private func log(_ line: Bytes) { state.withLock { $0.logs.append(line.string) } }

  var transport: PeerTransport { made.withLock { $0! } }
  var loop: EventLoop { front.loop }
  var url: String { front.url }

  func stop() async {
    transport.stop()
    front.handler.withLock { $0 = nil }
    await front.stop()
    made.withLock { $0 = nil }
  }

  func has(log text: String) -> Bool {
    state.withLock { $0.logs.contains { $0.contains(text) } }
  }

  // MARK: PeerTransportDelegate

  func received(_ messages: [Raftpb.Message]) {
    loop.preconditionCurrent()
    state.withLock {
      $0.received += messages
      $0.batches += 1
    }
    onReceived.withLock { $0 }?(messages)
  }
  func reportUnreachable(_ id: MemberID) { state.withLock { $0.unreachable[id, default: 0] += 1 } }
  func streamChanged(_ id: MemberID, isUp: Bool) { state.withLock { $0.streams[id] = isUp } }
  func reportSnapshot(_ id: MemberID, failed: Bool) {
    state.withLock { $0.snapshots.append((id, failed)) }
  }
  func isRemoved(_ id: MemberID) -> Bool { state.withLock { $0.removed.contains(id) } }
  func localMemberWasRemoved() { state.withLock { $0.wasRemoved += 1 } }
  func memberURLsSeen(_ id: MemberID, _ urls: [String]) { state.withLock { $0.seen[id] = urls } }
  func serverVersionSeen(_ id: MemberID, _ version: String) {
    state.withLock { $0.versions[id] = version }
  }
  func makeSnapshotSink(
    for message: Raftpb.Message, resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) -> any SnapshotSink {
    let sink = state.withLock {
      TestSink(
        pauses: $0.sinkPauses, stops: $0.sinkStops, failsAfter: $0.sinkFailsAfter,
        savesFor: $0.sinkSavesFor, resume)
    }
    state.withLock { $0.sinks.append(sink) }
    return sink
  }
}

/// Checksums a database; pauses the sender after each megabyte when asked to, or stops it for good.
final class TestSink: SnapshotSink {
  struct State: Sendable {
    var count = 0
    var crc: UInt32 = 0
    var isFinished = false
    var isAborted = false
    var unpaused = 0
    var wasPaused = false
    var writesWhilePaused = 0
  }
  let state = Mutex(State())
  let pauses: Bool
  let stops: Bool
  let failsAfter: Int
  let savesFor: Duration
  let resume: @Sendable () -> Void

  init(
    pauses: Bool, stops: Bool, failsAfter: Int, savesFor: Duration,
    _ resume: @escaping @Sendable () -> Void
  ) {
    self.stops = stops
    self.savesFor = savesFor
    self.pauses = pauses
    self.failsAfter = failsAfter
    self.resume = resume
  }

  func write(_ bytes: Bytes) throws(SnapshotError) -> Bool {
    let (count, full) = state.withLock { state in
      if state.wasPaused { state.writesWhilePaused += 1 }
      state.count += bytes.count
      state.crc = CRC32C.update(state.crc, bytes)
      state.unpaused += bytes.count
      let full = pauses && state.unpaused >= 1 << 20
      if full {
        state.unpaused = 0
        state.wasPaused = true
      }
      return (state.count, full)
    }
    if count > failsAfter { throw SnapshotError("no space left on device") }
    if stops { return false }
    guard full else { return true }
    Task.detached { [self] in
      await Task.yield()
      state.withLock { $0.wasPaused = false }
      resume()
    }
    return false
  }

  func finish(_ done: @escaping @Sendable (Result<Void, SnapshotError>) -> Void) {
    state.withLock { $0.isFinished = true }
    Task.detached { [savesFor] in
      try? await Task.sleep(for: savesFor)
      done(.success(()))
    }
  }

  func abort() { state.withLock { $0.isAborted = true } }
}

/// Waits until `condition` holds.
func eventually(
  _ what: String, within limit: Duration = .seconds(20), _ condition: () -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("never happened: \(what)")
      throw CancellationError()
    }
    try await Task.sleep(for: .milliseconds(3))
  }
}

/// Starts nodes that know each other.
func startCluster(
  _ count: Int, _ change: (inout PeerTransportConfiguration) -> Void = { _ in }
) async throws -> [TestNode] {
  var nodes: [TestNode] = []
  for id in 1...count { nodes.append(try await TestNode(MemberID(UInt64(id) + 0xa0), change)) }
  for node in nodes {
    for other in nodes where other !== node {
      node.transport.addPeer(id: other.id, urls: [other.url])
    }
  }
  return nodes
}

/// Waits until all four streams of each pair work.
func waitForStreams(_ nodes: [TestNode]) async throws {
  try await eventually("streams") {
    nodes.allSatisfy { node in
      let established = node.state.withLock { state in
        state.logs.count {
          $0.contains("established TCP streaming connection with remote peer")
        }
      }
      return established >= 4 * (nodes.count - 1)
        && node.transport.activePeers == nodes.count - 1
    }
  }
}

/// A listener on a loop of its own; its requests go to whoever is set as handler.
final class Front: Sendable {
  let loop: EventLoop
  let handler = Mutex<(@Sendable (HTTPExchange) -> Void)?>(nil)
  private let connections = Mutex<[any ByteChannel]>([])
  private let bound = Mutex(0)

  init(_ limits: HTTPServerLimits = .init()) async throws {
    loop = EventLoop(name: "front")
    loop.start()
    let port = try await listen(limits)
    bound.withLock { $0 = port }
  }

  var port: Int { bound.withLock { $0 } }
  var url: String { "http://127.0.0.1:\(port)" }

  private func listen(_ limits: HTTPServerLimits) async throws -> Int {
    try await withCheckedThrowingContinuation { done in
      loop.execute { [self] in
        do throws(ChannelError) {
          let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
            [weak self] connection in
            guard let self else { return connection.abort() }
            connections.withLock { $0.append(connection) }
            _ = HTTP1ServerConnection(channel: connection, limits: limits) { [weak self] exchange in
              if let handler = self?.handler.withLock({ $0 }) { return handler(exchange) }
              exchange.respond(status: 404, body: "404 page not found\n")
            }
            connection.start()
          }
          done.resume(returning: listener.address.port!)
        } catch {
          done.resume(throwing: error)
        }
      }
    }
  }

  /// Aborts every connection that was accepted.
  func killConnections() {
    let taken = connections.withLock { connections in
      let taken = connections
      connections = []
      return taken
    }
    loop.execute { for connection in taken where !connection.isClosed { connection.abort() } }
  }

  /// Bytes queued on accepted connections.
  func pendingBytes() async -> Int {
    let taken = connections.withLock { $0 }
    return await withCheckedContinuation { done in
      loop.execute { done.resume(returning: taken.reduce(0) { $0 + $1.pendingWriteBytes }) }
    }
  }

  func stop() async { await Self.offLoop { self.loop.stop() } }

  @concurrent private static func offLoop(_ body: @Sendable () -> Void) async { body() }
}
