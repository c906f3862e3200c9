import Bytes
import Calls
import EventLoops
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

func pause(_ loop: EventLoop, _ time: Duration) async {
  await withCheckedContinuation { done in
    loop.execute { loop.schedule(after: time) { done.resume() } }
  }
}

/// Listens on a free port for `server`.
func listen(_ loop: EventLoop, _ server: GRPCServer) throws -> Int {
  let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
    connection in
    ProtocolSniffer.begin(on: connection) { isHTTP2, initial in
      guard isHTTP2 else { return connection.abort() }
      server.accept(connection, initial: initial)
    }
    connection.start()
  }
  return listener.address.port!
}

/// A server for `router` and a client connected to it, on one loop.
func connect(
  _ loop: EventLoop, _ router: CallRouter, _ configuration: GRPCServerConfiguration = .init(),
  _ client: GRPCClientConfiguration = .init()
) async throws -> (GRPCServer, GRPCClient) {
  let server = GRPCServer(router, configuration)
  let port = try listen(loop, server)
  return (
    server,
    try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: port), loop: loop, configuration: client)
  )
}

/// The status a call throws.
func status(_ body: () async throws -> Void) async -> GRPCStatus {
  do {
    try await body()
    return .ok
  } catch let status as GRPCStatus {
    return status
  } catch { return GRPCStatus(.unknown, "\(error)") }
}

/// HTTP/2 frames made by hand, to say what a proper client never would.
enum Frames {
  static let preface = Array(ProtocolSniffer.preface)

  static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8]
  {
    let size = payload.count
    return [
      UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags,
      UInt8(stream >> 24), UInt8(stream >> 16 & 255), UInt8(stream >> 8 & 255), UInt8(stream & 255),
    ] + payload
  }

  static func word(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
  }

  static let settings = frame(4, 0, 0, [])
  static let ping = frame(6, 0, 0, [UInt8](repeating: 9, count: 8))
  /// The largest windows: initial stream window by SETTINGS, connection window by WINDOW_UPDATE.
  static let openWindows =
    frame(4, 0, 0, [0, 4] + word(0x7fff_ffff)) + frame(8, 0, 0, word(0x7fff_ffff - 65_535))

  /// Literal fields without indexing and Huffman coding.
  static func headers(_ stream: UInt32, end: Bool, _ fields: [(String, String)]) -> [UInt8] {
    var block: [UInt8] = []
    for (name, value) in fields {
      block += [0, UInt8(name.utf8.count)] + Array(name.utf8)
      block += [UInt8(value.utf8.count)] + Array(value.utf8)
    }
    return frame(1, end ? 5 : 4, stream, block)
  }

  static func request(_ stream: UInt32, _ path: String, type: String = "application/grpc")
    -> [UInt8]
  {
    headers(
      stream, end: false,
      [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("content-type", type), ("te", "trailers"),
      ])
  }

  static func message(_ stream: UInt32, _ text: String) -> [UInt8] {
    data(stream, text, ends: true)
  }

  static func data(_ stream: UInt32, _ text: String, ends: Bool) -> [UInt8] {
    frame(0, ends ? 1 : 0, stream, [0] + word(UInt32(text.utf8.count)) + Array(text.utf8))
  }
}

/// A raw connection that keeps what it gets, or only counts it.
final class RawClient: ByteChannelHandler, @unchecked Sendable {
  // @unchecked: confined to the loop of its connection.
  let connection: any ByteChannel
  var received: [UInt8] = []
  var count = 0
  var keeps = true
  var isClosed = false
  private var waiters: [(condition: () -> Bool, done: CheckedContinuation<Void, Never>)] = []

  init(_ loop: EventLoop, _ port: Int) async throws {
    connection = try await withCheckedThrowingContinuation { done in
      Connection.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
      ) { done.resume(with: $0) }
    }
    connection.handler = self
    connection.start()
  }

  func send(_ bytes: [UInt8]) { connection.write(Bytes(bytes)) }

  /// Waits until `condition` holds after some event, or the connection is closed.
  func wait(_ condition: @escaping (RawClient) -> Bool) async {
    if condition(self) || isClosed { return }
    await withCheckedContinuation { done in
      waiters.append(({ [unowned self] in condition(self) }, done))
    }
  }

  func waitForClose() async { await wait { $0.isClosed } }

  private func check() {
    let ready = waiters.filter { isClosed || $0.condition() }
    waiters.removeAll { isClosed || $0.condition() }
    for waiter in ready { waiter.done.resume() }
  }

  func channelRead(_ bytes: Bytes) {
    count += bytes.count
    if keeps { received += Array(bytes) }
    check()
  }
  func channelReadEnded() { connection.closeAfterFlush() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) {
    isClosed = true
    check()
  }

  func contains(_ text: String) -> Bool {
    let needle = Array(text.utf8)
    guard received.count >= needle.count else { return false }
    return (0...(received.count - needle.count)).contains {
      received[$0..<($0 + needle.count)].elementsEqual(needle)
    }
  }
}
