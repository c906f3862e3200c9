import EventLoops

/// Figures of a proxy.
///
/// - Source: etcd `grpcproxy/metrics.go`.
struct ProxyMetrics: Sendable {
  let coalescedWatchers: Gauge
  let coalescedEvents: Counter
  let cacheKeys: Gauge
  let cacheHits: Gauge
  let cacheMisses: Gauge

  init(_ registry: MetricsRegistry) {
    coalescedWatchers = registry.gauge(
      "etcd_grpc_proxy_watchers_coalescing_total", "Total number of current watchers coalescing")
    coalescedEvents = registry.counter(
      "etcd_grpc_proxy_events_coalescing_total", "Total number of events coalescing")
    cacheKeys = registry.gauge(
      "etcd_grpc_proxy_cache_keys_total", "Total number of keys/ranges cached")
    cacheHits = registry.gauge(
      "etcd_grpc_proxy_cache_hits_total", "Total number of cache hits")
    cacheMisses = registry.gauge(
      "etcd_grpc_proxy_cache_misses_total", "Total number of cache misses")
  }
}
