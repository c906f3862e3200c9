import Bytes
import EventLoops

/// One end of a connection within memory. Nothing moves by itself: `deliver` hands over what the other end
/// has written, as much as the test wants.
final class MemoryChannel: ByteChannel, @unchecked Sendable {
  // @unchecked: confined to its loop.
  let loop: EventLoop
  var handler: (any ByteChannelHandler)?
  var watermarks = Watermarks.standard
  private(set) var isClosed = false
  private(set) var isClosing = false
  private(set) var isPaused = false
  private(set) var isStarted = false
  /// What was written and not delivered.
  private var outgoing = Bytes()
  private unowned(unsafe) var other: MemoryChannel?
  private var wasAboveHigh = false
  private var toldEnd = false
  let remoteAddress: SocketAddress? = .ipv4(host: "127.0.0.1", port: 7)
  let localAddress: SocketAddress? = .ipv4(host: "127.0.0.1", port: 8)

  init(_ loop: EventLoop) { self.loop = loop }

  /// Two ends that belong together.
  static func pair(_ loop: EventLoop) -> (MemoryChannel, MemoryChannel) {
    let (a, b) = (MemoryChannel(loop), MemoryChannel(loop))
    (a.other, b.other) = (b, a)
    return (a, b)
  }

  var pendingWriteBytes: Int { outgoing.count }
  var isWritable: Bool { outgoing.count <= watermarks.high }
  var written: Bytes { outgoing }

  func start() { isStarted = true }
  func write(_ bytes: Bytes) { write([bytes]) }
  func write(_ parts: [Bytes]) {
    guard !isClosed, !isClosing else { return }
    for part in parts { outgoing = outgoing.followed(by: part) }
    if outgoing.count > watermarks.high { wasAboveHigh = true }
  }
  func pauseReading() { isPaused = true }
  func resumeReading() { isPaused = false }
  func closeAfterFlush() { isClosing = true }
  func abort() {
    guard !isClosed else { return }
    isClosed = true
    outgoing = Bytes()
    let last = handler
    handler = nil
    last?.channelClosed(.aborted)
  }
  func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void) {
    handler = nil
    done(self)
  }

  /// Puts bytes in front of the other end that no protocol wrote.
  func inject(_ bytes: Bytes) { outgoing = outgoing.followed(by: bytes) }

  /// Hands at most `count` bytes to the other end, if it reads.
  /// - Returns: whether anything happened.
  @discardableResult
  func deliver(_ count: Int = .max) -> Bool {
    guard let other, !other.isClosed, other.isStarted, !other.isPaused || other.isClosing else {
      return false
    }
    guard outgoing.count > 0 else {
      guard isClosing, !toldEnd else { return false }
      toldEnd = true
      other.handler?.channelReadEnded()
      return true
    }
    let taken = outgoing[0..<min(count, outgoing.count)]
    outgoing = outgoing[taken.count..<outgoing.count]
    if !other.isClosing { other.handler?.channelRead(taken.detached()) }
    if wasAboveHigh, outgoing.count <= watermarks.low {
      wasAboveHigh = false
      handler?.channelWritable()
    }
    return true
  }
}

/// Keeps what a channel says.
final class Witness: ByteChannelHandler {
  private(set) var received = ByteWriter(capacity: 64)
  private(set) var pieces = 0
  private(set) var isEnded = false
  private(set) var isClosed = false
  private(set) var error: ChannelError?
  private(set) var writable = 0
  var onRead: (() -> Void)?

  var count: Int { received.count }
  var text: String { received.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
  func channelRead(_ bytes: Bytes) {
    received.append(bytes)
    pieces += 1
    onRead?()
  }
  func channelReadEnded() { isEnded = true }
  func channelWritable() { writable += 1 }
  func channelClosed(_ error: ChannelError?) {
    isClosed = true
    self.error = error
  }
}
