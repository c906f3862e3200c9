import EventLoops
import Member

/// Series about leases, with Go etcd's names.
struct LeaseMetrics: Sendable {
  private let granted: Counter
  private let revoked: Counter
  private let renewed: Counter
  private let expired: Counter
  private let ttl: Histogram

  init(_ registry: MetricsRegistry) {
    granted = registry.counter(
      "etcd_debugging_lease_granted_total", "The total number of granted leases.")
    revoked = registry.counter(
      "etcd_debugging_lease_revoked_total", "The total number of revoked leases.")
    renewed = registry.counter(
      "etcd_debugging_lease_renewed_total", "The number of renewed leases seen by the leader.")
    expired = registry.counter(
      "etcd_debugging_server_lease_expired_total", "The total number of expired leases.")
    ttl = registry.histogram(
      "etcd_debugging_lease_ttl_total", "Bucketed histogram of lease TTLs.",
      bounds: Histogram.exponential(start: 1, factor: 2, count: 24))
  }

  /// Adds what happened in a turn of the core.
  func record(_ activity: LeaseActivity) {
    granted.add(activity.granted.count)
    for seconds in activity.granted { ttl.observe(Double(seconds)) }
    revoked.add(activity.revoked)
    renewed.add(activity.renewed)
    expired.add(activity.expired)
  }
}
