import Bytes
import EtcdClient
import EventLoops

/// What the loops of a proxy have in common. Its streams to the cluster are on the connections of the first loop.
final class SharedParts: Sendable {
  let cache: SharedRangeCache
  /// `nil` where reads may go back.
  let order: RevisionOrder?
  private let watches: WatchExchange
  private let leases: LeaseExchange
  private let leader: LeaderWatch
  private let names: KeyNamespace
  /// `nil` where no keys are leased.
  let leasing: LeasingSession?

  /// - Parameter leasing: the keys that the proxy has for itself, if any.
  init(
    _ options: GRPCProxyOptions, _ upstream: Upstream, _ registry: MetricsRegistry,
    leasing: LeasingSession?
  ) {
    self.leasing = leasing
    let metrics = ProxyMetrics(registry)
    let cache = SharedRangeCache(metrics)
    self.cache = cache
    names = KeyNamespace(Bytes(options.namespace))
    order = options.isOrdered ? RevisionOrder() : nil
    watches = WatchExchange(upstream, metrics, names: names) { keys in
      cache.invalidate(keys.map { .init(key: $0, end: Bytes()) })
    }
    leases = LeaseExchange(upstream)
    leader = LeaderWatch(upstream)
  }

  /// What serves the calls of one loop.
  func services(
    _ upstream: Upstream, counters: MethodCounters, membership: ProxyMembership, partBytes: Int
  ) -> ProxyServices {
    let forwarder = Forwarder(upstream)
    return ProxyServices(
      forwarder: forwarder, counters: counters, membership: membership,
      keys: KVProxy(
        forwarder, cache, names: names, order: order,
        leasing: leasing.map { LeasingCalls(upstream, $0, names: names) }),
      watches: WatchProxy(upstream, watches, leader, names: names, partBytes: partBytes),
      leases: LeaseProxy(forwarder, leases, leader, names: names))
  }

  /// On the first loop.
  func close() {
    watches.close()
    leases.close()
    leader.close()
  }
}
