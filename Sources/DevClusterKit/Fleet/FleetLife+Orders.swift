import JSON

/// What is asked of the cluster over its control socket.
extension FleetLife {
  /// What was asked for several members, and what is still missing.
  struct Job: Sendable {
    enum Want: Sendable, Equatable {
      case end
      case endThenStart
      case spawn
      case healthy(deadline: UInt64)
    }
    /// Seconds for a member to become healthy.
    let wait: Int
    var waiting: [Int: Want] = [:]
    var names: [String] = []
    var notes: [String] = []
    var refusals: [String] = []
    /// Whether something went wrong that had begun.
    var hasFailed = false
    var code: Int32 = 1
    /// Who comes next, where one follows the other, and what becomes of it first.
    var next: [Int] = []
  }

  mutating func asked(_ request: ControlRequest, _ ticket: Ticket, _ now: UInt64) {
    do throws(DevClusterError) {
      switch request {
      case .status: return askStatus(ticket, now)
      case .page: return out.append(.openPage(ticket))
      case .down: return down(ticket)
      default: try checkReadiness()
      }
      switch request {
      case .status, .page, .down: break
      case .member(let action, let who, let wait):
        try perform(action, try places(who), ticket, wait, now)
      case .add(let learner, let wait): try add(learner, ticket, wait, now)
      case .remove(let who): try change(.remove, who, ticket, now)
      case .promote(let who): try change(.promote, who, ticket, now)
      case .upgrade(let who, let binary, let wait):
        upgrade(try places(who), binary, ticket, wait, now)
      case .snapshot(let action, let name): try maintain(action, name, ticket)
      case .fault(let order): try fault(order, ticket, now)
      case .heal(let who): try heal(who, ticket)
      }
    } catch { out.append(.answer(ticket, Self.refusal(error))) }
  }

  private func checkReadiness() throws(DevClusterError) {
    guard phase == .running else {
      throw DevClusterError("the cluster is \(phase.name); wait until it runs")
    }
    if let maintenance {
      throw DevClusterError("the cluster is busy with devcluster \(maintenance.action.rawValue)")
    }
  }

  /// Places of those who are meant.
  mutating func places(_ who: [String]) throws(DevClusterError) -> [Int] {
    let leading = leaderPlace
    let candidates = members.indices.filter { !members[$0].isRemoved }.map { place in
      Targets.Candidate(
        name: members[place].name, isLeader: place == leading,
        isLearner: members[place].plan.isLearner, isRunning: members[place].pid != nil)
    }
    var chance = chance
    let names = try Targets.resolve(who, candidates) { Int.random(in: 0..<$0, using: &chance) }
    self.chance = chance
    return members.indices.filter { !members[$0].isRemoved && names.contains(members[$0].name) }
  }

  private mutating func perform(
    _ action: MemberAction, _ places: [Int], _ ticket: Ticket, _ wait: Int, _ now: UInt64
  ) throws(DevClusterError) {
    var job = Job(wait: wait)
    for place in places {
      let name = members[place].name
      do throws(DevClusterError) {
        switch action {
        case .pause, .resume:
          act(place, try members[place].setPaused(action == .pause))
          tell(action.rawValue, place, "\(name): \(action.rawValue)")
        case .stop, .kill:
          guard members[place].pid != nil else { throw DevClusterError("\(name) is not running") }
          tell(action.rawValue, place, "\(name): \(action.rawValue)")
          act(place, action == .stop ? members[place].stop() : members[place].kill())
          job.waiting[place] = .end
        case .start:
          act(place, try members[place].start())
          job.waiting[place] = .spawn
        case .restart: try restart(place, &job)
        }
        job.names.append(name)
      } catch { job.refusals.append(error.description) }
    }
    jobs[ticket] = job
    finish(ticket)
  }

  private mutating func restart(_ place: Int, _ job: inout Job) throws(DevClusterError) {
    if members[place].pid == nil {
      act(place, try members[place].start())
      job.waiting[place] = .spawn
    } else {
      tell("restart", place, "\(members[place].name): restart")
      act(place, members[place].stop())
      job.waiting[place] = .endThenStart
    }
  }

  /// Others of the program, one member after another, each healthy before the next.
  private mutating func upgrade(
    _ places: [Int], _ binary: String, _ ticket: Ticket, _ wait: Int, _ now: UInt64
  ) {
    for place in places {
      members[place].plan.binary = binary
      tell("upgrade", place, "\(members[place].name) becomes \(binary)")
    }
    keepPlan()
    var job = Job(wait: wait)
    // The leader last: each other place of its own would be one more election.
    let leading = leaderPlace
    job.next = places.filter { $0 != leading } + places.filter { $0 == leading }
    job.names = job.next.map { members[$0].name }
    jobs[ticket] = job
    finish(ticket)
  }

