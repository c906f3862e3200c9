import EtcdAPI
import Member
import Membership
import Raft

/// An operator who changes members, one at a time, and never takes one from a pair: the one that stays
/// may not hear that it is alone.
struct ChangeWorld {
  enum Change: Hashable {
    case add(MemberID)
    case promote(MemberID)
    case remove(MemberID)
  }

  /// Members that never ran.
  var spares: [MemberID] = []
  var learner: MemberID?
  /// Whether it comes in the place of a voter.
  var isReplacement = false
  /// What is asked for until its outcome is known.
  var change: Change?
  /// Whether the change may be in some log already.
  var isProposed = false
  var call: (number: RequestID, time: Int, isQuestion: Bool)?
}

extension Cluster {
  private static let changePatience = 40 * tickUnits
  private static let leastVoters = 3
  /// A removed member stops this long after it knows, as etcd does.
  private static let farewell = 10 * tickUnits

  /// Whether no change is under way, and nobody waits for one.
  var isMembershipSettled: Bool { changeWorld.change == nil && damageWorld.dead == nil }

  func stepChange() {
    if !callsAllowed, !changeWorld.isProposed, damageWorld.dead == nil {
      changeWorld.change = nil
      changeWorld.call = nil
      if options.life != nil {
        queue.add(.changeStep, at: now + LifeOptions.restTicks * Self.tickUnits)
      }
      return
    }
    queue.add(.changeStep, at: now + 1 + random.below(15 * Self.tickUnits))
    if let call = changeWorld.call {
      guard now - call.time > Self.changePatience else { return }
      changeWorld.call = nil
    }
    if changeWorld.change == nil {
      changeWorld.change = chooseChange()
      changeWorld.isProposed = false
    }
    guard let change = changeWorld.change else { return }
    let leaders = ids.filter { nodes[$0]!.member?.core.isLeader == true }
    let id = (leaders.isEmpty || chance(oneIn: 4) ? ids : leaders).randomElement(using: &random)
    guard let id, let member = nodes[id]!.member else { return }
    if case .promote(let learner) = change {
      let number = member.makeRequestID()
      changeWorld.call = (number, now, true)
      post(.checkLearner(id: number, learner: learner), to: id)
    } else {
      propose(change, at: id, member)
    }
  }

  private func chooseChange() -> ChangeWorld.Change? {
    if let dead = damageWorld.dead { return .remove(dead) }
    // Nobody takes a member away while the disk of another one may hold less than it said.
    if damageWorld.victim != nil { return nil }
    if let successor = damageWorld.successor {
      damageWorld.successor = nil
      changeWorld.isReplacement = true
      return .add(successor)
    }
    if let learner = changeWorld.learner {
      if has(.removeMember), chance(oneIn: 5) { return .remove(learner) }
      return has(.promoteLearner) || changeWorld.isReplacement ? .promote(learner) : nil
    }
    let canRemove = has(.removeMember) && ids.count >= Self.leastVoters
    if !changeWorld.spares.isEmpty, !canRemove || chance(oneIn: 2) {
      changeWorld.isReplacement = false
      return .add(changeWorld.spares.removeFirst())
    }
    return canRemove ? .remove(ids[random.below(ids.count)]) : nil
  }

  private func propose(_ change: ChangeWorld.Change, at id: MemberID, _ member: SimulatedMember) {
    let number = member.makeRequestID()
    changeWorld.call = (number, now, false)
    changeWorld.isProposed = true
    trace("\(change) is asked of \(name(id))")
    let raw: Raftpb.ConfChange
    switch change {
    case .add(let new):
      var info = nodes[new]!.info
      info.isLearner = true
      raw = Raftpb.ConfChange(
        type: .addLearnerNode, nodeID: new.rawValue, context: info.json(isPromote: false))
    case .promote(let learner):
      raw = Raftpb.ConfChange(
        type: .addNode, nodeID: learner.rawValue,
        context: nodes[learner]!.info.json(isPromote: true))
    case .remove(let gone): raw = Raftpb.ConfChange(type: .removeNode, nodeID: gone.rawValue)
    }
    post(.changeMembers(id: number, raw), to: id)
  }

