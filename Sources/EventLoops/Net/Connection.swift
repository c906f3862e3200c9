import Bytes
import CUV

/// A TCP or unix-socket connection on a loop.
public final class Connection: LoopResource, ByteChannel, TurnEndHandler, NextTurnHandler,
  @unchecked Sendable
{
  // @unchecked: confined to `loop`, asserted in `write`, `closeAfterFlush` and `abort`.

  /// Whether the socket is an IP or a unix one.
  enum Kind { case tcp, unix }

  /// How long an orderly close may wait for the peer to take what was written.
  public var flushTimeout: Duration = .seconds(10)
  /// After the last byte and the FIN: how long the peer's remaining input is drained, so that it
  /// reads our answer instead of a reset.
  private static let lingerTime: Duration = .milliseconds(500)

  public var handler: (any ByteChannelHandler)?
  public var watermarks = Watermarks.standard
  public private(set) var pendingWriteBytes = 0
  public private(set) var isClosed = false
  public private(set) lazy var remoteAddress: SocketAddress? = address(of: uv_tcp_getpeername)
  public private(set) lazy var localAddress: SocketAddress? = address(of: uv_tcp_getsockname)

  let kind: Kind
  /// Told once when the connection is closed.
  var admission: ConnectionAdmission?
  let handle = UVHandle<uv_stream_t>(
    bytes: max(MemoryLayout<uv_tcp_t>.size, MemoryLayout<uv_pipe_t>.size))
  var queue: [Bytes] = []
  private var inFlight = 0
  private var isScheduled = false
  private var wasAboveHigh = false
  private var isReading = false
  private var wantsReading = true
  /// Bytes of large reads since others were asked first.
  private var readAhead = 0
  private var isOverBudget = false
  private var readEnded = false
  private var closing = false
  private var isReset = false
  private var closeTimer: LoopTimer?

  /// Bytes of large reads after which others are asked first.
  private static let readAheadMax = 262_144

  /// What a connection and the protocol on it hold, about.
  private static let memoryBytes = 8_192

  /// Most parts handed to one system call.
  private static let partsMax = 64

  init(loop: EventLoop, kind: Kind) {
    self.kind = kind
    super.init(loop: loop)
    let uv = loop.core!.loop
    let raw = UnsafeMutableRawPointer(handle.pointer)
    switch kind {
    case .tcp: uv_tcp_init(uv, raw.assumingMemoryBound(to: uv_tcp_t.self))
    case .unix: uv_pipe_init(uv, raw.assumingMemoryBound(to: uv_pipe_t.self), 0)
    }
    handle.attach(self)
  }

  var tcp: UnsafeMutablePointer<uv_tcp_t> {
    UnsafeMutableRawPointer(handle.pointer).assumingMemoryBound(to: uv_tcp_t.self)
  }
  var pipe: UnsafeMutablePointer<uv_pipe_t> {
    UnsafeMutableRawPointer(handle.pointer).assumingMemoryBound(to: uv_pipe_t.self)
  }

  /// Socket options of every connection; called once connected.
  func configure() {
    guard kind == .tcp else { return }
    uv_tcp_nodelay(tcp, 1)
    uv_tcp_keepalive(tcp, 1, 15)
  }

  /// Starts delivering what arrives to `handler`. Call once, after setting the handler.
  public func start() {
    loop.preconditionCurrent()
    updateReading()
  }

  private func address(
    of get: (
      UnsafePointer<uv_tcp_t>?, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<Int32>?
    )
      -> Int32
  ) -> SocketAddress? {
    guard kind == .tcp else { return .unix(path: "") }
    guard !isClosed else { return nil }
    return Self.address(tcp, get)
  }

  static func address(
    _ tcp: UnsafePointer<uv_tcp_t>,
    _ get: (UnsafePointer<uv_tcp_t>?, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<Int32>?)
      -> Int32
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    return withUnsafeMutablePointer(to: &storage) { pointer in
      let raw = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
      var length = Int32(MemoryLayout<sockaddr_storage>.size)
      return get(tcp, raw, &length) == 0 ? SocketAddress(raw) : nil
    }
  }

  // MARK: reading

  public func pauseReading() {
    wantsReading = false
    updateReading()
  }

  public func resumeReading() {
    wantsReading = true
    updateReading()
  }

  private func updateReading() {
    let wanted = (wantsReading || closing) && !readEnded && !isClosed && !isOverBudget
    guard wanted != isReading else { return }
    isReading = wanted
    guard wanted else {
      uv_read_stop(handle.pointer)
      return
    }
    let result = uv_read_start(handle.pointer, Self.allocate, Self.received)
    if result != 0 { finish(.system(operation: "read", UVError(result))) }
  }

  private static let allocate: uv_alloc_cb = { handle, _, buffer in
    let room = LoopCore.owner(handle!.pointee.loop).readBuffers.room()
    buffer!.pointee.base = room.baseAddress!.assumingMemoryBound(to: CChar.self)
    buffer!.pointee.len = room.count
  }

  private static let received: uv_read_cb = { stream, count, _ in
    let owner = Unmanaged<LoopResource>.fromOpaque(stream!.pointee.data)
    let connection = unsafeDowncast(owner.takeUnretainedValue(), to: Connection.self)
    if count > 0 {
      let bytes = connection.loop.readBuffers.take(count)
      connection.countRead(count)
      if !connection.closing { connection.handler?.channelRead(bytes) }
    } else if count < 0 {
      connection.readFailed(Int32(count))
    }
  }

  /// Counts large reads alone: a small one was the last that libuv does for the connection in this turn.
  @inline(__always)
  private func countRead(_ count: Int) {
    loop.meter.begin(loop.now, .reads)
    guard count >= ReadBufferPool.roomMinimum else { return }
    readAhead += count
    guard readAhead >= Self.readAheadMax else { return }
    isOverBudget = true
    loop.atNextTurn(self)
    updateReading()
  }

  public func nextTurn() {
    isOverBudget = false
    readAhead = 0
    updateReading()
  }

  private func readFailed(_ result: Int32) {
    guard result == Int32(UV_EOF.rawValue) else {
      finish(.system(operation: "read", UVError(result)))
      return
    }
    readEnded = true
    updateReading()
    if closing {
      if pendingWriteBytes == 0 { finish(nil) }
    } else {
      handler?.channelReadEnded()
    }
  }

  // MARK: writing

  public var isWritable: Bool { pendingWriteBytes <= watermarks.high }

  public func write(_ bytes: Bytes) {
    guard !isClosed, !closing, bytes.count > 0 else { return }
    queue.append(bytes)
    didQueue(bytes.count)
    scheduleFlush()
  }

  public func write(_ parts: [Bytes]) { if enqueue(parts) { scheduleFlush() } }

  public func writeNow(_ parts: [Bytes]) {
    guard enqueue(parts), !isScheduled else { return }
    turnEnd()
  }

  private func enqueue(_ parts: [Bytes]) -> Bool {
    guard !isClosed, !closing else { return false }
    var total = 0
    for part in parts where part.count > 0 {
      queue.append(part)
      total += part.count
    }
    didQueue(total)
    return total > 0
  }

  private func didQueue(_ count: Int) {
    pendingWriteBytes += count
    if pendingWriteBytes > watermarks.high { wasAboveHigh = true }
  }

  private func scheduleFlush() {
    guard !isScheduled, inFlight == 0 else { return }
    loop.preconditionCurrent()
    isScheduled = true
    loop.atTurnEnd(self)
  }

  public func turnEnd() {
    isScheduled = false
    guard !isClosed, inFlight == 0 else { return }
    while !queue.isEmpty {
      let (sent, offered) = tryWrite()
      if sent >= 0 { consume(sent) }
      if sent < 0 && sent != Int(UV_EAGAIN.rawValue) {
        finish(.system(operation: "write", UVError(Int32(sent))))
        return
      }
      if sent < offered && !queue.isEmpty {
        submitRest()
        break
      }
    }
    afterProgress()
  }

  /// One system call with the first parts of the queue: bytes taken or a negative error, and
  /// bytes offered.
  private func tryWrite() -> (sent: Int, offered: Int) {
    let parts = min(queue.count, Self.partsMax)
    return withUnsafeTemporaryAllocation(of: uv_buf_t.self, capacity: parts) { buffers in
      var offered = 0
      for index in 0..<parts {
        // The queue keeps the owner alive during the call.
        buffers[index] = Self.buffer(queue[index])
        offered += queue[index].count
      }
      return (Int(uv_try_write(handle.pointer, buffers.baseAddress, UInt32(parts))), offered)
    }
  }

  private static func buffer(_ bytes: Bytes) -> uv_buf_t {
    bytes.withUnsafeBytes { memory in
      uv_buf_t(
        base: UnsafeMutableRawPointer(mutating: memory.baseAddress!)
          .assumingMemoryBound(to: CChar.self),
        len: memory.count)
    }
  }

  private func consume(_ count: Int) {
    pendingWriteBytes -= count
    queue.removeFirst(bytes: count)
  }

  /// Parts of the queue in the hands of libuv, which waits for the socket to take them.
  private final class PendingWrite {
    let parts: [Bytes]
    let total: Int
    let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    unowned let connection: Connection
    init(_ parts: [Bytes], _ connection: Connection) {
      self.parts = parts
      total = parts.reduce(0) { $0 + $1.count }
      self.connection = connection
    }
    deinit { request.deallocate() }
  }

  private func submitRest() {
    let taken = min(queue.count, Self.partsMax)
    let pending = PendingWrite(Array(queue.prefix(taken)), self)
    queue.removeFirst(taken)
    inFlight = pending.total
    pending.request.pointee.data = Unmanaged.passRetained(pending).toOpaque()
    let buffers = pending.parts.map(Self.buffer)
    let result = uv_write(pending.request, handle.pointer, buffers, UInt32(buffers.count)) {
      request, status in
      let pending = Unmanaged<PendingWrite>.fromOpaque(request!.pointee.data).takeRetainedValue()
      pending.connection.didWrite(pending.total, status)
    }
    if result != 0 {
      Unmanaged.passUnretained(pending).release()
      finish(.system(operation: "write", UVError(result)))
    }
  }

  private func didWrite(_ count: Int, _ status: Int32) {
    inFlight = 0
    guard !isClosed else { return }
    guard status == 0 else {
      finish(.system(operation: "write", UVError(status)))
      return
    }
    pendingWriteBytes -= count
    if queue.isEmpty { afterProgress() } else { scheduleFlush() }
  }

  private func afterProgress() {
    if wasAboveHigh && pendingWriteBytes <= watermarks.low {
      wasAboveHigh = false
      if !closing { handler?.channelWritable() }
    }
    if closing && pendingWriteBytes == 0 && !isClosed { shutDown() }
  }

  // MARK: closing

  public func closeAfterFlush() {
    guard !isClosed, !closing else { return }
    loop.preconditionCurrent()
    closing = true
    closeTimer = loop.schedule(after: flushTimeout) { [unowned self] in
      self.finish(.timedOut(operation: "write"))
    }
    updateReading()
    // Asynchronous even when nothing is queued, so that the caller's turn ends first.
    scheduleFlush()
  }

  public func abort() {
    guard !isClosed else { return }
    loop.preconditionCurrent()
    finish(.aborted)
  }

  public func reset() {
    guard !isClosed else { return }
    loop.preconditionCurrent()
    isReset = true
    finish(.aborted)
  }

  /// Everything has left: sends the FIN and drains what the peer still sends.
  private func shutDown() {
    guard !readEnded else {
      finish(nil)
      return
    }
    let request = UnsafeMutablePointer<uv_shutdown_t>.allocate(capacity: 1)
    let result = uv_shutdown(request, handle.pointer) { request, _ in request!.deallocate() }
    if result != 0 {
      request.deallocate()
      finish(nil)
      return
    }
    closeTimer?.cancel()
    closeTimer = loop.schedule(after: Self.lingerTime) { [unowned self] in self.finish(nil) }
  }

  override func loopStopping() { finish(.loopStopped) }

  private func finish(_ error: ChannelError?) {
    guard !isClosed else { return }
    isClosed = true
    isReading = false
    closeTimer?.cancel()
    closeTimer = nil
    queue.removeAll()
    pendingWriteBytes = 0
    admission?.leave()
    admission = nil
    noteFreedMemory(Self.memoryBytes)
    if isReset && kind == .tcp {
      // What is left unsent is thrown away, and the other side told so, instead of an orderly end.
      handle.close { uv_tcp_close_reset(tcp, $0) }
    } else {
      handle.close()
    }
    // Later in the turn, so that a handler is never told while it is calling us.
    loop.execute {
      let last = self.handler
      self.handler = nil
      last?.channelClosed(error)
    }
  }
}
