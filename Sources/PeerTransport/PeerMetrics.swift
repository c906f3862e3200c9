import EtcdAPI
import EventLoops

/// Counters about one other member; made once, so that counting is one addition.
struct PeerMetrics: Sendable {
  let sentBytes: Counter
  let receivedBytes: Counter
  let sentFailures: Counter
  let receivedFailures: Counter
  let activePeers: Gauge
  let disconnectedPeers: Counter
  let roundTrip: Histogram

  /// What those are called who are not told apart.
  static let unknown = "unknown"

  /// - Parameter remote: `nil` for one of those who are no members: they come and go, and series stay.
  init(_ registry: MetricsRegistry, local: MemberID, remote: MemberID?) {
    let (id, own) = (remote?.hex ?? Self.unknown, local.hex)
    sentBytes = registry.counter(
      "etcd_network_peer_sent_bytes_total", "The total number of bytes sent to peers.", ["To": id])
    receivedBytes = registry.counter(
      "etcd_network_peer_received_bytes_total", "The total number of bytes received from peers.",
      ["From": id])
    sentFailures = registry.counter(
      "etcd_network_peer_sent_failures_total", "The total number of send failures from peers.",
      ["To": id])
    receivedFailures = registry.counter(
      "etcd_network_peer_received_failures_total",
      "The total number of receive failures from peers.", ["From": id])
    activePeers = registry.gauge(
      "etcd_network_active_peers", "The current number of active peer connections.",
      ["Local": own, "Remote": id])
    disconnectedPeers = registry.counter(
      "etcd_network_disconnected_peers_total", "The total number of disconnected peers.",
      ["Local": own, "Remote": id])
    roundTrip = registry.histogram(
      "etcd_network_peer_round_trip_time_seconds", "Round-Trip-Time histogram between peers",
      ["To": id], bounds: Histogram.exponential(start: 0.0001, factor: 2, count: 16))
  }
}

/// Counters about snapshots in one direction to or from one member.
struct SnapshotMetrics: Sendable {
  let success: Counter
  let failures: Counter
  let inFlight: Gauge
  let duration: Histogram

  static func sending(_ registry: MetricsRegistry, to id: MemberID) -> SnapshotMetrics {
    let labels: MetricsRegistry.Labels = ["To": id.hex]
    return SnapshotMetrics(
      success: registry.counter(
        "etcd_network_snapshot_send_success", "Total number of successful snapshot sends", labels),
      failures: registry.counter(
        "etcd_network_snapshot_send_failures", "Total number of snapshot send failures", labels),
      inFlight: registry.gauge(
        "etcd_network_snapshot_send_inflights_total", "Total number of inflight snapshot sends",
        labels),
      duration: registry.histogram(
        "etcd_network_snapshot_send_total_duration_seconds",
        "Total latency distributions of v3 snapshot sends", labels, bounds: bounds))
  }

  static func receiving(_ registry: MetricsRegistry, from sender: String) -> SnapshotMetrics {
    let labels: MetricsRegistry.Labels = ["From": sender]
    return SnapshotMetrics(
      success: registry.counter(
        "etcd_network_snapshot_receive_success", "Total number of successful snapshot receives",
        labels),
      failures: receiveFailures(registry, from: sender),
      inFlight: registry.gauge(
        "etcd_network_snapshot_receive_inflights_total",
        "Total number of inflight snapshot receives", labels),
      duration: registry.histogram(
        "etcd_network_snapshot_receive_total_duration_seconds",
        "Total latency distributions of v3 snapshot receives", labels, bounds: bounds))
  }

  /// The sender in counters, before it is known. - Source: etcd `rafthttp`.
  static let unknownSender = "UNKNOWN_SNAPSHOT_SENDER"

  static func receiveFailures(
    _ registry: MetricsRegistry, from sender: String = unknownSender
  ) -> Counter {
    registry.counter(
      "etcd_network_snapshot_receive_failures", "Total number of snapshot receive failures",
      ["From": sender])
  }

  private static var bounds: [Double] { Histogram.exponential(start: 0.1, factor: 2, count: 10) }
}
