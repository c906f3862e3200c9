/// The life of one member's process, as far as its supervisor has a hand in it. Pure; `MemberProcess` does
/// what it answers.
///
/// ```
///              spawn            told to end          ended
///   stopped ─────────▶ running ────────────▶ ending ───────▶ stopped
///      ▲                │   ▲ paused
///      └─ start again ──┴── exited: on its own
/// ```
struct MemberLife: Sendable, Equatable {
  enum State: Sendable, Equatable {
    /// Ended by us, or never started.
    case stopped
    /// Its process is being made.
    case spawning
    case running(Int32)
    case paused(Int32)
    /// Told to end, or killed: the end that comes is our doing.
    case ending(Int32)
    /// Ended on its own.
    case exited(String)
  }

  /// What is to be done to the process.
  enum Action: Sendable, Equatable {
    case spawn
    case signal(Signal)
    /// Tell when it has had long enough to end by itself.
    case beginPatience
    case endPatience
  }

  enum Signal: Sendable, Equatable {
    case terminate
    /// To all that it started, as the following are.
    case kill
    case freeze
    case thaw
  }

  let plan: MemberPlan
  private(set) var state = State.stopped
  /// What it printed last before it ended, to be put behind a message; empty when it printed nothing.
  private(set) var lastWords = ""

  init(_ plan: MemberPlan) { self.plan = plan }

  var name: String { plan.name }

  var pid: Int32? {
    switch state {
    case .running(let pid), .paused(let pid), .ending(let pid): pid
    case .stopped, .spawning, .exited: nil
    }
  }

  /// Whether there is a process, or one is being made.
  var isAlive: Bool { pid != nil || state == .spawning }

  /// How it ended, when it did so on its own.
  var failure: String? {
    guard case .exited(let how) = state else { return nil }
    return how
  }

  /// State as far as the process alone tells it.
  var report: MemberReport {
    let shown: MemberState =
      switch state {
      case .stopped, .spawning: .stopped
      case .running, .ending: .unhealthy
      case .paused: .paused
      case .exited: .exited
      }
    return MemberReport(plan: plan, state: shown, pid: pid, exit: failure)
  }

  // MARK: wishes

  /// - Throws: `DevClusterError` when it runs already.
  mutating func start() throws(DevClusterError) -> [Action] {
    guard !isAlive else { throw DevClusterError("\(name) is already running") }
    state = .spawning
    return [.spawn]
  }

  /// Asks the process to end, and kills it when it does not in time.
  mutating func stop() -> [Action] {
    switch state {
    case .running(let pid):
      state = .ending(pid)
      return [.signal(.terminate), .beginPatience]
    case .paused(let pid):
      state = .ending(pid)
      // A stopped process handles no signal.
      return [.signal(.terminate), .signal(.thaw), .beginPatience]
    case .stopped, .spawning, .ending, .exited: return []
    }
  }

  /// Ends the process at once, as a crash would.
  mutating func kill() -> [Action] {
    guard let pid else { return [] }
    state = .ending(pid)
    return [.signal(.kill)]
  }

  /// Freezes the process or lets it go on.
  /// - Throws: `DevClusterError` when it does not run, is about to end, or is so already.
  mutating func setPaused(_ isPaused: Bool) throws(DevClusterError) -> [Action] {
    switch (state, isPaused) {
    case (.running(let pid), true):
      state = .paused(pid)
      return [.signal(.freeze)]
    case (.paused(let pid), false):
      state = .running(pid)
      return [.signal(.thaw)]
    case (.paused, true): throw DevClusterError("\(name) is already paused")
    case (.running, false): throw DevClusterError("\(name) is not paused")
    case (.ending, _): throw DevClusterError("\(name) is being stopped")
    case (.stopped, _), (.spawning, _), (.exited, _):
      throw DevClusterError("\(name) is not running")
    }
  }

  // MARK: what happened

  mutating func spawned(_ pid: Int32) {
    if state == .spawning { state = .running(pid) }
  }

  mutating func notSpawned() {
    if state == .spawning { state = .stopped }
  }

  mutating func exited(_ how: String, lastWords: String) -> [Action] {
    self.lastWords = lastWords
    switch state {
    case .ending, .stopped: state = .stopped
    case .running, .paused, .spawning, .exited: state = .exited(how)
    }
    return [.endPatience]
  }

  mutating func patienceEnded() -> [Action] {
    guard case .ending = state else { return [] }
    return [.signal(.kill)]
  }
}
