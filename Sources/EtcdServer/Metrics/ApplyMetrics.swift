import EventLoops
import Member
import Platform

/// `etcd_server_apply_duration_seconds`: series come with the first request of their kind, as in Go etcd.
final class ApplyMetrics: ApplyObserver, @unchecked Sendable {
  // @unchecked: `histograms` belongs to whoever works at the core, who alone calls `applied`.

  private let registry: MetricsRegistry
  /// Two an operation: failed and succeeded.
  private var histograms: [Histogram?]

  private static let bounds = Histogram.exponential(start: 0.0001, factor: 2, count: 20)

  init(_ registry: MetricsRegistry) {
    self.registry = registry
    histograms = Array(repeating: nil, count: 2 * ApplyOperation.allCases.count)
  }

  var now: UInt64 { monotonicNanoseconds() }
  var timeOfDay: Int64 { WallClock.nanoseconds }

  func applied(_ operation: ApplyOperation, succeeded: Bool, nanoseconds: UInt64) {
    let place = 2 * operation.rawValue + (succeeded ? 1 : 0)
    (histograms[place] ?? make(operation, succeeded, place)).observe(Double(nanoseconds) / 1e9)
  }

  private func make(_ operation: ApplyOperation, _ succeeded: Bool, _ place: Int) -> Histogram {
    let made = registry.histogram(
      "etcd_server_apply_duration_seconds",
      "The latency distributions of v2 apply called by backend.",
      [
        "version": operation.version, "op": operation.name,
        "success": succeeded ? "true" : "false",
      ], bounds: Self.bounds)
    histograms[place] = made
    return made
  }
}
