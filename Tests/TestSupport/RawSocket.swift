import Glibc

/// A socket that blocks, with deadlines, for what tests have to see exactly: ends, broken connections, what fits.
public final class RawSocket: @unchecked Sendable {
  // @unchecked: used by one thread for each direction.
  public let descriptor: Int32

  public init(_ descriptor: Int32) {
    self.descriptor = descriptor
    precondition(descriptor >= 0, "no socket: \(String(cString: strerror(errno)))")
    var time = timeval(tv_sec: 20, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  deinit { Glibc.close(descriptor) }

  private static func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return address
  }

  private static func with<R>(
    _ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> R
  ) -> R {
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// Listens on 127.0.0.1, on a port of the system's choice unless one is given.
  public static func listening(_ port: Int = 0) -> RawSocket {
    let raw = RawSocket(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var on: Int32 = 1
    setsockopt(raw.descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    var address = loopback(port)
    let result = with(&address) { bind(raw.descriptor, $0, $1) }
    precondition(result == 0 && listen(raw.descriptor, 512) == 0, "cannot listen")
    return raw
  }

  public static func connected(to port: Int) -> RawSocket {
    let raw = RawSocket(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = loopback(port)
    let result = with(&address) { connect(raw.descriptor, $0, $1) }
    precondition(result == 0, "cannot connect: \(String(cString: strerror(errno)))")
    return raw
  }

  public var port: Int {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = Self.with(&address) { pointer, _ in getsockname(descriptor, pointer, &length) }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  /// The next connection; `nil` when none comes in time.
  public func acceptedInTime() -> RawSocket? {
    let descriptor = accept(descriptor, nil, nil)
    return descriptor < 0 ? nil : RawSocket(descriptor)
  }

  public func accepted() -> RawSocket { RawSocket(accept(descriptor, nil, nil)) }

  @discardableResult
  public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// All of it; `false` when the other side takes no more.
  public func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// As much as is taken without waiting.
  public func sendWhatFits(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes {
      Glibc.send(
        descriptor, $0.baseAddress, $0.count,
        Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
  }

  public enum Received: Equatable {
    case bytes([UInt8])
    case end
    case broken
    case silence

    public var text: String? {
      if case .bytes(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
    }
  }

  public func receive(_ limit: Int = 65_536) -> Received {
    var buffer = [UInt8](repeating: 0, count: limit)
    let count = recv(descriptor, &buffer, limit, 0)
    if count > 0 { return .bytes(Array(buffer.prefix(count))) }
    if count == 0 { return .end }
    return errno == ECONNRESET ? .broken : .silence
  }

  /// Until the end.
  public func receiveAll() -> (bytes: [UInt8], how: Received) {
    var all: [UInt8] = []
    while true {
      let received = receive(1 << 18)
      guard case .bytes(let bytes) = received else { return (all, received) }
      all += bytes
    }
  }

  /// Says that nothing more comes.
  public func endOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Has the end be a broken connection.
  public func breakAtEnd() {
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
  }

  /// Descriptors that this process has open.
  public static var openCount: Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
  }
}
