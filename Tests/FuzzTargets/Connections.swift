import Bytes
import Calls
import EventLoops

@testable import GRPC
@testable import HTTP

extension FuzzTarget {
  /// Whole servers, on the loop on which they run, behind connections that are not there.
  static let connections: [FuzzTarget] = [
    FuzzTarget("http1-server", seeds: ["\u{20}GET / HTTP/1.1\r\nHost: x\r\n\r\n"]) { bytes in
      serve(bytes) { channel in
        _ = HTTP1ServerConnection(channel: channel) { exchange in
          exchange.collectBody(limit: 1 << 16) { _ in exchange.respond(status: 204) }
        }
      }
    },
    // The preface is sent first: a fuzzer would need long to find it.
    FuzzTarget("http2-server", seeds: [Bytes([0x20, 0, 0, 0, 4, 0, 0, 0, 0, 0])]) { bytes in
      serve(bytes) { channel in
        GRPCServer(CallRouter { _ in nil }).accept(channel, initial: Bytes(ProtocolSniffer.preface))
      }
    },
  ]

  private static let loop: EventLoop = {
    let loop = EventLoop(name: "fuzz")
    loop.start()
    return loop
  }()

  private static func serve(_ bytes: Bytes, _ accept: @escaping @Sendable (NoChannel) -> Void) {
    loop.run {
      let channel = NoChannel(loop)
      accept(channel)
      for piece in pieces(bytes) where !channel.isClosed { channel.handler?.channelRead(piece) }
      if !channel.isClosed { channel.handler?.channelReadEnded() }
      channel.abort()
    }
  }
}

/// A connection whose other side takes everything and says nothing.
private final class NoChannel: ByteChannel, @unchecked Sendable {
  // @unchecked: confined to its loop.
  let loop: EventLoop
  var handler: (any ByteChannelHandler)?
  var watermarks = Watermarks.standard
  private(set) var isClosed = false
  let pendingWriteBytes = 0
  let isWritable = true
  let remoteAddress: SocketAddress? = .ipv4(host: "127.0.0.1", port: 7)
  let localAddress: SocketAddress? = .ipv4(host: "127.0.0.1", port: 8)

  init(_ loop: EventLoop) { self.loop = loop }

  func start() {}
  func write(_ bytes: Bytes) {}
  func write(_ parts: [Bytes]) {}
  func pauseReading() {}
  func resumeReading() {}
  func closeAfterFlush() { abort() }
  func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void) {
    handler = nil
    done(self)
  }
  func abort() {
    guard !isClosed else { return }
    isClosed = true
    let last = handler
    handler = nil
    last?.channelClosed(.aborted)
  }
}
