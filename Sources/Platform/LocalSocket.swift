#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Stream sockets of this machine, blocking. Unsafe: addresses of C.
public enum LocalSocket {
  /// What came of an attempt to connect.
  public enum Attempt: Equatable {
    case connected(descriptor: Int32)
    /// The file is there, and nobody listens.
    case refused
    case failed
  }

  /// Connects to the socket file at a path.
  public static func connect(to path: String) -> Attempt {
    let descriptor = stream(AF_UNIX)
    guard descriptor >= 0 else { return .failed }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      Descriptor.close(descriptor)
      return .failed
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #if canImport(Glibc)
          Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        #else
          Darwin.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        #endif
      }
    }
    if result == 0 { return .connected(descriptor: descriptor) }
    let isRefused = errno == ECONNREFUSED
    Descriptor.close(descriptor)
    return isRefused ? .refused : .failed
  }

  /// Whether something listens on, or otherwise holds, a port of 127.0.0.1; what is no port cannot be had.
  public static func isPortTaken(_ port: Int) -> Bool {
    guard let number = UInt16(exactly: port) else { return true }
    let descriptor = stream(AF_INET)
    guard descriptor >= 0 else { return false }
    defer { Descriptor.close(descriptor) }
    // As a server does: an old connection in TIME_WAIT is no obstacle.
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = number.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) != 0
      }
    }
  }

  private static func stream(_ family: Int32) -> Int32 {
    #if canImport(Glibc)
      socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    #else
      socket(family, SOCK_STREAM, 0)
    #endif
  }
}
