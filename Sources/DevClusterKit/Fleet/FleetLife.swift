/// The life of a cluster: its members, and who waits for what. Pure; `Fleet` tells it what happens and does what
/// it answers, so that tests drive it without processes, sockets and clocks.
///
/// ```
///              all settled           down, interrupt          nothing runs
///   starting ─────────────▶ running ─────────────────▶ ending ────────────▶ ended
///      └─ a member ended, time is over, down, interrupt ──▲
/// ```
/// What is done to members goes in as events and comes out as actions: another fault is a case more of each.
/// Members keep their places: one that was removed leaves an empty one.
///
/// - Units: nanoseconds of the loop's clock.
struct FleetLife: Sendable {
  var phase = Phase.starting
  var members: [MemberLife]
  var plan: ClusterPlan
  /// Seconds that the start may take.
  let startSeconds: Int
  var startDeadline: UInt64 = .max
  /// What is left to do before the cluster is as it was asked for.
  var setup: [SetupStep] = []
  var isSettingUp = false
  /// Why the cluster could not be started.
  var failure: String?
  /// Who waits for the end of the cluster.
  var waitingForEnd: [Ticket] = []
  var jobs: [Ticket: Job] = [:]
  /// Members that join or leave: who asked, and what for.
  var changes: [Ticket: Change] = [:]
  var statusWaiters: [Ticket: StatusWaiter] = [:]
  var maintenance: Maintenance?
  var faults: [ActiveFault] = []
  var lastFault = 0
  /// Where the status page is, without its token; `nil` while there is none.
  var page: String?
  /// Whom the members take for their leader, last told.
  var leader: Leadership?
  /// When those that are left at the end are killed.
  var hurryAt: UInt64 = .max
  var chance: SplitMix
  var out: [Action] = []

  /// Time members have to end by themselves when all are to end, and once there is no quorum: what they have
  /// answered is on disk, and Go's leader waits 7 s for somebody to hand over to.
  static let endNanoseconds: UInt64 = 400_000_000
  static let hurryNanoseconds: UInt64 = 100_000_000

  /// - Parameter seed: for what is decided by chance.
  init(_ plan: ClusterPlan, startSeconds: Int, seed: UInt64 = 0) {
    self.plan = plan
    self.startSeconds = startSeconds
    chance = SplitMix(state: seed)
    members = plan.members.map(MemberLife.init)
    setup = Self.setup(plan)
  }

  var pids: [Int32] { members.compactMap(\.pid) }

  /// Whether somebody waits for something that may happen soon: then ticks come every 20 ms.
  var isBusy: Bool {
    phase != .running || !jobs.isEmpty || !changes.isEmpty || !statusWaiters.isEmpty
      || maintenance != nil || faults.contains { $0.until != nil }
  }

  /// Takes an event. - Returns: what is to be done, in this order.
  mutating func handle(_ event: Event, now: UInt64) -> [Action] {
    switch event {
    case .ready: begin()
    case .failed(let message): fail(message)
    case .spawned(let member, let pid): spawned(member, pid, now)
    case .notSpawned(let member, let message): notSpawned(member, message, now)
    case .exited(let member, let how, let lastWords): exited(member, how, lastWords, now)
    case .patienceEnded(let member): act(member, members[member].patienceEnded())
    case .observed(let member, let run, let found): observed(member, run, found, now)
    case .found(let member, let isStopped): members[member].found(isStopped: isStopped)
    case .clockFollowed(let member, let pid): members[member].clockFollower = pid
    case .diskKnown(let member, let pid, let refusal): diskKnown(member, pid: pid, refusal)
    case .called(let id, let result): called(id, result, now)
    case .filesDone(let problem): filesDone(problem, now)
    case .tick: tick(now)
    case .announced(let isHeard):
      guard phase == .starting else { break }
      phase = .running
      tell("ready", nil, "\(runningCount) members are healthy")
      makePlannedFaults(now)
      if !isHeard { abandoned() }
    case .interrupted: interrupted(now)
    case .abandoned: abandoned()
    case .asked(let request, let ticket): asked(request, ticket, now)
    case .guardianEnded:
      out.append(.note("the guardian process ended; members may outlive a killed supervisor"))
    }
    return exchange(&out, with: [])
  }

  mutating func act(_ member: Int, _ actions: [MemberLife.Action]) {
    out += actions.map { .member(member, $0) }
  }

  /// Writes into the event log.
  mutating func tell(_ kind: String, _ member: Int?, _ text: String) {
    out.append(
      .event(ClusterEvent(kind: kind, member: member.map { members[$0].name }, text: text)))
  }

  var runningCount: Int { members.count { $0.pid != nil } }

  // MARK: processes

