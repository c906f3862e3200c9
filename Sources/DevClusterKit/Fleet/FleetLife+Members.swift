import Bytes
import JSON

/// Members that join and leave a living cluster, and what makes a new cluster as it was asked for.
extension FleetLife {
  /// What is done once all members are healthy, before the user hears of it.
  enum SetupStep: Sendable, Equatable {
    case call(MemberCall)
    /// Users were made and authentication is on.
    case authReady
    /// A learner of the plan joins.
    case join(String)
  }

  /// Somebody joins or leaves.
  struct Change: Sendable {
    enum Kind: Sendable, Equatable {
      case add(MemberPlan)
      case leave(MemberChange)
    }
    let kind: Kind
    /// Place of whom it is about; one that joins has none yet.
    var place: Int?
    /// Others whose turn comes after it.
    var next: [Int] = []
    let deadline: UInt64
    let wait: Int
    /// When it is tried again, after a refusal that passes.
    var retryAt: UInt64 = .max
    var names: [String] = []
  }

  /// Time for which refusals that pass are not told: a cluster that has just changed takes 5 s to be asked again.
  private static let changeNanoseconds: UInt64 = 15_000_000_000
  private static let retryNanoseconds: UInt64 = 100_000_000
  /// Ticket of what nobody asked for by the control socket.
  static let setupTicket: Ticket = -1

  // MARK: setup

  static func setup(_ plan: ClusterPlan) -> [SetupStep] {
    var steps: [SetupStep] = []
    if !plan.wasHealthy {
      steps += plan.seed.map { pair in
        .call(
          MemberCall(
            path: "/v3/kv/put",
            body: [
              "key": .string(Base64.standard.encode(Bytes(pair.key)).string),
              "value": .string(Base64.standard.encode(Bytes(pair.value)).string),
            ]))
      }
    }
    if let auth = plan.auth, !plan.isAuthReady {
      steps += auth.calls.map(SetupStep.call) + [.authReady]
    }
    steps += plan.members.filter { $0.isLearner && $0.joined == nil && $0.startsWithCluster }.map {
      .join($0.name)
    }
    return steps
  }

  /// The next step of the setup, or the end of the start.
  mutating func setUp() {
    guard !isSettingUp else { return }
    guard let step = setup.first else {
      plan.wasHealthy = true
      keepPlan()
      return out.append(.announce(reports))
    }
    isSettingUp = true
    switch step {
    case .call(let call):
      out.append(
        .call(CallID(purpose: .setup, ticket: Self.setupTicket), call, from: callees))
    case .authReady:
      plan.isAuthReady = true
      setup.removeFirst()
      isSettingUp = false
      // Settled is who answers with a password.
      for place in members.indices { members[place].askAnew() }
    case .join(let name):
      guard let place = members.firstIndex(where: { $0.name == name }) else { return setUpNext() }
      changes[Self.setupTicket] = Change(
        kind: .add(members[place].plan), place: place, deadline: startDeadline, wait: startSeconds)
      callAdd(Self.setupTicket)
    }
  }

  mutating func setUpNext() {
    if !setup.isEmpty { setup.removeFirst() }
    isSettingUp = false
    setUp()
  }

  /// Members to ask, the leader first: it needs nobody else.
  private var callees: [Int] {
    let leading = leaderPlace
    let able = members.indices.filter {
      members[$0].reportedState == .healthy && !members[$0].plan.isLearner
    }
    return able.filter { $0 == leading } + able.filter { $0 != leading }
  }

  // MARK: joining

  mutating func add(
    _ learner: Bool, _ ticket: Ticket, _ wait: Int, _ now: UInt64
  ) throws(DevClusterError) {
    // Nor may one write into its directory that has left and still ends.
    let taken = Set(members.filter { !$0.isRemoved || $0.pid != nil }.map(\.plan.index))
    guard let index = (1...ClusterPlan.membersMax).first(where: { !taken.contains($0) }) else {
      throw DevClusterError("a cluster of devcluster has at most \(ClusterPlan.membersMax) members")
    }
    var member = plan.newMember(index)
    member.isLearner = learner
    changes[ticket] = Change(
      kind: .add(member), place: nil, deadline: now &+ Self.changeNanoseconds, wait: wait)
    callAdd(ticket)
  }

  private mutating func callAdd(_ ticket: Ticket) {
    guard case .add(let member) = changes[ticket]?.kind else { return }
    let body: JSONObject = [
      "peerURLs": [.string(member.peerURL)], "isLearner": .bool(member.isLearner),
    ]
    out.append(
      .call(
        CallID(purpose: .addMember, ticket: ticket),
        MemberCall(path: "/v3/cluster/member/add", body: body), from: callees))
  }

