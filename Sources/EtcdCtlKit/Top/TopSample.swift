/// What a member said of itself at one time.
struct TopSample: Sendable {
  let endpoint: String
  /// Seconds on a clock that does not jump.
  let time: Double
  /// `nil` when it did not answer, for a reason.
  let metrics: MetricsText?
  var problem = ""

  /// Series that are looked at; a page has thousands of others.
  static func isWanted(_ name: Substring) -> Bool {
    names.contains(String(name))
  }

  private static let names: Set<String> = [
    "grpc_server_handled_total", "etcd_mvcc_put_total", "etcd_mvcc_range_total",
    "etcd_mvcc_txn_total", "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_server_apply_duration_seconds_bucket", "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_mvcc_slow_watcher_total", "etcd_server_proposals_pending",
    "etcd_server_proposals_applied_total", "etcd_server_proposals_committed_total",
    "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_server_is_leader", "etcd_server_is_learner", "etcd_server_has_leader",
    "process_cpu_seconds_total", "process_resident_memory_bytes",
  ]
}

/// A member between two looks at it; `nil` is what could not be told.
struct TopRow: Sendable, Equatable {
  let endpoint: String
  var role = "silent"
  /// Of each second.
  var requests: Double?
  var puts: Double?
  var ranges: Double?
  var transactions: Double?
  /// Seconds: what 99 % of these took at most.
  var apply: Double?
  var fsync: Double?
  var watchers: Double?
  var slowWatchers: Double?
  var pending: Double?
  /// Entries behind what any member has committed.
  var lag: Double?
  /// Bytes.
  var size: Double?
  var sizeInUse: Double?
  var memory: Double?
  /// Processors in use.
  var processors: Double?
  var problem = ""

  /// - Parameters:
  ///   - before: an earlier look; rates are unknown without, and after a restart.
  ///   - newest: the highest commit index of all members.
  init(_ now: TopSample, before: TopSample?, newest: Double) {
    endpoint = now.endpoint
    problem = now.problem
    guard let metrics = now.metrics else { return }
    role = Self.role(metrics)
    func gauge(_ name: String) -> Double? { metrics.value(name) }
    func rate(_ name: String) -> Double? {
      guard let old = before?.metrics?.value(name), let new = metrics.value(name),
        let start = before?.time, now.time > start, new >= old
      else { return nil }
      return (new - old) / (now.time - start)  // checked: floating, and above zero
    }
    func slowest(_ name: String) -> Double? {
      let earlier = before?.metrics?.distribution(name)
      return metrics.distribution(name)?.since(earlier).quantile(0.99)
    }
    requests = rate("grpc_server_handled_total")
    puts = rate("etcd_mvcc_put_total")
    ranges = rate("etcd_mvcc_range_total")
    transactions = rate("etcd_mvcc_txn_total")
    apply = slowest("etcd_server_apply_duration_seconds")
    fsync = slowest("etcd_disk_wal_fsync_duration_seconds")
    watchers = gauge("etcd_debugging_mvcc_watcher_total")
    slowWatchers = gauge("etcd_debugging_mvcc_slow_watcher_total")
    pending = gauge("etcd_server_proposals_pending")
    lag = gauge("etcd_server_proposals_applied_total").map { Swift.max(0, newest - $0) }
    size = gauge("etcd_mvcc_db_total_size_in_bytes")
    sizeInUse = gauge("etcd_mvcc_db_total_size_in_use_in_bytes")
    memory = gauge("process_resident_memory_bytes")
    processors = rate("process_cpu_seconds_total")
  }

  private static func role(_ metrics: MetricsText) -> String {
    if metrics.value("etcd_server_is_leader") == 1 { return "leader" }
    if metrics.value("etcd_server_has_leader") == 0 { return "no leader" }
    return metrics.value("etcd_server_is_learner") == 1 ? "learner" : "follower"
  }

  /// All members, in the order of the later look.
  static func rows(_ now: [TopSample], before: [TopSample]) -> [TopRow] {
    let committed = now.compactMap {
      $0.metrics?.value("etcd_server_proposals_committed_total")
    }
    return now.map { sample in
      TopRow(
        sample, before: before.first { $0.endpoint == sample.endpoint },
        newest: committed.max() ?? 0)
    }
  }
}