  private mutating func begin() {
    guard phase == .starting else { return }
    tell("start", nil, "starting \(plan.names)")
    if !plan.zones.isEmpty { out.append(.rules(rules)) }
    spawnNext(after: -1)
  }

  /// Starts the members one after another.
  private mutating func spawnNext(after member: Int) {
    guard let next = members.indices.first(where: { $0 > member && members[$0].startsWithCluster })
    else { return }
    do throws(DevClusterError) { act(next, try members[next].start()) } catch {
      fail(error.description)
    }
  }

  private mutating func spawned(_ member: Int, _ pid: Int32, _ now: UInt64) {
    members[member].spawned(pid, now)
    out.append(.tell(pids: pids))
    tell("spawn", member, "\(members[member].name) runs as process \(pid)")
    switch phase {
    case .starting:
      // checked: a start takes an hour at most
      if startDeadline == .max { startDeadline = now &+ UInt64(startSeconds) &* 1_000_000_000 }
      if !isSettingUp { spawnNext(after: member) }
      jobsSpawned(member, now)
    case .running: jobsSpawned(member, now)
    // It began just when all were told to end.
    case .ending, .ended: act(member, members[member].stop())
    }
  }

  private mutating func notSpawned(_ member: Int, _ message: String, _ now: UInt64) {
    members[member].notSpawned()
    tell("exit", member, message)
    if phase == .starting { fail(message) } else { jobsFailed(member, message, now) }
    endIfNothingRuns()
  }

  private mutating func exited(
    _ member: Int, _ how: String, _ lastWords: String, _ now: UInt64
  ) {
    act(member, members[member].exited(how, lastWords: lastWords))
    out.append(.tell(pids: pids))
    let life = members[member]
    tell("exit", member, "\(life.name) ended with \(how)")
    if let how = life.failure, phase == .running {
      out.append(
        .note(
          "\(life.name) ended with \(how) (start it again with: devcluster start \(life.name))"))
    }
    if case .ending = phase { hurry(now) }
    jobsEnded(member, now)
    maintenanceEnded(now)
    endIfNothingRuns()
  }

  // MARK: end

  /// The reason is told when nothing runs any more.
  mutating func fail(_ message: String) {
    if failure == nil { tell("failed", nil, message) }
    failure = failure ?? message
    end(1)
  }

  private mutating func interrupted(_ now: UInt64) {
    switch phase {
    case .starting, .running:
      out.append(.note("stopping \(pids.count) members"))
      if phase == .starting { fail("interrupted") } else { end(0) }
    // Asked twice: no more patience.
    case .ending: for member in members.indices { act(member, members[member].kill()) }
    case .ended: break
    }
  }

  private mutating func abandoned() {
    if phase == .starting {
      fail("interrupted: who asked for the cluster is gone")
    } else {
      end(0)
    }
  }

  mutating func down(_ ticket: Ticket) {
    guard phase != .ended else { return out.append(.answer(ticket, Self.done)) }
    waitingForEnd.append(ticket)
    out.append(.note("stopping: asked by devcluster down"))
    if phase == .starting { fail("stopped by devcluster down") } else { end(0) }
  }

  /// Ends every member, then the cluster.
  private mutating func end(_ status: Int32) {
    guard phase == .starting || phase == .running else { return }
    phase = .ending(status)
    tell("down", nil, "stopping \(pids.count) members")
    for member in members.indices { act(member, members[member].stop()) }
    endIfNothingRuns()
  }

  /// Without a quorum nothing is left to be done but to end.
  private mutating func hurry(_ now: UInt64) {
    let voters = members.filter { !$0.isRemoved && !$0.plan.isLearner }
    guard voters.count(where: { $0.pid != nil }) < voters.count / 2 + 1 else { return }
    hurryAt = min(hurryAt, now &+ Self.hurryNanoseconds)
  }

  mutating func killTheRest(_ now: UInt64) {
    guard case .ending = phase else { return }
    hurryAt = min(hurryAt, now &+ Self.endNanoseconds)
    guard now >= hurryAt else { return }
    for member in members.indices { act(member, members[member].kill()) }
  }

  private mutating func endIfNothingRuns() {
    guard case .ending(let status) = phase, !members.contains(where: \.isAlive) else { return }
    phase = .ended
    for ticket in jobs.keys.sorted() + changes.keys.sorted() {
      out.append(.answer(ticket, Self.refusal(DevClusterError("the cluster is stopping"))))
    }
    jobs = [:]
    changes = [:]
    out += waitingForEnd.map { .answer($0, Self.done) }
    out.append(.end(status: status, failure: failure))
  }
}

/// Chance that a seed decides.
/// - Source: Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (splitmix64).
struct SplitMix: Sendable, RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
