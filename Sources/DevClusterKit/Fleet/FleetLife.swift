/// The life of a cluster: its members, and who waits for what. Pure; `Fleet` tells it what happens and does what
/// it answers, so that tests drive it without processes, sockets and clocks.
///
/// ```
///              all healthy           down, interrupt          nothing runs
///   starting ─────────────▶ running ─────────────────▶ ending ────────────▶ ended
///      └─ a member ended, time is over, down, interrupt ──▲
/// ```
/// What is done to members goes in as events and comes out as actions: another fault is a case more of each.
///
/// - Units: nanoseconds of the loop's clock.
struct FleetLife: Sendable {
  /// Who waits until a member has ended.
  private enum Waiter {
    case answer(Ticket)
    case restart(Ticket)
  }

  private(set) var phase = Phase.starting
  private(set) var members: [MemberLife]
  private let plan: ClusterPlan
  /// Seconds that the start may take.
  private let startSeconds: Int
  private var startDeadline: UInt64 = .max
  /// Why the cluster could not be started.
  private var failure: String?
  private var waitingForEnd: [Ticket] = []
  private var waiters: [Int: [Waiter]] = [:]
  /// Who waits for a process that is being made.
  private var starters: [Int: Ticket] = [:]
  private var out: [Action] = []

  /// Time `start` and `restart` wait for a member to become healthy.
  static let actionNanoseconds: UInt64 = 15_000_000_000

  init(_ plan: ClusterPlan, startSeconds: Int) {
    self.plan = plan
    self.startSeconds = startSeconds
    members = plan.members.map(MemberLife.init)
  }

  var pids: [Int32] { members.compactMap(\.pid) }

  /// Takes an event. - Returns: what is to be done, in this order.
  mutating func handle(_ event: Event, now: UInt64) -> [Action] {
    switch event {
    case .ready: if phase == .starting { spawn(0) }
    case .failed(let message): fail(message)
    case .spawned(let member, let pid): spawned(member, pid, now)
    case .notSpawned(let member, let message): notSpawned(member, message)
    case .exited(let member, let how, let lastWords): exited(member, how, lastWords)
    case .patienceEnded(let member): act(member, members[member].patienceEnded())
    case .looked(let question, let reports): looked(question, reports, now)
    case .due(let question): look(question)
    case .announced(let isHeard):
      guard phase == .starting else { break }
      phase = .running
      if !isHeard { end(1) }
    case .interrupted: interrupted()
    case .asked(let request, let ticket): asked(request, ticket)
    case .guardianEnded:
      if phase == .starting || phase == .running {
        out.append(.note("the guardian process ended; members may outlive a killed supervisor"))
      }
    }
    return exchange(&out, with: [])
  }

  private mutating func act(_ member: Int, _ actions: [MemberLife.Action]) {
    out += actions.map { .member(member, $0) }
  }

  // MARK: processes

  private mutating func spawn(_ member: Int) {
    do throws(DevClusterError) { act(member, try members[member].start()) } catch {
      fail(error.description)
    }
  }

  private mutating func spawned(_ member: Int, _ pid: Int32, _ now: UInt64) {
    members[member].spawned(pid)
    out.append(.tell(pids: pids))
    switch phase {
    case .starting where member + 1 < members.count: spawn(member + 1)
    case .starting:
      startDeadline = now + UInt64(startSeconds) * 1_000_000_000
      look(.start)
    case .running:
      guard let ticket = starters.removeValue(forKey: member) else { break }
      look(.health(member: member, ticket, deadline: now + Self.actionNanoseconds))
    // It began just when all were told to end.
    case .ending, .ended: act(member, members[member].stop())
    }
  }

  private mutating func notSpawned(_ member: Int, _ message: String) {
    members[member].notSpawned()
    if let ticket = starters.removeValue(forKey: member) {
      out.append(.answer(ticket, .refused(message)))
    } else {
      fail(message)
    }
    endIfNothingRuns()
  }

  private mutating func exited(_ member: Int, _ how: String, _ lastWords: String) {
    act(member, members[member].exited(how, lastWords: lastWords))
    out.append(.tell(pids: pids))
    let life = members[member]
    if let how = life.failure, phase == .running {
      out.append(
        .note(
          "\(life.name) ended with \(how) (start it again with: devcluster start \(life.name))"))
    }
    for waiter in waiters.removeValue(forKey: member) ?? [] {
      switch waiter {
      case .answer(let ticket): out.append(.answer(ticket, .done))
      case .restart(let ticket): start(member, ticket)
      }
    }
    endIfNothingRuns()
  }

  // MARK: health

