import Bytes
import Calls
import EventLoops
import Synchronization

/// Series about requests, with Go etcd's names.
final class RequestMetrics: Sendable {
  let learnersPromoted: Counter
  let hash: Histogram
  let hashAtRevision: Histogram
  let heartbeatFailures: Counter
  let applyingSnapshot: Gauge
  let compactedKeys: Counter
  let compactionLast: Gauge
  let compactionTotal: Histogram
  let compactionPause: Histogram
  let indexCompactionPause: Histogram
  private let registry: MetricsRegistry
  private let clients: Mutex<[Bytes: (unary: Counter, stream: Counter)]>
  private let unknown: (unary: Counter, stream: Counter)

  /// Versions of clients that are told apart; what a client says may be anything.
  private static let versionsMax = 32
  private static let versionName: Bytes = "client-api-version"

  init(_ registry: MetricsRegistry) {
    self.registry = registry
    clients = Mutex([:])
    unknown = Self.counters(registry, "unknown")
    let hashBounds = Histogram.exponential(start: 0.01, factor: 2, count: 15)
    learnersPromoted = registry.counter(
      "etcd_server_learner_promote_successes",
      "The total number of successful learner promotions while this member is leader.")
    hash = registry.histogram(
      "etcd_mvcc_hash_duration_seconds", "The latency distribution of storage hash operation.",
      bounds: hashBounds)
    hashAtRevision = registry.histogram(
      "etcd_mvcc_hash_rev_duration_seconds",
      "The latency distribution of storage hash by revision operation.", bounds: hashBounds)
    heartbeatFailures = registry.counter(
      "etcd_server_heartbeat_send_failures_total",
      "The total number of leader heartbeat send failures (likely overloaded from slow disk).")
    applyingSnapshot = registry.gauge(
      "etcd_server_snapshot_apply_in_progress_total",
      "1 if the server is applying the incoming snapshot. 0 if none.")
    compactedKeys = registry.counter(
      "etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.")
    compactionLast = registry.gauge(
      "etcd_debugging_mvcc_db_compaction_last",
      "The unix time of the last db compaction. Resets to 0 on start.")
    compactionTotal = registry.histogram(
      "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
      "Bucketed histogram of db compaction total duration.",
      bounds: Histogram.exponential(start: 100, factor: 2, count: 14))
    compactionPause = registry.histogram(
      "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
      "Bucketed histogram of db compaction pause duration.",
      bounds: Histogram.exponential(start: 1, factor: 2, count: 13))
    indexCompactionPause = registry.histogram(
      "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
      "Bucketed histogram of index compaction pause duration.",
      bounds: Histogram.exponential(start: 0.5, factor: 2, count: 14))
  }

  private static func counters(
    _ registry: MetricsRegistry, _ version: String
  ) -> (unary: Counter, stream: Counter) {
    func counter(_ type: String) -> Counter {
      registry.counter(
        "etcd_server_client_requests_total",
        "The total number of client requests per client version.",
        ["type": type, "client_api_version": version])
    }
    return (counter("unary"), counter("stream"))
  }

  /// Counts a failed promotion of a learner.
  func promotionFailed(_ reason: String) {
    registry.counter(
      "etcd_server_learner_promote_failures",
      "The total number of failed learner promotions (likely learner not ready) while this member "
        + "is leader.", ["Reason": reason]
    ).add()
  }

  /// Counts a call by the version of its client.
  func count(_ metadata: Metadata, isUnary: Bool) {
    var counters = unknown
    if !metadata.isEmpty, let version = metadata.first(Self.versionName) {
      counters = self.counters(version)
    }
    (isUnary ? counters.unary : counters.stream).add()
  }

  private func counters(_ version: Bytes) -> (unary: Counter, stream: Counter) {
    clients.withLock { clients in
      if let known = clients[version] { return known }
      guard clients.count < Self.versionsMax, Self.isVersion(version) else { return unknown }
      let made = Self.counters(registry, version.string)
      clients[version.detached()] = made
      return made
    }
  }

  /// `3.5`, as Go's clients say it.
  private static func isVersion(_ text: Bytes) -> Bool {
    text.count <= 8 && text.contains(UInt8(ascii: "."))
      && text.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2e }
  }
}
