import JSON

/// How members are: when they are asked, what their answers mean, what `status` says.
extension FleetLife {
  /// Between questions while somebody waits, and otherwise.
  static let busyInterval: UInt64 = 20_000_000
  static let alertInterval: UInt64 = 100_000_000
  static let idleInterval: UInt64 = 1_000_000_000
  /// Age up to which `status` takes an answer as it is.
  static let freshNanoseconds: UInt64 = 30_000_000
  /// Time that `status` gives members to answer once more.
  static let statusNanoseconds: UInt64 = 7_000_000

  /// How often members are asked: more often while somebody waits, and while something is wrong.
  var interval: UInt64 {
    if isBusy { return Self.busyInterval }
    let isWrong = members.contains { $0.pid != nil && $0.reportedState == .unhealthy }
    return isWrong || !faults.isEmpty ? Self.alertInterval : Self.idleInterval
  }

  /// Who leads, as told last.
  struct Leadership: Sendable, Equatable {
    /// Place of the member; `nil` for nobody.
    var member: Int?
    var term: UInt64
  }

  /// Somebody who asked for the status, and whose answers are still missing.
  struct StatusWaiter: Sendable {
    var missing: Set<Int>
    var deadline: UInt64
  }

  mutating func tick(_ now: UInt64) {
    killTheRest(now)
    if phase == .starting || phase == .running {
      for member in members.indices { probe(member, olderThan: interval, now) }
    }
    checkStart(now)
    jobsDue(now)
    changesDue(now)
    faultsDue(now)
    answerStatus(now)
  }

  /// Asks a member unless it was asked just now, or has not answered yet.
  private mutating func probe(_ member: Int, olderThan age: UInt64, _ now: UInt64) {
    guard members[member].mayBeAsked(now, olderThan: age) else { return }
    members[member].asked(now)
    out.append(.probe(member, run: members[member].run))
  }

  mutating func observed(_ member: Int, _ run: Int, _ found: Observation?, _ now: UInt64) {
    guard run == members[member].run else { return }
    let before = members[member].observation
    members[member].observed(found, now)
    tellOfProblems(member, before?.problems ?? [], found?.problems)
    tellOfLeader()
    checkStart(now)
    jobsObserved(member, now)
    for ticket in statusWaiters.keys.sorted() {
      statusWaiters[ticket]?.missing.remove(member)
    }
    answerStatus(now)
  }

  /// Writes down what a member complains of, and alarms as such when they are raised and when they are gone.
  /// - Source: etcd `etcdserver/api/v3rpc/maintenance.go`: errors of a status are alarms as texts, and others.
  private mutating func tellOfProblems(_ member: Int, _ before: [String], _ now: [String]?) {
    guard let now else { return }
    let name = members[member].name
    for problem in now where !before.contains(problem) {
      tell(problem.contains("alarm:") ? "alarm" : "problem", member, "\(name): \(problem)")
    }
    for problem in before where problem.contains("alarm:") && !now.contains(problem) {
      tell("alarm-cleared", member, "\(name): no longer \(problem)")
    }
  }

  /// The place of the leader by the highest term that a running member knows.
  var leaderPlace: Int? { currentLeadership.member }

  private var currentLeadership: Leadership {
    var best = Leadership(member: nil, term: 0)
    for life in members where life.pid != nil {
      guard let seen = life.observation, seen.term >= best.term,
        seen.leader != 0, seen.leader != Observation.somebody,
        let place = members.firstIndex(where: { $0.id == seen.leader && $0.pid != nil })
      else { continue }
      best = Leadership(member: place, term: seen.term)
    }
    return best
  }

  private mutating func tellOfLeader() {
    let current = currentLeadership
    guard current != leader, phase == .starting || phase == .running else { return }
    if let place = current.member {
      leader = current
      tell("leader", place, "\(members[place].name) leads in term \(current.term)")
    } else if leader?.member != nil {
      leader = current
      tell("no-leader", nil, "no member knows a leader")
    }
  }

  // MARK: the start

