extension EventLoop {
  /// Calls `body` on the loop once after `delay`, then, when `repeating` is given, again and again.
  ///
  /// A repeating timer keeps its phase; when the loop was late by more than one interval the missed
  /// calls are left out. Resolution 1 ms, never early. On the loop only.
  @discardableResult
  public func schedule(
    after delay: Duration, repeating interval: Duration? = nil, _ body: @escaping () -> Void
  ) -> LoopTimer {
    preconditionCurrent()
    let timer = LoopTimer(
      loop: self, deadline: now &+ delay.nanoseconds,
      interval: interval.map { Swift.max($0.nanoseconds, 1_000_000) }, body: body)
    timers.insert(timer)
    return timer
  }

  /// Runs the timers that are due. One that becomes due only by running another waits for the next
  /// turn, so that the turn ends.
  func fireTimers() {
    // `now` may be from before the events of this turn; what a body computes from it must not lie
    // before the time at which its timer was found due.
    let time = refreshNow()
    meter.begin(time, .timers)
    var due: [LoopTimer] = []
    while let timer = timers.popDue(time) { due.append(timer) }
    for timer in due {
      guard let body = timer.body else { continue }
      if let interval = timer.interval {
        timer.deadline &+= interval
        if timer.deadline <= time { timer.deadline = time &+ interval }
        timers.insert(timer)
      } else {
        timer.body = nil
      }
      body()
    }
  }
}
