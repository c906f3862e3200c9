import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The address of a socket.
public enum SocketAddress: Sendable, Hashable, CustomStringConvertible {
  /// A numeric IPv4 host and port.
  case ipv4(host: String, port: Int)
  /// A numeric IPv6 host (without brackets) and port.
  case ipv6(host: String, port: Int)
  /// A path; empty for an unnamed unix socket.
  case unix(path: String)

  /// Parses a numeric host; `nil` for a name.
  public init?(host: String, port: Int) {
    guard (0...65_535).contains(port) else { return nil }
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, host, &v4) == 1 {
      self = .ipv4(host: host, port: port)
    } else if inet_pton(AF_INET6, host, &v6) == 1 {
      self = .ipv6(host: host, port: port)
    } else {
      return nil
    }
  }

  /// The port; `nil` for a unix socket.
  public var port: Int? {
    switch self {
    case .ipv4(_, let port), .ipv6(_, let port): port
    case .unix: nil
    }
  }

  /// The numeric host; `nil` for a unix socket.
  public var host: String? {
    switch self {
    case .ipv4(let host, _), .ipv6(let host, _): host
    case .unix: nil
    }
  }

  /// `127.0.0.1:2379`, `[::1]:2379` or the path.
  public var description: String {
    switch self {
    case .ipv4(let host, let port): "\(host):\(port)"
    case .ipv6(let host, let port): "[\(host)]:\(port)"
    case .unix(let path): path
    }
  }

  /// Calls `body` with the system's form of an IP address.
  func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>) -> R) -> R? {
    var storage = sockaddr_storage()
    return withUnsafeMutablePointer(to: &storage) { pointer -> R? in
      let raw = UnsafeMutableRawPointer(pointer)
      let result: Int32
      switch self {
      case .ipv4(let host, let port):
        result = uv_ip4_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in.self))
      case .ipv6(let host, let port):
        result = uv_ip6_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in6.self))
      case .unix: return nil
      }
      guard result == 0 else { return nil }
      return body(UnsafePointer(raw.assumingMemoryBound(to: sockaddr.self)))
    }
  }

  /// Reads the system's form of an IP address.
  init?(_ address: UnsafePointer<sockaddr>) {
    var text = [CChar](repeating: 0, count: 64)
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
      let v4 = raw.assumingMemoryBound(to: sockaddr_in.self)
      guard uv_ip4_name(v4, &text, text.count) == 0 else { return nil }
      self = .ipv4(host: Self.text(text), port: Int(UInt16(bigEndian: v4.pointee.sin_port)))
    case AF_INET6:
      let v6 = raw.assumingMemoryBound(to: sockaddr_in6.self)
      guard uv_ip6_name(v6, &text, text.count) == 0 else { return nil }
      let host = Self.text(text)
      let port = Int(UInt16(bigEndian: v6.pointee.sin6_port))
      // A mapped IPv4 peer of a wildcard socket is shown as the IPv4 address it is.
      let isMapped = host.hasPrefix("::ffff:") && host.contains(".")
      self =
        isMapped
        ? .ipv4(host: String(host.dropFirst(7)), port: port)
        : .ipv6(host: host, port: port)
    default: return nil
    }
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Resolves `host` for listening. Blocks; used while starting.
  ///
  /// As Go: an empty host is the IPv6 wildcard that also takes IPv4, a name prefers IPv4.
  static func forListening(host: String, port: Int) throws(ChannelError) -> SocketAddress {
    if host.isEmpty { return .ipv6(host: "::", port: port) }
    if let numeric = SocketAddress(host: host, port: port) { return numeric }
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    #if canImport(Glibc)
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
      hints.ai_socktype = SOCK_STREAM
    #endif
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, String(port), &hints, &list)
    guard result == 0, let list else {
      throw .resolve(host: host, reason: String(cString: gai_strerror(result)))
    }
    defer { freeaddrinfo(list) }
    let found = all(list)
    guard
      let first = found.first(where: { if case .ipv4 = $0 { true } else { false } })
        ?? found.first
    else { throw .resolve(host: host, reason: "no suitable address") }
    return first
  }

  /// The IP addresses of a resolver's answer, in its order.
  static func all(_ list: UnsafeMutablePointer<addrinfo>) -> [SocketAddress] {
    var found: [SocketAddress] = []
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let entry = next {
      if let raw = entry.pointee.ai_addr, let address = SocketAddress(raw),
        !found.contains(address)
      {
        found.append(address)
      }
      next = entry.pointee.ai_next
    }
    return found
  }
}
