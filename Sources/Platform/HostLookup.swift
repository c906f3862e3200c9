#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Names of hosts. Unsafe: the C resolver's lists. Blocks: asked only while a member starts.
public enum HostLookup {
  /// The numeric form of `host:port`, of several addresses the first of IPv4, as Go's resolver prefers it; `nil`
  /// when the name has none.
  public static func numeric(_ hostPort: String) -> String? {
    guard let colon = hostPort.lastIndex(of: ":") else { return nil }
    var host = String(hostPort[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    let all = addresses(of: host)
    guard let numeric = all.first(where: { !$0.contains(":") }) ?? all.first else { return nil }
    let port = hostPort[hostPort.index(after: colon)...]
    return numeric.contains(":") ? "[\(numeric)]:\(port)" : "\(numeric):\(port)"
  }

  /// The numeric addresses of a name, or of an address itself; none when it has none.
  public static func addresses(of host: String) -> [String] {
    guard !host.isEmpty else { return [] }
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    #if canImport(Glibc)
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
      hints.ai_socktype = SOCK_STREAM
    #endif
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0, let list else { return [] }
    defer { freeaddrinfo(list) }
    var found: [String] = []
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let entry = next?.pointee {
      if let numeric = text(entry), !found.contains(numeric) { found.append(numeric) }
      next = entry.ai_next
    }
    return found
  }

  private static func text(_ entry: addrinfo) -> String? {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = getnameinfo(
      entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    guard result == 0 else { return nil }
    return String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