  private mutating func added(_ ticket: Ticket, _ now: UInt64) {
    guard let change = changes.removeValue(forKey: ticket), case .add(var member) = change.kind
    else { return }
    let others = plan.members.filter {
      $0.name != member.name && ($0.joined != nil || !$0.isLearner)
    }
    member.joined = (others + [member]).map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",")
    let place = change.place ?? members.count
    if change.place == nil {
      members.append(MemberLife(member))
      out.append(.adopt(place))
    } else {
      members[place].plan = member
    }
    keepPlan()
    tell("add", place, "\(member.name) joins" + (member.isLearner ? " as a learner" : ""))
    var job = Job(wait: change.wait)
    job.names = [member.name]
    do throws(DevClusterError) {
      act(place, try members[place].start())
      job.waiting[place] = .spawn
    } catch { job.refusals.append(error.description) }
    if ticket == Self.setupTicket { return setUpNext() }
    jobs[ticket] = job
  }

  // MARK: leaving, becoming a voter

  mutating func change(
    _ kind: MemberChange, _ who: [String], _ ticket: Ticket, _ now: UInt64
  ) throws(DevClusterError) {
    let places = try places(who)
    if kind == .remove && places.count >= members.count(where: { !$0.isRemoved }) {
      throw DevClusterError("a cluster keeps one member; devcluster clean removes it whole")
    }
    if kind == .promote, let voter = places.first(where: { !members[$0].plan.isLearner }) {
      throw DevClusterError("\(members[voter].name) is a voter already")
    }
    guard let first = places.first else { return }
    var change = Change(
      kind: .leave(kind), place: first, deadline: now &+ Self.changeNanoseconds, wait: 0)
    change.next = Array(places.dropFirst())
    changes[ticket] = change
    callList(kind, ticket)
  }

  private mutating func callList(_ kind: MemberChange, _ ticket: Ticket) {
    out.append(
      .call(
        CallID(purpose: .list(kind), ticket: ticket),
        MemberCall(path: "/v3/cluster/member/list", body: [:]), from: callees))
  }

  private mutating func listed(_ kind: MemberChange, _ ticket: Ticket, _ list: JSONValue) {
    guard let place = changes[ticket]?.place else { return }
    let life = members[place]
    let found = list["members"]?.array?.first { member in
      member["peerURLs"]?.array?.contains { $0.string == life.plan.peerURL } ?? false
    }
    guard let id = found?["ID"]?.string else {
      changes[ticket] = nil
      let error = DevClusterError("the cluster has no member with the URL \(life.plan.peerURL)")
      return out.append(.answer(ticket, Self.refusal(error)))
    }
    let path = kind == .remove ? "/v3/cluster/member/remove" : "/v3/cluster/member/promote"
    // One that is removed does not answer for it: it ends.
    let asked = callees.filter { kind == .promote || $0 != place }
    out.append(
      .call(
        CallID(purpose: .change(kind), ticket: ticket),
        MemberCall(path: path, body: ["ID": .string(id)]), from: asked.isEmpty ? callees : asked))
  }

  private mutating func changed(_ kind: MemberChange, _ ticket: Ticket, _ now: UInt64) {
    guard var change = changes[ticket], let place = change.place else { return }
    let name = members[place].name
    switch kind {
    case .promote:
      members[place].plan.isLearner = false
      tell("promote", place, "\(name) votes")
    case .remove:
      tell("remove", place, "\(name) leaves")
      act(place, members[place].kill())
      members[place].isRemoved = true
      out.append(.forget(members[place].plan))
    }
    keepPlan()
    change.names.append(name)
    guard let next = change.next.first else {
      changes[ticket] = nil
      return out.append(
        .answer(ticket, ["members": .array(change.names.map(JSONValue.string))]))
    }
    change.next.removeFirst()
    change.place = next
    changes[ticket] = change
    callList(kind, ticket)
  }

  // MARK: answers

  mutating func called(
    _ id: CallID, _ result: Result<JSONValue, DevClusterError>, _ now: UInt64
  ) {
    switch (result, id.purpose) {
    case (.success, .setup): if phase == .starting { setUpNext() }
    case (.failure(let error), .setup): fail("cannot set the cluster up: \(error.description)")
    case (.success, .addMember): added(id.ticket, now)
    case (.success(let list), .list(let kind)): listed(kind, id.ticket, list)
    case (.success, .change(let kind)): changed(kind, id.ticket, now)
    case (.failure(let error), _): changeFailed(id.ticket, error, now)
    }
  }

  private mutating func changeFailed(_ ticket: Ticket, _ error: DevClusterError, _ now: UInt64) {
    guard var change = changes[ticket] else { return }
    if now < change.deadline && error.isPassing {
      change.retryAt = now &+ Self.retryNanoseconds
      changes[ticket] = change
      return
    }
    changes[ticket] = nil
    if ticket == Self.setupTicket { return fail("cannot add a learner: \(error.description)") }
    out.append(.answer(ticket, Self.refusal(error)))
  }

  /// Tries again what was refused for a reason that passes.
  mutating func changesDue(_ now: UInt64) {
    for (ticket, change) in changes.sorted(by: { $0.key < $1.key }) where now >= change.retryAt {
      changes[ticket]?.retryAt = .max
      switch change.kind {
      case .add: callAdd(ticket)
      case .leave(let kind): callList(kind, ticket)
      }
    }
  }
}

extension DevClusterError {
  /// Whether it may be different soon.
  /// - Source: etcd `api/v3rpc/rpctypes/error.go`.
  var isPassing: Bool {
    [
      "unhealthy cluster", "in sync with leader", "too many learner", "no leader",
      "leader changed", "not enough started members", "timed out", "no member answered",
    ].contains { description.contains($0) }
  }
}
