import Bytes
import Checkers
import EtcdAPI
import Member
import MemberStorage
import Membership
import Protobuf
import Raft

/// How far a life has come.
struct LifeWorld {
  /// From one check of everything to the next.
  var chapter = 0
  /// Whether no client is there.
  var isResting = false
  var nextBurst = 0
  /// The revision at which the history of this chapter begins; what is older is forgotten.
  var firstRevision: Int64 = 1
  /// Revisions at earlier times, for the operator who compacts.
  var samples: [(time: Int, revision: Int64)] = []
}

/// A life is one cluster that goes on from chapter to chapter. In each it is mostly left alone: ticks, heartbeats, leases that are
/// renewed by the hour, watchers that wait. Now and then clients come for some minutes, and things go wrong, then and in
/// between. A chapter ends as a seed does: everything is mended, has to be whole again, and all that was told is checked.
/// Watchers and members go on into the next.
extension Cluster {
  /// The client in whose name a check asks: of those that have their rights all the time.
  var inspector: Int { options.life == nil ? 0 : options.clients + options.clients % 2 }

  func live(_ life: LifeOptions) {
    let day = options.units(milliseconds: 86_400_000)
    let end = life.days * day
    lifeWorld.isResting = true
    lifeWorld.nextBurst = now + 50 * Self.tickUnits
    while problems.isEmpty, now < end {
      queue.add(.burst(chapter: lifeWorld.chapter), at: max(now, lifeWorld.nextBurst))
      work(until: min(now + life.chapterDays * day, end)) { false }
      guard problems.isEmpty else { return }
      lifeWorld.chapter += 1
      lifeWorld.isResting = true
      lifeWorld.nextBurst = now + 2 * options.healTicks * Self.tickUnits
      heal()
      judge()
      if problems.isEmpty { checkSizes() }
      if problems.isEmpty { turnPage() }
    }
  }

  // MARK: Clients come and go

  func beginBurst() {
    counters.bursts += 1
    lifeWorld.isResting = false
    let ticks = (options.life?.burstTicks ?? 1) * Self.tickUnits
    let length = ticks / 2 + random.below(ticks)
    queue.add(.calm(chapter: lifeWorld.chapter), at: now + length)
    for _ in 0..<random.below(4) { queue.add(.strike, at: now + random.below(length)) }
  }

  func endBurst() {
    guard let life = options.life else { return }
    lifeWorld.isResting = true
    lifeWorld.nextBurst = now + 1 + random.below(2 * life.burstEvery * Self.tickUnits)
    queue.add(.burst(chapter: lifeWorld.chapter), at: lifeWorld.nextBurst)
    dropHistory(olderThan: now - life.retention * Self.tickUnits)
  }

  /// The operator compacts what is old enough.
  private func dropHistory(olderThan time: Int) {
    if let old = lifeWorld.samples.last(where: { $0.time <= time }) {
      lifeWorld.samples.removeAll { $0.time <= old.time }
      compact(to: old.revision, at: ids[random.below(ids.count)])
    }
    guard let revision = someLeader()?.member.core.status.revision else { return }
    lifeWorld.samples.append((now, revision))
  }

  /// When a client or an operator goes on who has a rest; `nil` = now.
  func rest(before action: EventQueue.Action) -> Int? {
    guard options.life != nil else { return nil }
    switch action {
    case .call, .lock, .authStep, .v2:
      guard lifeWorld.isResting || !callsAllowed else { return nil }
    // Who holds a lease comes for every renewal.
    case .lease: guard !callsAllowed else { return nil }
    case .fault: guard !faultsAllowed else { return nil }
    case .changeStep where changeWorld.change == nil && damageWorld.dead == nil,
      .alarm where alarmWorld.owner == nil:
      guard lifeWorld.isResting, callsAllowed else { return nil }
      return now + LifeOptions.restTicks * Self.tickUnits
    default: return nil
    }
    return max(now, lifeWorld.nextBurst) + 1 + random.below(20 * Self.tickUnits)
  }

  /// In a life some things last for a day.
  func longest(_ units: Int) -> Int {
    options.life != nil && chance(oneIn: 8) ? 200 * units : units
  }

  /// Whether a watcher never leaves by itself.
  func watchesForLife(_ number: Int) -> Bool { options.life != nil && number.isMultiple(of: 2) }

  // MARK: Ends of chapters

  /// Members that are down for long are started now.
  func hasten() {
    guard options.life != nil else { return }
    for id in ids where nodes[id]!.member == nil && id != damageWorld.dead {
      queue.add(.restart(id, life: nodes[id]!.life), at: now + Self.tickUnits)
    }
  }