  /// Whether all that run are healthy and know the same leader.
  private var isSettled: Bool {
    let running = members.filter { !$0.isRemoved && $0.startsWithCluster }
    let leaders = Set(running.map { $0.observation?.leader ?? 0 }).subtracting([
      Observation.somebody
    ])
    return running.allSatisfy { $0.reportedState == .healthy } && leaders.count == 1
      && !leaders.contains(0)
  }

  private mutating func checkStart(_ now: UInt64) {
    guard phase == .starting, startDeadline != .max else { return }
    if let failed = members.first(where: { $0.failure != nil }) {
      return fail(
        "\(failed.name) ended with \(failed.failure ?? "?") before it was healthy;"
          + " \(whereToLook(failed))")
    }
    if isSettled && members.allSatisfy({ !$0.startsWithCluster || $0.pid != nil }) {
      return setUp()
    }
    guard now >= startDeadline else { return }
    let missing = members.filter { $0.startsWithCluster && $0.reportedState != .healthy }
    let names = missing.map(\.name).joined(separator: ", ")
    let log = missing.first?.plan.logFile ?? ""
    fail("not healthy after \(startSeconds) s: \(names); see \(log)")
  }

  func whereToLook(_ life: MemberLife) -> String {
    "see \(life.plan.logFile)" + (life.lastWords.isEmpty ? "" : ": \(life.lastWords)")
  }

  // MARK: status

  mutating func askStatus(_ ticket: Ticket, _ now: UInt64) {
    var missing: Set<Int> = []
    if phase == .running || phase == .starting {
      for member in members.indices where members[member].pid != nil {
        probe(member, olderThan: Self.freshNanoseconds, now)
        // One that has not answered for long will not do so now.
        if members[member].wasAsked(at: now, within: Self.freshNanoseconds) {
          missing.insert(member)
        }
      }
    }
    statusWaiters[ticket] = StatusWaiter(
      missing: missing, deadline: now &+ Self.statusNanoseconds)
    answerStatus(now)
  }

  private mutating func answerStatus(_ now: UInt64) {
    for (ticket, waiter) in statusWaiters.sorted(by: { $0.key < $1.key })
    where waiter.missing.isEmpty || now >= waiter.deadline {
      statusWaiters[ticket] = nil
      out.append(.answer(ticket, status(now)))
    }
  }

  var reports: [MemberReport] { reports(now: nil) }

  private func reports(now: UInt64?) -> [MemberReport] {
    let leading = leaderPlace
    return members.indices.filter { !members[$0].isRemoved }.map {
      members[$0].report(isLeader: $0 == leading, now: now)
    }
  }

  func status(_ now: UInt64) -> JSONObject {
    let reports = reports(now: now)
    let quorum = Quorum(reports)
    let endpoints = reports.map { JSONValue.string($0.plan.clientURL) }
    var status: JSONObject = [
      "directory": .string(plan.directory), "phase": .string(phase.name),
      "tls": .string(plan.security.rawValue), "auth": .bool(plan.auth != nil),
      "quorum": [
        "voters": .integer(quorum.voters), "needed": .integer(quorum.needed),
        "healthy": .integer(quorum.healthy), "held": .bool(quorum.isHeld),
      ],
      "leader": leaderPlace.map { .string(members[$0].name) } ?? .null,
      "term": .integer(leader?.term ?? 0), "endpoints": .array(endpoints),
      "members": .array(reports.map(\.json)), "faults": .array(faults.map { $0.json(now) }),
      "zones": .array(plan.zones.lines.map(JSONValue.string)),
    ]
    status["page"] = page.map(JSONValue.string)
    return status
  }
}

/// How many members are needed and there. Pure.
public struct Quorum: Sendable, Equatable {
  public let voters: Int
  public let healthy: Int
  public var needed: Int { voters / 2 + 1 }
  public var isHeld: Bool { healthy >= needed }

  public init(_ reports: [MemberReport]) {
    let voting = reports.filter { !$0.plan.isLearner }
    voters = voting.count
    healthy = voting.count { $0.state == .healthy }
  }
}
