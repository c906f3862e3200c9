import EventLoops

/// Series about watchers, with Go etcd's names.
struct WatchMetrics: Sendable {
  let streams: Gauge
  let watchers: Gauge
  /// Watchers that are behind.
  let slow: Gauge
  /// Events sent, to however many watchers each.
  let events: Counter

  init(_ registry: MetricsRegistry) {
    streams = registry.gauge(
      "etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.")
    watchers = registry.gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.")
    slow = registry.gauge(
      "etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.")
    events = registry.counter(
      "etcd_debugging_mvcc_events_total", "Total number of events sent by this member.")
    // No event waits for a watcher here: who is slow reads it again.
    _ = registry.gauge(
      "etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent.")
  }
}