  /// Nobody renews any more. Each lease has to end when its time is over, that of an election that came meanwhile, and by
  /// how much a clock may be slow; then nothing more is to happen that anybody asked for before.
  func outlastLeases() {
    let step = 20 * Self.tickUnits
    var (since, elections) = (now, counters.elections)
    while problems.isEmpty, !leasesAreGone {
      work(until: now + step) { false }
      if counters.elections != elections { (since, elections) = (now, counters.elections) }
      let leases = ids.flatMap { nodes[$0]!.member?.core.leaseIDs ?? [] }
      for lease in leases where now > since + longestLife(of: lease) + 2 * step {
        problems.append("lease \(lease) is still there at \(now), nobody renewed it since \(since)")
      }
    }
    work(until: now + 150 * Self.tickUnits) { false }
  }

  private func longestLife(of lease: LeaseID) -> Int {
    let ttl = leaseWorld.facts[lease]?.ttl ?? Int64(options.life?.leaseSeconds ?? 0)
    // A clock that is a fifth slow takes a quarter longer.
    return options.units(milliseconds: Int(ttl) * 1_250)
      + 2 * options.member.electionTicks * Self.tickUnits
  }

  /// All was found right: what happened so far is forgotten but for the state that it led to.
  private func turnPage() {
    guard let id = ids.first, let member = nodes[id]!.member else { return }
    let status = member.core.status
    facts.turnPage(at: status.appliedIndex, term: status.term)
    lifeWorld.firstRevision = status.revision
    do { try reopenHistory(at: id, member) } catch {
      return problems.append("\(name(id)) cannot read: \(error)")
    }
    watchWorld.turnPage(at: status.revision)
    leaseWorld.facts = [:]
    authWorld.revocations.removeAll { $0.grantCalled != nil }
    alarmWorld.periods.removeAll { $0.ended != nil }
    for gone in nodes.keys where isGone(gone) { nodes[gone]!.fileSystem = SimulatedFileSystem() }
    if ids.count < options.members + options.spares, changeWorld.spares.count < options.spares {
      changeWorld.spares.append(makeSpare())
    }
    faultsAllowed = true
    callsAllowed = true
  }

  /// A history that begins with the keys as they are, which has been found right.
  private func reopenHistory(at id: MemberID, _ member: SimulatedMember) throws {
    let everything = Etcdserverpb.RangeRequest(key: "k", rangeEnd: "l")
    let state = try OperationResult(everything, keys: keys, in: member.core.snapshot())
    guard case .read(_, let values) = state else { return }
    history = []
    let there = values.filter { $0.value.value != 0 }
    for (revision, group) in Dictionary(grouping: there, by: { $0.value.modified }).sorted(
      by: { $0.key < $1.key })
    {
      let keys = group.map(\.key).sorted()
      let value = group[0].value.value
      let request =
        keys.count == 2
        ? ClientRequest.putBoth(keys[0], keys[1], value: value) : .put(key: keys[0], value: value)
      var operation = Operation(
        client: inspector, request: request, member: id, user: nil, called: clock + 1)
      operation.returned = clock + 2
      operation.result = .wrote(revision: revision)
      clock += 2
      history.append(operation)
    }
  }

  /// Whether an answer is of a time that is forgotten: of a member that lags, which does not claim to be up to date.
  func isForgotten(_ result: OperationResult, _ request: Etcdserverpb.RangeRequest) -> Bool {
    guard request.serializable, let revision = result.revision else { return false }
    return revision < lifeWorld.firstRevision
  }

  private func isGone(_ id: MemberID) -> Bool {
    !ids.contains(id) && nodes[id]!.member == nil && damageWorld.victim != id
      && damageWorld.successor != id && !changeWorld.spares.contains(id)
  }

  private func makeSpare() -> MemberID {
    let number = nodes.count + 1
    let url = "http://10.0.1.\(number):2380"
    let info = MemberInfo(
      id: Identity.memberID(peerURLs: [url], token: "simulation"), peerURLs: [url],
      name: "m\(number)")
    nodes[info.id] = Node(info: info, fileSystem: SimulatedFileSystem())
    return info.id
  }
}

extension WatchWorld {
  /// Everybody has seen everything up to a revision.
  mutating func turnPage(at revision: Int64) {
    ledger = WatchLedger()
    faults = WatchFaults()
    for number in clients.indices {
      clients[number].seen = [:]
      clients[number].previous = []
      clients[number].gaps = []
      clients[number].heard = nil
      clients[number].first = revision + 1
    }
  }
}
