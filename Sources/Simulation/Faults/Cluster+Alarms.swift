import Checkers
import EtcdAPI
import Member
import Protobuf
import Raft

/// Members that say that their quota is used up, and somebody who makes room and ends the alarm.
struct AlarmWorld {
  /// Every put that lies between these calls and returns has to be refused.
  struct Period {
    let raised: Int
    var ended: Int?
  }

  enum Step {
    case raise, end
  }

  var owner: MemberID?
  var endsAt = 0
  var isRaised = false
  var call: (number: RequestID, time: Int, step: Step)?
  var periods: [Period] = []
  /// Whether the end of an alarm may be under way of which nobody heard.
  var isDoubtful = false
}

extension Cluster {
  private static let alarmPatience = 30 * tickUnits

  /// A member without room raises its alarm, as its quota does (`RunningMember.reserve`).
  func raiseAlarm(for id: MemberID) {
    guard alarmWorld.owner == nil, nodes[id]!.member != nil else { return }
    hit(.quotaAlarm, name(id))
    alarmWorld.owner = id
    alarmWorld.endsAt = now + (5 + random.below(60)) * Self.tickUnits
  }

  func stepAlarm() {
    queue.add(.alarm, at: now + 1 + random.below(4 * Self.tickUnits))
    if alarmWorld.owner == nil, let late = ids.compactMap({ alarm(at: $0) }).first {
      // It was asked for more than once, and the last time came behind the end.
      (alarmWorld.owner, alarmWorld.isRaised, alarmWorld.isDoubtful) = (late, true, true)
    }
    guard let owner = alarmWorld.owner else { return }
    if let call = alarmWorld.call {
      guard now - call.time > Self.alarmPatience else { return }
      if call.step == .end { alarmWorld.isDoubtful = true }
      alarmWorld.call = nil
    }
    let isOver = now >= alarmWorld.endsAt || !faultsAllowed
    guard isOver || !alarmWorld.isRaised else { return }
    let step: AlarmWorld.Step = isOver ? .end : .raise
    let request = Etcdserverpb.AlarmRequest(
      action: isOver ? .deactivate : .activate, memberID: owner.rawValue, alarm: .nospace)
    let fill: (inout Etcdserverpb.InternalRaftRequest) -> Void = { $0.alarm = request }
    propose(fill) { member in
      let number = member.makeRequestID()
      alarmWorld.call = (number, now, step)
      if step == .end { endPeriod() }
      return number
    }
  }

  /// From the first call that may end it on, an alarm promises nothing.
  private func endPeriod() {
    clock += 1
    if let last = alarmWorld.periods.indices.last, alarmWorld.periods[last].ended == nil {
      alarmWorld.periods[last].ended = clock
    }
  }

  /// - Returns: whether the reply is one about an alarm.
  func answerAlarm(_ reply: Reply) -> Bool {
    guard let call = alarmWorld.call, call.number == reply.id else { return false }
    alarmWorld.call = nil
    guard case .alarms = reply.outcome else {
      if call.step == .end { alarmWorld.isDoubtful = true }
      return true
    }
    switch call.step {
    case .raise:
      alarmWorld.isRaised = true
      clock += 1
      if !alarmWorld.isDoubtful { alarmWorld.periods.append(AlarmWorld.Period(raised: clock)) }
    case .end:
      // One that was asked for before, and of which nobody heard, may still come.
      guard alarmsAreGone else { return true }
      alarmWorld.isRaised = false
      alarmWorld.owner = nil
    }
    return true
  }

  /// Whether no member knows of an alarm.
  var alarmsAreGone: Bool { ids.allSatisfy { alarm(at: $0) == nil } }

  /// For whom a member knows of an alarm.
  private func alarm(at id: MemberID) -> MemberID? {
    nodes[id]!.member?.core.status.alarms.first.map { MemberID($0.memberID) }
  }

  /// Nobody who was refused is heard, and nobody is heard who had to be refused.
  func checkRefusals() {
    var refused: [Int: Int] = [:]
    for (position, operation) in history.enumerated() {
      if case .refused = operation.result {
        counters.refused += 1
        for effect in operation.effects where effect.value != 0 { refused[effect.value] = position }
      }
      guard operation.puts, case .wrote = operation.result, let returned = operation.returned else {
        continue
      }
      for period in alarmWorld.periods
      where operation.called > period.raised && returned < period.ended ?? Int.max {
        problems.append("\(operation) was done while the quota was used up")
      }
    }
    for (revision, events) in watchWorld.ledger.changes {
      for event in events {
        guard let value = event.value, let position = refused[ClientRequest.value(value)] else {
          continue
        }
        problems.append("revision \(revision) shows \(history[position]), which was refused")
      }
    }
  }
}

extension Operation {
  /// Whether it needs room.
  fileprivate var puts: Bool {
    switch request {
    case .put, .compareAndPut, .putBoth, .keepOnly, .putAndLook: true
    case .delete, .compact, .range, .past: false
    }
  }
}
