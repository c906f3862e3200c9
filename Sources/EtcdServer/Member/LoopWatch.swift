import EventLoops
import Member

/// Watches that no loop is held up: the longest turn of each is a metric, and the log says what took
/// long.
enum LoopWatch {
  /// Where a loop is held up it happens often: a line in so long says enough.
  private static let quiet: Duration = .seconds(10)

  static func start(_ loop: EventLoop, _ logger: Logger, _ registry: MetricsRegistry) {
    registry.gauge(
      "etcd_debugging_loop_longest_turn_seconds",
      "The longest time since the last look that a loop was busy without looking for events.",
      ["loop": loop.name]
    ) { [weak loop] in loop.map { Double($0.takeLongestTurn()) / 1e9 } }
    loop.execute {
      var told: UInt64?
      loop.onSlowTurn { [unowned loop] turn in
        if let last = told, loop.now < last &+ quiet.nanoseconds { return }
        told = loop.now
        logger.warn(
          "a loop was held up",
          [
            LogField("loop", .string(loop.name)), LogField("took", .duration(turn.duration)),
            LogField("did", .string(turn.work)),
          ])
      }
    }
  }
}
