import Bytes
import Foundation

/// A blocking gRPC connection that throws the replies away: a reader that costs little and keeps
/// nothing, however large the reply. Its windows are as large as they may be, so that the server is
/// held back by the socket alone, and are given back when half is used.
final class RawConnection {
  let descriptor: Int32
  private let path: String
  private let authority: String
  private var nextStream: UInt32 = 1
  private var scanner = FrameScanner()

  var dataBytes: Int { scanner.dataBytes }

  private var tls: BlockingTLS?

  /// Bytes of data that are not given back to the server's windows.
  private var ungiven = 0

  /// Connects and sends the preface, SETTINGS and a window for the connection.
  /// - Parameters:
  ///   - hasLargeWindows: false leaves the windows at 64 KiB, for connections that never read.
  ///   - usesTLS: whoever answers is trusted.
  /// - Throws: `BenchError` when the server does not take the connection.
  init(
    port: Int, path: String, hasLargeWindows: Bool = true, usesTLS: Bool = false
  ) throws(BenchError) {
    self.path = path
    authority = "127.0.0.1:\(port)"
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    address.sin_port = UInt16(port).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
    }
    guard descriptor >= 0, result == 0 else {
      throw BenchError("connect to \(port): \(String(cString: strerror(errno)))")
    }
    var one: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    var timeout = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    if usesTLS { tls = try BlockingTLS(descriptor) }
    let most = Self.windowBytes
    var out = ByteWriter()
    out.append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    // SETTINGS_INITIAL_WINDOW_SIZE
    Self.frame(&out, type: 4, flags: 0, stream: 0) {
      guard hasLargeWindows else { return }
      $0.appendBigEndian(UInt16(4))
      $0.appendBigEndian(most)
    }
    if hasLargeWindows {
      Self.frame(&out, type: 8, flags: 0, stream: 0) { $0.appendBigEndian(most - 65_535) }
    }
    try write(out.finish())
  }

  private static let windowBytes = UInt32(Int32.max)

  deinit { close(descriptor) }

  /// Sends one request for each message, all in one write.
  func send(_ messages: [Bytes]) throws(BenchError) {
    var out = ByteWriter()
    for message in messages {
      let stream = nextStream
      nextStream += 2
      Self.frame(&out, type: 1, flags: 4, stream: stream) { self.head(&$0, isFirst: stream == 1) }
      Self.frame(&out, type: 0, flags: 1, stream: stream) {
        $0.append(0)
        $0.appendBigEndian(UInt32(message.count))
        $0.append(message)
      }
    }
    try write(out.finish())
  }

  /// Opens a stream that stays open, with its first message.
  /// - Returns: its number.
  func open(_ message: Bytes) throws(BenchError) -> UInt32 {
    let stream = nextStream
    nextStream += 2
    var out = ByteWriter()
    Self.frame(&out, type: 1, flags: 4, stream: stream) { self.head(&$0, isFirst: stream == 1) }
    try write(out.finish())
    try send([message], on: stream)
    return stream
  }

  /// Sends messages on an open stream, all in one write.
  func send(_ messages: [Bytes], on stream: UInt32) throws(BenchError) {
    var out = ByteWriter()
    for message in messages {
      Self.frame(&out, type: 0, flags: 0, stream: stream) {
        $0.append(0)
        $0.appendBigEndian(UInt32(message.count))
        $0.append(message)
      }
    }
    try write(out.finish())
  }

  /// What gets the data of streams, which is kept by nobody otherwise.
  func onData(_ body: @escaping (_ stream: UInt32, UnsafeRawBufferPointer) -> Void) {
    scanner.onData = body
  }

  /// Reads once, waiting when there is nothing.
  /// - Throws: `BenchError` when the server closed or said that it fails.
  func readOnce(into buffer: UnsafeMutableRawBufferPointer) throws(BenchError) {
    let size = tls?.read(into: buffer) ?? recv(descriptor, buffer.baseAddress, buffer.count, 0)
    guard size > 0 else {
      let why = size == 0 ? "closed" : String(cString: strerror(errno))
      throw BenchError("read after \(scanner.dataBytes) bytes of \(path): \(why)")
    }
    let before = scanner.dataBytes
    scanner.feed(UnsafeRawBufferPointer(rebasing: buffer[0..<size]))
    if let failure = scanner.failure { throw BenchError(failure) }
    ungiven += scanner.dataBytes - before
    try acknowledge()
  }

  /// Reads until `count` streams in all have ended, or until `deadline`.
  /// - Parameter bytesPerSecond: reads no faster than that.
  func receive(
    until count: Int, bytesPerSecond: Double? = nil, deadline: Double = .infinity
  ) throws(BenchError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    let (begin, before) = (now(), scanner.dataBytes)
    while scanner.endedStreams < count, now() < deadline {
      try readOnce(into: buffer)
      if let bytesPerSecond {
        let ahead = Double(scanner.dataBytes - before) / bytesPerSecond - (now() - begin)
        if ahead > 0 { usleep(UInt32(ahead * 1e6)) }
      }
    }
  }

  private func acknowledge() throws(BenchError) {
    guard scanner.settingsToAcknowledge > 0 || !scanner.pingsToAcknowledge.isEmpty else { return }
    var out = ByteWriter()
    for _ in 0..<scanner.settingsToAcknowledge {
      Self.frame(&out, type: 4, flags: 1, stream: 0) { _ in }
    }
    for ping in scanner.pingsToAcknowledge {
      Self.frame(&out, type: 6, flags: 1, stream: 0) { $0.append(Bytes(ping)) }
    }
    scanner.acknowledged()
    try write(out.finish())
  }

  /// Gives a stream's and the connection's windows back what was read, once half of them is used.
  func giveBack(to stream: UInt32) throws(BenchError) {
    guard ungiven > Int(Self.windowBytes / 2) else { return }
    var out = ByteWriter()
    for number in [0, stream] {
      Self.frame(&out, type: 8, flags: 0, stream: number) {
        $0.appendBigEndian(UInt32(truncatingIfNeeded: ungiven))
      }
    }
    ungiven = 0
    try write(out.finish())
  }

  /// The head of a request in HPACK (RFC 7541). The first one of a connection enters the fields
  /// into the dynamic table, the others refer to them, as clients do.
  private func head(_ out: inout ByteWriter, isFirst: Bool) {
    out.append(0x83)  // :method: POST
    out.append(0x86)  // :scheme: http
    guard isFirst else {
      // The newest has the lowest number, and pseudo header fields come first.
      for index in (UInt8(62)...65).reversed() { out.append(0x80 | index) }
      return
    }
    func field(_ name: UInt8, _ value: String) {
      out.append(0x40 | name)
      out.append(UInt8(value.utf8.count))
      out.append(value)
    }
    field(4, path)
    field(1, authority)
    field(31, "application/grpc")
    out.append(0x40)
    for text in ["te", "trailers"] {
      out.append(UInt8(text.utf8.count))
      out.append(text)
    }
  }

  private static func frame(
    _ out: inout ByteWriter, type: UInt8, flags: UInt8, stream: UInt32,
    _ body: (inout ByteWriter) -> Void
  ) {
    var payload = ByteWriter()
    body(&payload)
    let bytes = payload.finish()
    out.append(UInt8(truncatingIfNeeded: bytes.count >> 16))
    out.appendBigEndian(UInt16(truncatingIfNeeded: bytes.count))
    out.append(type)
    out.append(flags)
    out.appendBigEndian(stream)
    out.append(bytes)
  }

  /// One frame after the other: a thread that reads acknowledges while another one sends.
  private let writing = NSLock()

  private func write(_ bytes: Bytes) throws(BenchError) {
    writing.lock()
    defer { writing.unlock() }
    let isWritten = bytes.withUnsafeBytes { memory in
      var sent = 0
      while sent < memory.count {
        let rest = UnsafeRawBufferPointer(rebasing: memory[sent...])
        let size =
          tls?.write(rest)
          ?? Foundation.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
        guard size > 0 else { return false }
        sent += size
      }
      return true
    }
    guard isWritten else { throw BenchError("write: \(String(cString: strerror(errno)))") }
  }
}

/// Runs a blocking body on a thread of its own.
func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
  try await withCheckedThrowingContinuation { done in
    Thread { done.resume(with: Result { try body() }) }.start()
  }
}

/// Runs several blocking bodies at once.
func onThreads<R: Sendable>(
  _ count: Int, _ body: @escaping @Sendable (Int) throws -> R
) async throws -> [R] {
  try await withThrowingTaskGroup(of: R.self) { group in
    for index in 0..<count { group.addTask { try await onThread { try body(index) } } }
    var results: [R] = []
    for try await result in group { results.append(result) }
    return results
  }
}
