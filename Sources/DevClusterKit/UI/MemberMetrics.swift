import Bytes

/// What the status page wants of a member's page of metrics. Pure.
///
/// - Source: etcd `etcdserver/metrics.go`, `wal/metrics.go`, `rafthttp/metrics.go`, `mvcc/metrics.go`; Prometheus'
///   collector for processes; the text format of exposition 0.0.4.
struct MemberMetrics: Sendable, Equatable {
  /// Counts of observations by upper bound, as they are written: each has those before it as well.
  typealias Histogram = [Double: Double]

  /// Puts since the start.
  var puts = 0.0
  /// Seconds of puts, where the member tells them (`--metrics=extensive`), and of syncs of the log.
  var putSeconds: Histogram = [:]
  var syncSeconds: Histogram = [:]
  var memoryBytes = 0.0
  var openFiles = 0.0
  var cpuSeconds = 0.0
  /// Seconds since 1970.
  var startTime = 0.0
  /// Bytes sent since the start, by the ID of who gets them.
  var sentBytes: [String: Double] = [:]

  /// A page has well over a thousand lines; these are wanted.
  private static let prefixes = [
    "etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total", "etcd_network_peer_sent_bytes_total",
    "etcd_disk_wal_fsync_duration_seconds_bucket", "grpc_server_handling_seconds_bucket",
    "process_",
  ].map { Array($0.utf8) }

  init() {}

  init(_ page: Bytes) {
    for line in page.split(separator: 0x0a) where Self.prefixes.contains(where: line.starts) {
      read(line.string)
    }
  }

  private mutating func read(_ line: String) {
    guard let blank = line.lastIndex(of: " "),
      let value = Double(line[line.index(after: blank)...])
    else { return }
    let name = line[..<blank]
    switch name {
    case "etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total": puts = value
    case "process_resident_memory_bytes": memoryBytes = value
    case "process_open_fds": openFiles = value
    case "process_cpu_seconds_total": cpuSeconds = value
    case "process_start_time_seconds": startTime = value
    default: readLabelled(name, value)
    }
  }

  private mutating func readLabelled(_ name: Substring, _ value: Double) {
    if name.hasPrefix("etcd_disk_wal_fsync_duration_seconds_bucket") {
      Self.label("le", name).flatMap(Self.bound).map { syncSeconds[$0] = value }
    } else if name.hasPrefix("grpc_server_handling_seconds_bucket"),
      Self.label("grpc_method", name) == "Put"
    {
      Self.label("le", name).flatMap(Self.bound).map { putSeconds[$0] = value }
    } else if name.hasPrefix("etcd_network_peer_sent_bytes_total") {
      Self.label("To", name).map { sentBytes[String($0)] = value }
    }
  }

  private static func label(_ name: String, _ text: Substring) -> Substring? {
    guard let range = text.firstRange(of: name + "=\"") else { return nil }
    return text[range.upperBound...].prefix { $0 != "\"" }
  }

  private static func bound(_ text: Substring) -> Double? {
    text == "+Inf" ? .infinity : Double(text)
  }

  /// The value below which a share of what was observed between two pages lies, between bounds by a straight
  /// line; `nil` when there was nothing.
  /// - Source: Prometheus `histogram_quantile`.
  static func quantile(_ share: Double, _ before: Histogram, _ now: Histogram) -> Double? {
    let counts = now.map { (bound: $0.key, count: $0.value - (before[$0.key] ?? 0)) }
      .sorted { $0.bound < $1.bound }
    guard let all = counts.last?.count, all > 0 else { return nil }
    let rank = share * all
    var lower = (bound: 0.0, count: 0.0)
    for bucket in counts {
      if bucket.count >= rank {
        guard bucket.bound.isFinite else { return lower.bound }
        guard bucket.count > lower.count else { return bucket.bound }
        let part = (rank - lower.count) / (bucket.count - lower.count)
        return lower.bound + (bucket.bound - lower.bound) * part
      }
      lower = bucket
    }
    return lower.bound
  }
}
