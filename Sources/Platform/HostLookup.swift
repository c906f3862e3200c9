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
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0, let list else { return nil }
    defer { freeaddrinfo(list) }
    let entries = sequence(first: list) { $0.pointee.ai_next }
    let chosen = entries.first { $0.pointee.ai_family == AF_INET } ?? list
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = getnameinfo(
      chosen.pointee.ai_addr, chosen.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0,
      NI_NUMERICHOST)
    guard result == 0 else { return nil }
    let numeric = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let port = hostPort[hostPort.index(after: colon)...]
    return numeric.contains(":") ? "[\(numeric)]:\(port)" : "\(numeric):\(port)"
  }
}
