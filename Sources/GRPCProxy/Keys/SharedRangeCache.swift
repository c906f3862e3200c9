import Bytes
import EtcdAPI
import EventLoops
import Synchronization

/// The cache of all loops. Any thread.
final class SharedRangeCache: Sendable {
  private let cache = Mutex(RangeCache())
  private let metrics: ProxyMetrics
  /// Whether anything is kept or asked for, so that writes cost nothing where nobody reads that way.
  private let isUsed = Atomic(false)

  init(_ metrics: ProxyMetrics) { self.metrics = metrics }

  /// Whether writes have to be told.
  var hasReaders: Bool { isUsed.load(ordering: .acquiring) }

  enum Answer {
    case kept(Bytes)
    case compacted
    /// To be given to `add`.
    case unknown(RangeCache.Ticket)
  }

  func answer(_ key: RangeCache.Key, revision: Int64, now: UInt64) -> Answer {
    isUsed.store(true, ordering: .releasing)
    let answer = cache.withLock { cache -> Answer in
      if cache.isCompacted(revision) { return .compacted }
      return cache.answer(key, now: now).map { .kept($0) } ?? .unknown(cache.ticket)
    }
    if case .unknown = answer { metrics.cacheMisses.add(1) } else { metrics.cacheHits.add(1) }
    return answer
  }

  func add(
    _ key: RangeCache.Key, _ interval: RangeCache.Interval, revision: Int64, _ answer: Bytes,
    asked: RangeCache.Ticket, now: UInt64
  ) {
    change { $0.add(key, interval, revision: revision, answer, asked: asked, now: now) }
  }

  func invalidate(_ intervals: [RangeCache.Interval]) {
    guard hasReaders else { return }
    change { for interval in intervals { $0.invalidate(interval) } }
  }

  func compact(_ revision: Int64) { change { $0.compact(revision) } }

  private func change(_ body: (inout RangeCache) -> Void) {
    let count = cache.withLock { cache in
      body(&cache)
      return cache.count
    }
    metrics.cacheKeys.set(count)
  }
}
