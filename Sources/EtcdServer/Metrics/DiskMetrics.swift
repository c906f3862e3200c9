import EventLoops
import Platform
import Synchronization

/// Series about what the disk does, with Go etcd's names.
final class DiskMetrics: Sendable {
  let walFsync: Histogram
  let walWrite: Histogram
  let snapFsync: Histogram
  let snapSave: Histogram
  let databaseFsync: Histogram
  let databaseSave: Histogram
  let backendCommit: Histogram
  /// Of a commit: merging rows into pages, and handing pages to the disk.
  let commitSpill: Histogram
  let commitWrite: Histogram
  let defrag: Histogram
  let defragInFlight: Gauge
  let clientSnapshot: Histogram
  private let walBytes: Gauge
  /// Nanoseconds that writes and fsyncs of the backend took.
  private let backendNanoseconds = Atomic<UInt64>(0)

  init(_ registry: MetricsRegistry) {
    let bounds = Histogram.exponential(start: 0.001, factor: 2, count: 14)
    func histogram(_ name: String, _ help: String, _ own: [Double]? = nil) -> Histogram {
      registry.histogram(name, help, bounds: own ?? bounds)
    }
    walFsync = histogram(
      "etcd_disk_wal_fsync_duration_seconds",
      "The latency distributions of fsync called by WAL.")
    walWrite = histogram(
      "etcd_disk_wal_write_duration_seconds",
      "The latency distributions of write called by WAL.")
    walBytes = registry.gauge(
      "etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.")
    snapFsync = histogram(
      "etcd_snap_fsync_duration_seconds",
      "The latency distributions of fsync called by snap.")
    snapSave = histogram(
      "etcd_debugging_snap_save_total_duration_seconds",
      "The total latency distributions of save called by snapshot.")
    databaseFsync = histogram(
      "etcd_snap_db_fsync_duration_seconds",
      "The latency distributions of fsyncing .snap.db file")
    databaseSave = histogram(
      "etcd_snap_db_save_total_duration_seconds",
      "The total latency distributions of v3 snapshot save",
      Histogram.exponential(start: 0.1, factor: 2, count: 10))
    backendCommit = histogram(
      "etcd_disk_backend_commit_duration_seconds",
      "The latency distributions of commit called by backend.")
    commitSpill = histogram(
      "etcd_debugging_disk_backend_commit_spill_duration_seconds",
      "The latency distributions of commit.spill called by bboltdb backend.")
    commitWrite = histogram(
      "etcd_debugging_disk_backend_commit_write_duration_seconds",
      "The latency distributions of commit.write called by bboltdb backend.")
    defrag = histogram(
      "etcd_disk_backend_defrag_duration_seconds",
      "The latency distribution of backend defragmentation.",
      Histogram.exponential(start: 0.1, factor: 2, count: 13))
    defragInFlight = registry.gauge(
      "etcd_disk_defrag_inflight",
      "Whether or not defrag is active on the member. 1 means active, 0 means not.")
    clientSnapshot = histogram(
      "etcd_disk_backend_snapshot_duration_seconds",
      "The latency distribution of backend snapshots.",
      Histogram.exponential(start: 0.01, factor: 2, count: 17))
  }

  /// Runs a commit of the backend and tells how long its parts took. On the storage thread.
  func observeCommit<R, Failure: Error>(
    _ body: () throws(Failure) -> R
  ) throws(Failure) -> R {
    let before = backendNanoseconds.load(ordering: .relaxed)
    let start = monotonicNanoseconds()
    let result = try body()
    let took = monotonicNanoseconds() &- start
    // A copy that a defragmentation makes meanwhile writes to another file.
    let disk = min(backendNanoseconds.load(ordering: .relaxed) &- before, took)
    backendCommit.observe(Double(took) / 1e9)
    commitWrite.observe(Double(disk) / 1e9)
    commitSpill.observe(Double(took - disk) / 1e9)
    return result
  }
}

extension DiskMetrics: DiskObserver {
  func wrote(_ kind: MeasuredFile.Kind, bytes: Int, nanoseconds: UInt64) {
    switch kind {
    case .log:
      walWrite.observe(Double(nanoseconds) / 1e9)
      walBytes.add(Double(bytes))
    case .backend: backendNanoseconds.wrappingAdd(nanoseconds, ordering: .relaxed)
    case .snapshot: break
    }
  }

  func synced(_ kind: MeasuredFile.Kind, nanoseconds: UInt64) {
    switch kind {
    case .log: walFsync.observe(Double(nanoseconds) / 1e9)
    case .backend: backendNanoseconds.wrappingAdd(nanoseconds, ordering: .relaxed)
    case .snapshot: snapFsync.observe(Double(nanoseconds) / 1e9)
    }
  }
}