  private mutating func look(_ question: Question) {
    switch question {
    case .start:
      guard phase == .starting else { return }
      if let failed = members.first(where: { $0.failure != nil }) {
        return fail(
          "\(failed.name) ended with \(failed.failure ?? "?") before it was healthy;"
            + " \(whereToLook(failed))")
      }
      out.append(.look(question, members.map(\.report)))
    case .status: out.append(.look(question, members.map(\.report)))
    case .health(let member, let ticket, _):
      let life = members[member]
      guard life.isAlive else {
        let text = "\(life.name) ended with \(life.failure ?? "?"); \(whereToLook(life))"
        return out.append(.answer(ticket, .refused(text)))
      }
      out.append(.look(question, [life.report]))
    }
  }

  private func whereToLook(_ life: MemberLife) -> String {
    "see \(life.plan.logFile)" + (life.lastWords.isEmpty ? "" : ": \(life.lastWords)")
  }

  private mutating func looked(_ question: Question, _ reports: [MemberReport], _ now: UInt64) {
    let missing = reports.filter { $0.state != .healthy }.map(\.plan)
    switch question {
    case .start:
      guard phase == .starting else { return }
      guard let first = missing.first else { return out.append(.announce(reports)) }
      guard now >= startDeadline else { return out.append(.wait(question)) }
      let names = missing.map(\.name).joined(separator: ", ")
      fail("not healthy after \(startSeconds) s: \(names); see \(first.logFile)")
    case .status(let ticket): out.append(.answer(ticket, .members(reports)))
    case .health(let member, let ticket, let deadline):
      if missing.isEmpty { return out.append(.answer(ticket, .done)) }
      guard now >= deadline else { return out.append(.wait(question)) }
      out.append(.answer(ticket, .note("\(members[member].name) runs but is not healthy yet")))
    }
  }

  // MARK: requests

  private mutating func asked(_ request: ControlRequest, _ ticket: Ticket) {
    switch request {
    case .status: look(.status(ticket))
    case .down:
      guard phase != .ended else { return out.append(.answer(ticket, .done)) }
      waitingForEnd.append(ticket)
      out.append(.note("stopping: asked by devcluster down"))
      if phase == .starting { fail("stopped by devcluster down") } else { end(0) }
    case .watch: out.append(.answer(ticket, .watching(pids: pids)))
    case .member(let action, let name):
      guard let member = members.firstIndex(where: { $0.name == name }) else {
        let names = members.map(\.name).joined(separator: ", ")
        return out.append(
          .answer(ticket, .refused("there is no member '\(name)' among \(names)")))
      }
      guard phase == .running else {
        return out.append(.answer(ticket, .refused("the cluster is starting or stopping")))
      }
      perform(action, member, ticket)
    }
  }

  private mutating func perform(_ action: MemberAction, _ member: Int, _ ticket: Ticket) {
    switch action {
    case .pause, .resume:
      do throws(DevClusterError) {
        act(member, try members[member].setPaused(action == .pause))
        out.append(.answer(ticket, .done))
      } catch { out.append(.answer(ticket, .refused(error.description))) }
    case .stop, .kill:
      guard members[member].pid != nil else {
        return out.append(.answer(ticket, .refused("\(members[member].name) is not running")))
      }
      waiters[member, default: []].append(.answer(ticket))
      act(member, action == .stop ? members[member].stop() : members[member].kill())
    case .start: start(member, ticket)
    case .restart:
      guard members[member].pid != nil else { return start(member, ticket) }
      waiters[member, default: []].append(.restart(ticket))
      act(member, members[member].stop())
    }
  }

  private mutating func start(_ member: Int, _ ticket: Ticket) {
    do throws(DevClusterError) {
      guard phase == .running else { throw DevClusterError("the cluster is stopping") }
      act(member, try members[member].start())
      starters[member] = ticket
    } catch { out.append(.answer(ticket, .refused(error.description))) }
  }

  // MARK: end

  /// The reason is told when nothing runs any more.
  private mutating func fail(_ message: String) {
    failure = failure ?? message
    end(1)
  }

  private mutating func interrupted() {
    switch phase {
    case .starting, .running:
      out.append(.note("stopping \(pids.count) members"))
      if phase == .starting { fail("interrupted") } else { end(0) }
    // Asked twice: no more patience.
    case .ending: for member in members.indices { act(member, members[member].kill()) }
    case .ended: break
    }
  }

  /// Ends every member, then the cluster.
  private mutating func end(_ status: Int32) {
    guard phase == .starting || phase == .running else { return }
    phase = .ending(status)
    for member in members.indices { act(member, members[member].stop()) }
    endIfNothingRuns()
  }

  private mutating func endIfNothingRuns() {
    guard case .ending(let status) = phase, !members.contains(where: \.isAlive) else { return }
    phase = .ended
    out += waitingForEnd.map { .answer($0, .done) }
    out.append(.end(status: status, failure: failure))
  }
}
