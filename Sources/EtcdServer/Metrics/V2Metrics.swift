import EventLoops
import V2Store

/// Series about the v2 store, with Go etcd's names.
///
/// - Source: etcd `v2store/metrics.go`. Its server reads the store, too, to see whether users are checked, and counts that.
struct V2Metrics: Sendable {
  private static let changes: [V2Event.Action] = [
    .create, .set, .update, .delete, .compareAndSwap, .compareAndDelete,
  ]

  let watchRequests: Counter
  let watchers: Gauge
  private let reads: Counter
  private let recursiveReads: Counter
  private let writes: [V2Event.Action: Counter]
  private let expired: Counter

  init(_ registry: MetricsRegistry) {
    func reads(_ action: String) -> Counter {
      registry.counter(
        "etcd_debugging_store_reads_total",
        "Total number of reads action by (get/getRecursive), local to this member.",
        ["action": action])
    }
    self.reads = reads("get")
    recursiveReads = reads("getRecursive")
    let series = Self.changes.map { action in
      (
        action,
        registry.counter(
          "etcd_debugging_store_writes_total",
          "Total number of writes (e.g. set/compareAndDelete) seen by this member.",
          ["action": action.rawValue])
      )
    }
    writes = Dictionary(uniqueKeysWithValues: series)
    expired = registry.counter(
      "etcd_debugging_store_expires_total", "Total number of expired keys.")
    watchRequests = registry.counter(
      "etcd_debugging_store_watch_requests_total",
      "Total number of incoming watch requests (new or reestablished).")
    watchers = registry.gauge(
      "etcd_debugging_store_watchers", "Count of currently active watchers.")
  }

  /// Adds what happened in a turn of the core.
  func record(_ activity: V2Activity) {
    guard !activity.isEmpty else { return }
    reads.add(activity.reads)
    recursiveReads.add(activity.recursiveReads)
    for (action, count) in activity.writes { writes[action]?.add(count) }
    expired.add(activity.expired)
  }
}