  // MARK: what jobs wait for

  /// Answers when nothing is missing any more; begins what comes next before.
  private mutating func finish(_ ticket: Ticket) {
    guard var job = jobs[ticket], job.waiting.isEmpty else { return }
    if !job.next.isEmpty && job.refusals.isEmpty && job.notes.isEmpty {
      let place = job.next.removeFirst()
      do throws(DevClusterError) { try restart(place, &job) } catch {
        job.refusals.append(error.description)
      }
      jobs[ticket] = job
      if job.waiting.isEmpty { finish(ticket) }
      return
    }
    jobs[ticket] = nil
    var answer: JSONObject = ["members": .array(job.names.map(JSONValue.string))]
    if !job.notes.isEmpty {
      answer["note"] = .string(job.notes.joined(separator: "; "))
      answer["code"] = .integer(job.code)
    }
    // Of several, those that are so already are no mistake.
    if !job.refusals.isEmpty && (job.names.isEmpty || !job.next.isEmpty || job.hasFailed) {
      answer["error"] = .string(job.refusals.joined(separator: "; "))
      answer["code"] = .integer(1)
    }
    out.append(.answer(ticket, answer))
  }

  /// Jobs that wait for a member, in the order in which they were asked for.
  private func tickets(waitingFor place: Int) -> [Ticket] {
    jobs.filter { $0.value.waiting[place] != nil }.keys.sorted()
  }

  mutating func jobsSpawned(_ place: Int, _ now: UInt64) {
    for ticket in tickets(waitingFor: place) where jobs[ticket]?.waiting[place] == .spawn {
      // checked: an hour at most
      let wait = UInt64(jobs[ticket]?.wait ?? 0) &* 1_000_000_000
      jobs[ticket]?.waiting[place] = .healthy(deadline: now &+ wait)
    }
  }

  mutating func jobsFailed(_ place: Int, _ message: String, _ now: UInt64) {
    for ticket in tickets(waitingFor: place) {
      jobs[ticket]?.waiting[place] = nil
      jobs[ticket]?.refusals.append(message)
      jobs[ticket]?.hasFailed = true
      finish(ticket)
    }
  }

  mutating func jobsEnded(_ place: Int, _ now: UInt64) {
    for ticket in tickets(waitingFor: place) {
      switch jobs[ticket]?.waiting[place] {
      case .end:
        jobs[ticket]?.waiting[place] = nil
        finish(ticket)
      case .endThenStart:
        do throws(DevClusterError) {
          guard phase == .running else { throw DevClusterError("the cluster is stopping") }
          act(place, try members[place].start())
          jobs[ticket]?.waiting[place] = .spawn
        } catch { jobsFailed(place, error.description, now) }
      case .healthy:
        let life = members[place]
        let how = life.failure ?? "an order to end"
        jobsFailed(place, "\(life.name) ended with \(how); \(whereToLook(life))", now)
      case .spawn, nil: break
      }
    }
  }

  mutating func jobsObserved(_ place: Int, _ now: UInt64) {
    for ticket in tickets(waitingFor: place) {
      guard case .healthy = jobs[ticket]?.waiting[place] else { continue }
      if members[place].reportedState == .healthy {
        jobs[ticket]?.waiting[place] = nil
        finish(ticket)
      }
    }
    jobsDue(now)
  }

  /// Those whose time is over, and those that wait for a quorum that cannot be.
  mutating func jobsDue(_ now: UInt64) {
    for ticket in jobs.keys.sorted() {
      for (place, want) in jobs[ticket]?.waiting.sorted(by: { $0.key < $1.key }) ?? [] {
        guard case .healthy(let deadline) = want else { continue }
        let life = members[place]
        let voters = members.filter { !$0.isRemoved && !$0.plan.isLearner }
        let running = voters.count { $0.isAlive }
        let cannotBe = running < voters.count / 2 + 1 && life.observation != nil
        guard now >= deadline || cannotBe else { continue }
        let seconds = jobs[ticket]?.wait ?? 0
        let reason =
          cannotBe
          ? "\(life.name) runs, but there is no quorum: \(running) of \(voters.count) voters run"
          : "\(life.name) runs but is not healthy after \(seconds) s"
        jobs[ticket]?.waiting[place] = nil
        jobs[ticket]?.notes.append(reason)
        jobs[ticket]?.code = cannotBe ? ExitStatus.noQuorum : ExitStatus.degraded
        finish(ticket)
      }
    }
  }

  /// Puts the members as they are into the plan.
  mutating func keepPlan() {
    plan.members = members.filter { !$0.isRemoved }.map(\.plan)
    out.append(.save(plan))
  }
}
