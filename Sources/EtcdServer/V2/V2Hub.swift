import Bytes
import EventLoops
import Member
import Platform
import Synchronization
import V2Store

/// Those who watch the v2 store. Matching happens on one loop, off the core's; what is told is encoded once.
///
/// What is confined to `loop` is touched there alone; every method may be called from any loop.
final class V2Hub: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted.

  /// What a watcher is told, on its own loop.
  enum News: Sendable {
    /// It waits, or is told at once; the store's index then.
    case began(index: UInt64)
    case refused(V2Error)
    case event(Bytes)
    /// What it waits for may have been missed.
    case ended
  }

  let loop: EventLoop
  /// Nanoseconds since 1970.
  private let clock: @Sendable () -> Int64
  let stats: V2ServerStats
  /// Whether users of the v2 API were switched on, by a member that serves `/v2/auth`. Any thread.
  let hasAuth = Atomic(false)
  private let metrics: V2Metrics
  private var watchers = V2Watchers()
  private var handlers: [UInt64: (loop: EventLoop, tell: @Sendable (News) -> Void)] = [:]
  private var lastID: UInt64 = 0

  init(
    loop: EventLoop, metrics: V2Metrics,
    clock: @escaping @Sendable () -> Int64 = { WallClock.nanoseconds }
  ) {
    self.loop = loop
    self.metrics = metrics
    self.clock = clock
    stats = V2ServerStats(now: clock())
  }

  /// Takes what a turn of the core gave. On `loop`.
  func take(_ news: V2News) {
    loop.preconditionCurrent()
    if let replacement = news.replacement {
      hasAuth.store(replacement.hasAuth, ordering: .relaxed)
      for id in watchers.reset(to: replacement.index, replacement.history) { end(id) }
    }
    for event in news.events {
      if event.node.key == V2News.authPath {
        hasAuth.store(event.node.value == "true", ordering: .relaxed)
      }
      let told = watchers.take(event)
      guard !told.isEmpty else { continue }
      let line = V2JSON.line(event, now: clock())
      for id in told {
        tell(id, .event(line))
        if !watchers.isWatching(id) { handlers[id] = nil }
      }
    }
    metrics.watchers.set(watchers.count)
  }

  /// Begins to watch.
  /// - Parameters:
  ///   - from: the loop on which `tell` is called.
  ///   - began: called on that loop first, with what ends the watch.
  func watch(
    _ interest: V2Watchers.Interest, from: EventLoop,
    _ tell: @escaping @Sendable (News) -> Void
  ) -> Token {
    let token = Token(self)
    loop.execute { [self] in
      lastID += 1
      let id = lastID
      metrics.watchRequests.add()
      do throws(V2Error) {
        let answer = try watchers.watch(id, interest)
        let index = watchers.index
        from.execute { tell(.began(index: index)) }
        switch answer {
        case .event(let event):
          let line = V2JSON.line(event, now: clock())
          from.execute { tell(.event(line)) }
        case .waits:
          handlers[id] = (from, tell)
          token.id = id
          metrics.watchers.set(watchers.count)
          if token.isCancelled { remove(id) }
        }
      } catch {
        from.execute { tell(.refused(error)) }
      }
    }
    return token
  }

  /// A watch that may be ended, from any loop. Confined to the hub's loop.
  final class Token: @unchecked Sendable {
    // @unchecked: confined to the hub's loop.
    private unowned let hub: V2Hub
    fileprivate var id: UInt64?
    fileprivate var isCancelled = false

    fileprivate init(_ hub: V2Hub) { self.hub = hub }

    func cancel() {
      hub.loop.execute { [self] in
        isCancelled = true
        if let id { hub.remove(id) }
      }
    }
  }

  /// Calls `done` on `to` with the number of watchers.
  func count(on to: EventLoop, _ done: @escaping @Sendable (Int) -> Void) {
    loop.execute { [self] in
      let count = watchers.count
      to.execute { done(count) }
    }
  }

  private func remove(_ id: UInt64) {
    watchers.remove(id)
    metrics.watchers.set(watchers.count)
    handlers[id] = nil
  }

  private func tell(_ id: UInt64, _ news: News) {
    guard let (from, tell) = handlers[id] else { return }
    from.execute { tell(news) }
  }

  private func end(_ id: UInt64) {
    tell(id, .ended)
    handlers[id] = nil
  }
}
