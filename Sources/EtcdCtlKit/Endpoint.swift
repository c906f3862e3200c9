import Runtime

/// An endpoint as users write it: `host:port`, `http://host:port`, `unix:///path`, `unix://path`.
///
/// - Source: etcd `client/v3/internal/endpoint`.
func dialTarget(_ endpoint: String) -> Connection.Endpoint? {
  if endpoint.hasPrefix("unix:") {
    var path = endpoint.dropFirst("unix:".count)
    if path.hasPrefix("//") { path = path.dropFirst(2) }
    return path.isEmpty ? nil : .unix(path: String(path))
  }
  var rest = endpoint[...]
  if rest.hasPrefix("http://") {
    rest = rest.dropFirst("http://".count)
    rest = rest.prefix { $0 != "/" }
  }
  guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...])
  else { return nil }
  var host = rest[..<colon]
  if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
  return .tcp(host: String(host), port: Int(port))
}
