import EventLoops
import Synchronization

/// Whether the gRPC health service calls this member serving. Clients that watch it go elsewhere while
/// it is not; calls are served all the same. Any thread.
///
/// - Source: etcd `v3rpc/health.go`.
final class ServingStatus: Sendable {
  private struct State {
    /// Defragmentations under way.
    var defragments = 0
    var watchers: [Int: AsyncStream<Bool>.Continuation] = [:]
    var nextWatcher = 0
  }
  private let state = Mutex(State())
  private let stopsOnDefrag: Bool
  private let logger: Logger

  /// - Parameter stopsOnDefrag: whether a member that defragments is not serving.
  init(stopsOnDefrag: Bool, _ logger: Logger) {
    self.stopsOnDefrag = stopsOnDefrag
    self.logger = logger
    logServing()
  }

  var isServing: Bool { state.withLock { $0.defragments == 0 } }

  func defragmentStarted() {
    guard stopsOnDefrag else { return }
    logger.warn(
      "grpc service status changed",
      [
        LogField("service", ""), LogField("status", "NOT_SERVING"),
        LogField("reason", "defrag is active"),
      ])
    change { $0 += 1 }
  }

  func defragmentFinished() {
    guard stopsOnDefrag else { return }
    change { $0 -= 1 }
    if isServing { logServing() }
  }

  private func logServing() {
    logger.info(
      "grpc service status changed", [LogField("service", ""), LogField("status", "SERVING")])
  }

  private func change(_ body: (inout Int) -> Void) {
    state.withLock { state in
      let before = state.defragments == 0
      body(&state.defragments)
      let isServing = state.defragments == 0
      guard isServing != before else { return }
      for watcher in state.watchers.values { watcher.yield(isServing) }
    }
  }

  /// The status now, and each that follows; one that nobody took makes room for the next.
  func watch() -> AsyncStream<Bool> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { watcher in
      let number = state.withLock { state in
        state.nextWatcher += 1
        state.watchers[state.nextWatcher] = watcher
        watcher.yield(state.defragments == 0)
        return state.nextWatcher
      }
      watcher.onTermination = { [weak self] _ in
        self?.state.withLock { _ = $0.watchers.removeValue(forKey: number) }
      }
    }
  }
}
