import CUV
import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A socket that another process opened, bound and handed over, such as systemd.
///
/// Unsafe: asks the system for an address.
public struct InheritedSocket: Sendable, Hashable {
  public let descriptor: Int32
  public let address: SocketAddress

  /// - Returns: `nil` when the descriptor is no socket of a kind that listeners serve.
  public init?(descriptor: Int32) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let found = withUnsafeMutablePointer(to: &storage) { pointer -> SocketAddress? in
      let raw = UnsafeMutableRawPointer(pointer)
      let address = raw.assumingMemoryBound(to: sockaddr.self)
      guard getsockname(descriptor, address, &length) == 0 else { return nil }
      guard Int32(address.pointee.sa_family) == AF_UNIX else { return SocketAddress(address) }
      let name = raw.assumingMemoryBound(to: sockaddr_un.self)
      return withUnsafeBytes(of: &name.pointee.sun_path) { bytes in
        .unix(path: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
      }
    }
    guard let found else { return nil }
    self.descriptor = descriptor
    address = found
  }

  /// Whether it is bound to what an endpoint names: the same address, or all addresses for both.
  public func serves(_ endpoint: Listener.Endpoint) -> Bool {
    switch endpoint {
    case .unix(let path): return address == .unix(path: path)
    case .tcp(let host, let port):
      guard let own = address.host, address.port == port else { return false }
      guard let wanted = try? SocketAddress.forListening(host: host, port: port) else {
        return false
      }
      let wildcards = ["0.0.0.0", "::"]
      return wanted == address || (wildcards.contains(own) && wildcards.contains(wanted.host ?? ""))
    }
  }

  /// Gives it back to nobody.
  public func close() { Descriptor.close(descriptor) }
}
