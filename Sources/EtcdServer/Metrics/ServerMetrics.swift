import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import MemberStorage
import Raft

/// The series of a member, with Go etcd's names, so that existing rules and boards work.
final class ServerMetrics: Sendable {
  let registry: MetricsRegistry
  let disk: DiskMetrics
  let healthSuccess: Counter
  let healthFailures: Counter
  let puts: Counter
  let ranges: Counter
  let deletes: Counter
  let txns: Counter
  let leases: LeaseMetrics
  let requests: RequestMetrics
  let watches: WatchMetrics
  let v2: V2Metrics
  let slowApplies: Counter

  init(_ registry: MetricsRegistry) {
    self.registry = registry
    disk = DiskMetrics(registry)
    healthSuccess = registry.counter(
      "etcd_server_health_success", "The total number of successful health checks")
    healthFailures = registry.counter(
      "etcd_server_health_failures", "The total number of failed health checks")
    puts = registry.counter("etcd_mvcc_put_total", "Total number of puts seen by this member.")
    ranges = registry.counter(
      "etcd_mvcc_range_total", "Total number of ranges seen by this member.")
    deletes = registry.counter(
      "etcd_mvcc_delete_total", "Total number of deletes seen by this member.")
    txns = registry.counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.")
    leases = LeaseMetrics(registry)
    requests = RequestMetrics(registry)
    watches = WatchMetrics(registry)
    v2 = V2Metrics(registry)
    ProcessMetrics.register(in: registry)
    slowApplies = registry.counter(
      "etcd_server_slow_apply_total",
      "The total number of slow apply requests (likely overloaded from slow disk).")
  }

  /// Registers the series that are read from the member when they are asked for.
  func register(host: MemberHost, config: ServerConfig) {
    registerRaft(host)
    registerStore(host)
    registry.gauge(
      "etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes."
    ).set(Double(config.quota ?? 0))
    registry.gauge(
      "etcd_server_version",
      "Which version is running. 1 for 'server_version' label with current "
        + "version.", ["server_version": ServerVersion.etcd]
    ).set(1)
    registry.gauge(
      "etcd_server_id",
      "Server or member ID in hexadecimal format. 1 for 'server_id' label with "
        + "current ID.", ["server_id": host.memberID.hex]
    ).set(1)
  }

  private func gauge(
    _ host: MemberHost, _ name: String, _ help: String,
    _ value: @escaping @Sendable (MemberHost) -> Double
  ) { registry.gauge(name, help) { [weak host] in host.map(value) } }

  private func counter(
    _ host: MemberHost, _ name: String, _ help: String,
    _ value: @escaping @Sendable (MemberHost) -> Double
  ) { registry.counter(name, help) { [weak host] in host.map(value) } }

  private func registerRaft(_ host: MemberHost) {
    gauge(
      host, "etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not."
    ) {
      $0.status.leader == .none ? 0 : 1
    }
    gauge(
      host, "etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise."
    ) { $0.status.role == .leader ? 1 : 0 }
    gauge(
      host, "etcd_server_is_learner",
      "Whether or not this member is a learner. 1 if is, 0 otherwise."
    ) { $0.status.isLearner ? 1 : 0 }
    counter(host, "etcd_server_leader_changes_seen_total", "The number of leader changes seen.") {
      Double($0.status.leaderChanges)
    }
    gauge(
      host, "etcd_server_proposals_committed_total",
      "The total number of consensus proposals committed."
    ) { Double($0.status.commitIndex.rawValue) }
    gauge(
      host, "etcd_server_proposals_applied_total",
      "The total number of consensus proposals applied."
    ) { Double($0.status.appliedIndex.rawValue) }
    gauge(
      host, "etcd_server_proposals_pending", "The current number of pending proposals to commit."
    ) {
      Double($0.status.proposalsPending)
    }
    counter(
      host, "etcd_server_proposals_failed_total", "The total number of failed proposals seen."
    ) {
      Double($0.status.proposalsFailed)
    }
    counter(
      host, "etcd_server_slow_read_indexes_total",
      "The total number of pending read indexes not in sync with leader's or timed out read index "
        + "requests."
    ) { Double($0.status.slowReads) }
    counter(
      host, "etcd_server_read_indexes_failed_total", "The total number of failed read indexes seen."
    ) { Double($0.status.failedReads) }
  }

  private func registerStore(_ host: MemberHost) {
    gauge(host, "etcd_debugging_mvcc_current_revision", "The current revision of store.") {
      Double($0.status.revision)
    }
    gauge(
      host, "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store."
    ) {
      Double($0.status.compactRevision)
    }
    gauge(host, "etcd_debugging_auth_revision", "The current revision of auth store.") {
      Double($0.status.authRevision)
    }
    gauge(host, "etcd_debugging_mvcc_keys_total", "Total number of keys.") {
      Double($0.status.keys)
    }
    gauge(
      host, "etcd_mvcc_db_total_size_in_bytes",
      "Total size of the underlying database physically allocated in bytes."
    ) { Double($0.backend.sizes.total) }
    gauge(
      host, "etcd_mvcc_db_total_size_in_use_in_bytes",
      "Total size of the underlying database logically in use in bytes."
    ) { Double($0.backend.sizes.inUse) }
    gauge(
      host, "etcd_mvcc_db_open_read_transactions",
      "The number of currently open read transactions"
    ) { Double($0.backend.openReaders) }
    counter(
      host, "etcd_debugging_mvcc_range_total", "Total number of ranges seen by this member."
    ) { [ranges] _ in Double(ranges.value) }
    gauge(
      host, "etcd_debugging_mvcc_total_put_size_in_bytes",
      "The total size of put kv pairs seen by this member."
    ) { Double($0.status.putBytes) }
  }
}
