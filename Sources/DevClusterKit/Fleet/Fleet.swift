import Bytes
import DiskFaults
import EventLoops
import FaultRelay
import FileSystem
import HTTP
import JSON
import Platform

/// The members' processes: does what `FleetLife` says and tells it what happens. Confined to its loop.
final class Fleet {
  /// What is done outside of it.
  struct Outside {
    /// The program of a member and its arguments.
    let command: (MemberPlan, ClusterPlan) throws(DevClusterError) -> [String]
    /// Its environment.
    let environment: (MemberPlan, ClusterPlan) -> [String]
    /// Gets each line that a member prints.
    let line: (_ member: Int, MemberPlan, Bytes) -> Void
    let files: (FleetLife.FileWork, ClusterPlan, @escaping @Sendable (String?) -> Void) -> Void
    let save: (ClusterPlan) throws(DevClusterError) -> Void
    /// Tells the user that the cluster is healthy.
    /// - Returns: whether anybody was there.
    let announce: (JSONObject) -> Bool
    let answer: (FleetLife.Ticket, JSONObject) -> Void
    let tell: (_ pids: [Int32]) -> Void
    let event: (ClusterEvent) -> Void
    let note: (String) -> Void
    let openPage: (FleetLife.Ticket) -> Void
    let end: (_ status: Int32, _ failure: String?) -> Void
  }

  /// For those who wait for the status.
  private static let statusTick: Duration = .milliseconds(2)
  /// For a call of the cluster's API.
  private static let callTimeout: Duration = .seconds(5)
  /// Time a member has to end by itself when it is stopped.
  private static let stopTimeout: Duration = .seconds(10)

  private let loop: EventLoop
  private let probe: HealthProbe
  let api: MemberAPI
  private let outside: Outside
  private let relay: Relay
  /// `nil` where nothing stands before the members' disks.
  private let disks: DiskFaults?
  private var life: FleetLife
  private var processes: [MemberProcess] = []
  private var patience: [Int: LoopTimer] = [:]
  private var events: [FleetLife.Event] = []
  private var isHandling = false
  private var timer: LoopTimer?
  private var timerDue: UInt64 = .max

  /// - Parameter client: reaches members as the cluster is secured.
  init(loop: EventLoop, _ life: FleetLife, client: HTTPClient, outside: Outside) {
    self.loop = loop
    self.life = life
    self.outside = outside
    api = MemberAPI(client)
    probe = HealthProbe(api: api)
    relay = Relay(loop: loop)
    disks = life.plan.watchesDisks && DiskFaults.isSupported ? DiskFaults() : nil
    for place in life.members.indices { adopt(place) }
  }

  // MARK: what the status page shows

  var plan: ClusterPlan { life.plan }
  /// Without asking anybody.
  var status: JSONObject { life.status(loop.now) }
  /// Members that run, the leader first.
  var running: [MemberPlan] {
    let leading = life.leaderPlace
    let places = life.members.indices.filter { life.members[$0].pid != nil }
    return (places.filter { $0 == leading } + places.filter { $0 != leading }).map {
      life.members[$0].plan
    }
  }

  func tellPage(_ place: String) { life.page = place }

  /// Takes an event; what it leads to is done before the next is looked at.
  func handle(_ event: FleetLife.Event) {
    if case .asked(let request, _) = event {
      lookAtProcesses()
      if case .fault(let order) = request, case .clock = order.kind { lookAtClocks() }
    }
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    while !events.isEmpty {
      for action in life.handle(events.removeFirst(), now: loop.now) { perform(action) }
    }
    isHandling = false
    schedule()
  }

