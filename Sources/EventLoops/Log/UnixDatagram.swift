import Bytes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Messages to a program of the system, such as systemd's journal or systemd itself. Any thread.
public final class UnixDatagram: Sendable {
  private let socket: Int32

  /// Connects. A path that begins with `@` is an abstract one, as systemd writes them.
  /// - Throws: `ChannelError.system` when nobody listens there.
  public init(path: String) throws(ChannelError) {
    #if canImport(Glibc)
      let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #else
      let kind = SOCK_DGRAM
    #endif
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    let isAbstract = bytes.first == UInt8(ascii: "@")
    if isAbstract { bytes[0] = 0 }
    let fits = bytes.count < MemoryLayout.size(ofValue: address.sun_path)
    if fits { withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) } }
    // The length says where an abstract name ends.
    let length =
      isAbstract
      ? MemoryLayout<sockaddr_un>.offset(of: \sockaddr_un.sun_path)! + bytes.count
      : MemoryLayout<sockaddr_un>.size
    #if canImport(Glibc)
      socket = Glibc.socket(AF_UNIX, kind, 0)
    #else
      socket = Darwin.socket(AF_UNIX, kind, 0)
    #endif
    let descriptor = socket
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        fits ? connect(descriptor, $0, socklen_t(length)) : -1
      }
    }
    guard socket >= 0, result == 0 else {
      let reason = UVError(fits ? errno : ENAMETOOLONG)
      // `deinit` runs and closes: a second close could hit another thread's new descriptor.
      throw .system(operation: "dial unixgram \(path)", reason)
    }
  }

  deinit { if socket >= 0 { close(socket) } }

  /// Sends one message.
  /// - Returns: whether it was taken.
  public func send(_ message: Bytes) -> Bool {
    message.withUnsafeBytes { memory in
      #if canImport(Glibc)
        Glibc.send(socket, memory.baseAddress, memory.count, 0) == memory.count
      #else
        Darwin.send(socket, memory.baseAddress, memory.count, 0) == memory.count
      #endif
    }
  }
}