  /// - Returns: whether the reply from a member is one to the operator.
  func answerChange(_ reply: Reply, from id: MemberID) -> Bool {
    guard let call = changeWorld.call, call.number == reply.id,
      let change = changeWorld.change
    else { return false }
    changeWorld.call = nil
    switch (reply.outcome, change) {
    case (.done, .promote) where call.isQuestion:
      if let member = nodes[id]!.member { propose(change, at: id, member) }
    case (.members, _): finish(change)
    // An earlier proposal of the same change was applied.
    case (.failed(.memberExists), .add), (.failed(.memberNotLearner), .promote): finish(change)
    case (.failed(let error), .remove) where error == EtcdError(MembershipError.idRemoved):
      finish(change)
    case (.failed(.tooManyLearners), _), (.failed(.peerURLExists), _):
      problems.append("\(change) was refused: \(reply.outcome)")
    default: break
    }
    return true
  }

  private func finish(_ change: ChangeWorld.Change) {
    trace("\(change) is done")
    counters.memberChanges += 1
    changeWorld.change = nil
    changeWorld.isProposed = false
    switch change {
    case .add(let id):
      if !changeWorld.isReplacement { hit(.addLearner) }
      changeWorld.learner = id
      ids.append(id)
      start(id)
    case .promote:
      hit(.promoteLearner)
      changeWorld.learner = nil
    case .remove(let id) where id == damageWorld.victim:
      ids.removeAll { $0 == id }
      replace(id)
    case .remove(let id):
      hit(.removeMember)
      if changeWorld.learner == id { changeWorld.learner = nil }
      ids.removeAll { $0 == id }
    }
  }

  // MARK: Removed members

  /// A member learnt that it was removed.
  func sayGoodbye(_ id: MemberID) {
    queue.add(.retire(id, life: nodes[id]!.life), at: now + Self.farewell)
  }

  /// The process ends and does not come back.
  func retire(_ id: MemberID) {
    trace("\(name(id)) stops, as it was removed")
    nodes[id]!.fileSystem.powerOff()
    nodes[id]!.member = nil
    nodes[id]!.life += 1
    for operation in (waiting.removeValue(forKey: id) ?? [:]).values.sorted() { lose(operation) }
  }

  /// Peers that a member's transport dials, after changes of the membership.
  func noteChanges(_ changes: [Membership.Change], at id: MemberID) {
    for change in changes {
      switch change {
      case .add(let member): nodes[id]!.peers.insert(member.id)
      case .remove(let gone): nodes[id]!.peers.remove(gone)
      case .promote, .update: continue
      }
    }
  }

  /// Members, and who of them learns, are those of raft's configuration; who was removed has no part in it.
  func verifyMembership(_ id: MemberID, _ member: SimulatedMember) {
    let state = member.core.confState
    let members = member.core.membership.members.values
    let learners = Set(members.filter(\.isLearner).map(\.id.rawValue))
    let known = Set(members.map(\.id.rawValue))
    if learners != Set(state.learners + state.learnersNext)
      || known.subtracting(learners) != Set(state.voters)
    {
      problems.append("\(name(id)) knows the members \(known), learners \(learners), raft \(state)")
    }
    for gone in member.core.membership.removed where state.counts(gone) {
      problems.append("\(name(id)) counts on \(name(gone)), which was removed")
    }
  }
}

extension Raftpb.ConfState {
  /// Whether a member votes, learns, or is about to leave.
  func counts(_ member: MemberID) -> Bool {
    let id = member.rawValue
    return voters.contains(id) || learners.contains(id) || votersOutgoing.contains(id)
      || learnersNext.contains(id)
  }
}
