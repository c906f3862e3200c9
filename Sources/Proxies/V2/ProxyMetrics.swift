import EventLoops

/// The series of a v2 proxy, with etcd's names. Any thread.
///
/// - Source: etcd `proxy/httpproxy/metrics.go`.
struct ProxyMetrics: Sendable {
  enum Drop: String {
    case zeroEndpoints = "zero_endpoints"
    case failedSending = "failed_sending_request"
    case failedGetting = "failed_getting_response"
  }

  let registry = MetricsRegistry()

  init() { ProcessMetrics.register(in: registry) }

  /// Half a millisecond to two seconds.
  private static let bounds = (0..<13).map { 0.0005 * Double(1 << $0) }

  /// Methods come from outside and are words of any kind: others than these are counted together.
  private static let methods: Set<String> = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
  ]
  private func known(_ method: String) -> String {
    Self.methods.contains(method) ? method : "other"
  }

  func came(_ method: String) {
    registry.counter(
      "etcd_proxy_requests_total", "Counter requests incoming by method.",
      ["method": known(method)]
    ).add()
  }

  /// - Parameter seconds: from the request to the head of its answer.
  func handled(_ method: String, status: Int, seconds: Double) {
    registry.counter(
      "etcd_proxy_handled_total",
      "Counter of requests fully handled (by authoratitave servers)",
      ["method": known(method), "code": "\(status)"]
    ).add()
    registry.histogram(
      "etcd_proxy_handling_duration_seconds",
      "Bucketed histogram of handling time of successful events (non-watches), by method (GET/PUT"
        + " etc.).", ["method": known(method)], bounds: Self.bounds
    ).observe(seconds)
  }

  func dropped(_ method: String, _ reason: Drop) {
    registry.counter(
      "etcd_proxy_dropped_total", "Counter of requests dropped on the proxy.",
      ["method": known(method), "proxying_error": reason.rawValue]
    ).add()
  }
}
