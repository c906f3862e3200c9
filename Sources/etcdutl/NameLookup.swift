#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Addresses of host names. Unsafe: the resolver's interface takes and gives pointers; nothing escapes.
enum NameLookup {
  /// The numeric `host:port` of a named one, IPv4 preferred as in Go; `nil` when it has none.
  static func numeric(hostPort: String) -> String? {
    guard let colon = hostPort.lastIndex(of: ":") else { return nil }
    let host = String(hostPort[..<colon])
    let port = String(hostPort[hostPort.index(after: colon)...])
    var hints = addrinfo()
    #if canImport(Glibc)
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
      hints.ai_socktype = SOCK_STREAM
    #endif
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, port, &hints, &list) == 0, let list else { return nil }
    defer { freeaddrinfo(list) }
    var found: (v4: String?, v6: String?) = (nil, nil)
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let entry = next {
      var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
      let status = getnameinfo(
        entry.pointee.ai_addr, entry.pointee.ai_addrlen, &name, socklen_t(name.count), &service,
        socklen_t(service.count), NI_NUMERICHOST | NI_NUMERICSERV)
      if status == 0 {
        if entry.pointee.ai_family == AF_INET {
          found.v4 = found.v4 ?? "\(text(name)):\(text(service))"
        } else {
          found.v6 = found.v6 ?? "[\(text(name))]:\(text(service))"
        }
      }
      next = entry.pointee.ai_next
    }
    return found.v4 ?? found.v6
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
