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

  /// Whether the disk of its process can be made to fail.
  enum Disk: Sendable, Equatable {
    case unknown
    case watched
    /// Why not.
    case refused(String)
  }

  var plan: MemberPlan
  var disk = Disk.unknown
  /// The process that took its time of day from us when it was looked at last; 0 for nobody.
  var clockFollower: Int32 = 0
  private(set) var state = State.stopped
  /// Whether it left the cluster: its place stays empty.
  var isRemoved = false
  /// Counts its processes, and what changes for all, so that late answers are told from others.
  private(set) var run = 0
  /// What its process last said of itself, and when.
  private(set) var observation: Observation?
  private(set) var observedAt: UInt64 = 0
  /// When it was asked last, and whether it has not answered since.
  private var askedAt: UInt64 = 0
  private var isAnswerDue = false
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

  /// Whether `up` starts it: not those who are told to wait, nor learners that have to be let in first.
  var startsWithCluster: Bool {
    !isRemoved && plan.startsWithCluster && (!plan.isLearner || plan.joined != nil)
  }

  var isPaused: Bool { if case .paused = state { true } else { false } }

  /// Its ID in the cluster; 0 while it is not known.
  var id: UInt64 { observation?.id ?? 0 }

  /// What is told of it.
  var reportedState: MemberState {
    switch state {
    case .stopped, .spawning: .stopped
    case .running: observation?.isHealthy == true ? .healthy : .unhealthy
    case .ending: .unhealthy
    case .paused: .paused
    case .exited: .exited
    }
  }

  /// - Parameter now: for the age of what it said.
  func report(isLeader: Bool, now: UInt64?) -> MemberReport {
    var report = MemberReport(plan: plan, state: reportedState, pid: pid, exit: failure)
    report.isLeader = isLeader
    report.observation = observation
    if let now, now > observedAt, observation != nil {
      report.ageMilliseconds = (now - observedAt) / 1_000_000
    }
    return report
  }

  // MARK: questions

  /// Whether it may be asked: it runs, has answered the last question, and that was long enough ago.
  func mayBeAsked(_ now: UInt64, olderThan age: UInt64) -> Bool {
    guard case .running = state, !isAnswerDue else { return false }
    return askedAt == 0 || now >= askedAt &+ age
  }

  /// Whether it was asked just now and has not answered yet.
  func wasAsked(at now: UInt64, within age: UInt64) -> Bool {
    isAnswerDue && now < askedAt &+ age
  }

  mutating func asked(_ now: UInt64) {
    askedAt = now
    isAnswerDue = true
  }

  /// What it was asked before counts no more.
  mutating func askAnew() {
    guard pid != nil else { return }
    run += 1
    isAnswerDue = false
    askedAt = 0
    observation?.isHealthy = false
  }

  /// - Parameter found: `nil` when it did not answer.
  mutating func observed(_ found: Observation?, _ now: UInt64) {
    isAnswerDue = false
    guard pid != nil else { return }
    if let found {
      observation = found
      observedAt = now
    } else {
      observation?.isHealthy = false
      observation?.leader = 0
    }
  }

  /// What the system says of the process, whoever stopped it.
  mutating func found(isStopped: Bool) {
    switch (state, isStopped) {
    case (.running(let pid), true): state = .paused(pid)
    case (.paused(let pid), false): state = .running(pid)
    default: break
    }
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

  mutating func spawned(_ pid: Int32, _ now: UInt64) {
    guard state == .spawning else { return }
    state = .running(pid)
    run += 1
    disk = .unknown
    observation = nil
    isAnswerDue = false
    askedAt = 0
  }

  mutating func notSpawned() {
    if state == .spawning { state = .stopped }
  }

  mutating func exited(_ how: String, lastWords: String) -> [Action] {
    self.lastWords = lastWords
    disk = .unknown
    observation = nil
    isAnswerDue = false
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
