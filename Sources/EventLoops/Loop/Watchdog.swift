/// A deadline that is moved often and rarely reached: moving it is a store, not a timer operation.
///
/// Confined to its loop. `body` runs once each time the deadline passes without being moved.
public final class Watchdog {
  private let loop: EventLoop
  private let body: () -> Void
  private var timer: LoopTimer?
  private var deadline: UInt64?

  public init(loop: EventLoop, _ body: @escaping () -> Void) {
    self.loop = loop
    self.body = body
  }

  /// Sets or moves the deadline.
  public func set(after delay: Duration) {
    let wanted = loop.now &+ delay.nanoseconds
    deadline = wanted
    if let timer, timer.isActive, timer.deadline <= wanted { return }
    timer?.cancel()
    arm(delay)
  }

  /// Removes the deadline; `set` starts again. The owner calls it when done.
  public func clear() { deadline = nil }

  /// Ends it for good and releases what `body` holds.
  public func cancel() {
    deadline = nil
    timer?.cancel()
    timer = nil
  }

  private func arm(_ delay: Duration) {
    timer = loop.schedule(after: delay) { [weak self] in self?.check() }
  }

  private func check() {
    guard let deadline else { return }
    let now = loop.now
    if deadline > now {
      arm(.nanoseconds(Int64(clamping: deadline - now)))
    } else {
      self.deadline = nil
      body()
    }
  }
}