  /// The status as lines of a terminal: a sentence, and the table.
  func table(columns: Int) -> [String] {
    let status = JSONValue.object(life.status(loop.now))
    let table = StatusTable.text(status, width: columns)
    return ["── \(StatusTable.sentence(status)) ──"]
      + table.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// The next tick: soon while somebody waits.
  private func schedule() {
    let delay =
      life.statusWaiters.isEmpty
      ? Duration.nanoseconds(Int64(clamping: life.interval)) : Self.statusTick
    // checked: a clock of this machine and half a second
    let due = loop.now &+ delay.nanoseconds
    guard life.phase != .ended, due < timerDue else { return }
    timer?.cancel()
    timerDue = due
    timer = loop.schedule(after: delay) { [weak self] in
      guard let self else { return }
      timerDue = .max
      lookAtProcesses()
      handle(.tick)
    }
  }

  /// Somebody may have stopped a process by hand, or let it go on.
  private func lookAtProcesses() {
    for place in life.members.indices {
      guard let pid = life.members[place].pid, let isStopped = System.isStopped(pid),
        isStopped != life.members[place].isPaused
      else { continue }
      events.append(.found(place, isStopped: isStopped))
    }
  }

  /// Who takes the time of day from us is asked when it matters.
  private func lookAtClocks() {
    for place in life.members.indices where life.members[place].pid != nil {
      let pid = ShiftedClock.follower(of: life.members[place].plan.clockFile)
      events.append(.clockFollowed(place, by: pid))
    }
  }

  /// Has the relay stand before the ports of members.
  /// - Throws: `ChannelError` when a port cannot be had.
  func beginRelaying() throws(ChannelError) {
    for life in life.members { try beginRelaying(life.plan) }
  }

  private func beginRelaying(_ plan: MemberPlan) throws(ChannelError) {
    if plan.relaysPeers {
      try relay.listen(plan.ports.peer, for: plan.name, inner: plan.ports.innerPeer)
    }
    if plan.relaysClients {
      try relay.listen(plan.ports.client, for: plan.name, inner: plan.ports.innerClient)
    }
  }

  private func adopt(_ place: Int) {
    processes.append(
      MemberProcess(
        loop: loop,
        onLine: { [weak self] line in
          guard let self else { return }
          outside.line(place, life.members[place].plan, line)
        },
        onExit: { [weak self] how, lastWords in
          self?.handle(.exited(place, how: how, lastWords: lastWords))
        }))
  }

  /// A member of the same name that left has its data behind it, which say that it is another one.
  private func clearData(of plan: MemberPlan) {
    guard Paths.exists(plan.dataDirectory) else { return }
    do throws(FileError) { try System.removeTree(plan.dataDirectory) } catch {
      outside.note("cannot remove \(error.path), of a member that left: \(error.detail)")
    }
  }

  /// Who gives tokens, once authentication is on.
  private func prepareCalls() {
    guard life.plan.isAuthReady, let auth = life.plan.auth else { return }
    api.password = auth.root
    api.voters = life.members.filter { $0.pid != nil && !$0.plan.isLearner }.map(\.plan)
  }

  private func perform(_ action: FleetLife.Action) {
    switch action {
    case .member(let member, let action): perform(action, member)
    case .adopt(let place):
      adopt(place)
      clearData(of: life.members[place].plan)
      do throws(ChannelError) { try beginRelaying(life.members[place].plan) } catch {
        outside.note("cannot relay for \(life.members[place].name): \(error)")
      }
    case .forget(let plan):
      for port in [plan.ports.peer, plan.ports.client] { relay.close(port, of: plan.name) }
    case .rules(let rules): relay.apply(rules)
    case .reset(let links): for link in links { relay.reset(link) }
    case .disks(let rules): apply(rules)
    case .clocks(let offsets):
      for member in life.members where member.pid != nil {
        setClock(of: member.plan, offsets[member.name] ?? 0)
      }
    case .probe(let member, let run):
      prepareCalls()
      probe.ask(life.members[member].plan) { [weak self] in
        self?.handle(.observed(member, run: run, $0))
      }
    case .call(let id, let call, let members):
      prepareCalls()
      let plans = members.map { life.members[$0].plan }
      api.call(call, plans, timeout: Self.callTimeout) { [weak self] in
        self?.handle(.called(id, $0))
      }
    case .files(let work):
      // @unchecked: `filesDone` is called on the loop.
      let loop = loop
      let carrier = FleetCarrier(self)
      outside.files(work, life.plan) { problem in
        loop.execute { carrier.fleet?.handle(.filesDone(problem)) }
      }
    case .save(let plan):
      do throws(DevClusterError) { try outside.save(plan) } catch {
        outside.note(error.description)
      }
    case .announce:
      lookAtClocks()
      handle(.announced(isHeard: outside.announce(life.status(loop.now))))
    case .answer(let ticket, let answer): outside.answer(ticket, answer)
    case .tell(let pids):
      relay.processes = [:]
      for member in life.members { relay.processes[member.name] = member.pid }
      outside.tell(pids)
    case .event(let event): outside.event(event)
    case .note(let text): outside.note(text)
    case .openPage(let ticket): outside.openPage(ticket)
    case .end(let status, let failure):
      timer?.cancel()
      outside.end(status, failure)
    }
  }

  private func perform(_ action: MemberLife.Action, _ member: Int) {
    switch action {
    case .spawn:
      do throws(DevClusterError) { try spawn(member) } catch {
        handle(.notSpawned(member, error.description))
      }
    case .signal(let signal): processes[member].send(signal)
    case .beginPatience:
      patience[member] = loop.schedule(after: Self.stopTimeout) { [weak self] in
        self?.handle(.patienceEnded(member))
      }
    case .endPatience: patience.removeValue(forKey: member)?.cancel()
    }
  }

  private func spawn(_ member: Int) throws(DevClusterError) {
    let plan = life.members[member].plan
    setClock(of: plan, life.clockOffsets[plan.name] ?? 0)
    let ends = disks == nil ? nil : DiskFaults.handOver()
    defer { if let ends { Descriptor.close(ends.child) } }
    let pid: Int32
    do throws(DevClusterError) {
      pid = try processes[member].spawn(
        plan, command: try outside.command(plan, life.plan),
        environment: outside.environment(plan, life.plan), disk: ends?.child)
    } catch {
      if let ends { Descriptor.close(ends.own) }
      throw error
    }
    handle(.spawned(member, pid: pid))
    guard let disks, let ends else {
      return handle(.diskKnown(member, pid: pid, refusal: "it has no way to ask"))
    }
    // @unchecked: the fleet is touched on the loop alone.
    let carrier = FleetCarrier(self)
    disks.watch(plan.name, directory: plan.dataDirectory, socket: ends.own) { [loop] refusal in
      loop.execute { carrier.fleet?.handle(.diskKnown(member, pid: pid, refusal: refusal)) }
    }
  }

  private func setClock(of plan: MemberPlan, _ offset: Int64) {
    do throws(SystemError) { try ShiftedClock.set(offset, in: plan.clockFile) } catch {
      // Made with the directory of a member's first process; there is nothing to follow before.
      if offset != 0 { outside.note("cannot write \(plan.clockFile): \(error)") }
    }
  }

  /// Has disks do what the rules say; those of processes that cannot be watched as far as that goes.
  private func apply(_ rules: [String: DiskRule]) {
    disks?.apply(rules)
    for member in life.members {
      guard case .refused = member.disk, let pid = member.pid else { continue }
      do throws(SystemError) {
        try DiskFaults.limitFiles(pid, rules[member.name]?.failure == .full)
      } catch { outside.note("cannot limit the files of \(member.name): \(error)") }
    }
  }
}

/// Carries a fleet through another thread, which does not touch it.
private final class FleetCarrier: @unchecked Sendable {
  // @unchecked: only its loop looks at what is inside.
  weak var fleet: Fleet?
  init(_ fleet: Fleet) { self.fleet = fleet }
}
