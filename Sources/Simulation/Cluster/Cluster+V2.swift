import Checkers
import EtcdAPI
import Member
import Protobuf
import Raft
import V2Store

/// Clients of the v2 API, and what they were told: one history for each key.
struct V2World {
  struct Call {
    let request: RequestID
    let time: Int
    let key: Int
    let action: RegisterChecker.Action
    let called: Int
  }

  let keys: [String]

  /// The request that each client waits for.
  var calls: [Int: Call] = [:]
  var steps: [[RegisterChecker.Step]] = [[], []]
  /// What was seen last, for comparisons.
  var seen = [0, 0]
  var made = 0
  /// Indexes that writes were told, which are all different.
  var indexes: Set<UInt64> = []

  /// - Parameter chapter: that of a life; each has keys that nobody used before.
  init(chapter: Int = 0) {
    let end = chapter == 0 ? "" : ".\(chapter)"
    keys = ["/1/a" + end, "/1/folder/b" + end]
  }
}

/// The keys of the v2 store are registers, and no two changes have one index.
extension Cluster {
  private static let v2Patience = 40 * tickUnits

  func stepV2(_ client: Int) {
    guard callsAllowed else { return }
    queue.add(.v2(client: client), at: now + 1 + random.below(6 * Self.tickUnits))
    if let call = v2World.calls[client] {
      guard now - call.time > Self.v2Patience else { return }
      forget(call)
      v2World.calls[client] = nil
    }
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]!.member else { return }
    if chance(oneIn: 8) { return putMortal(member, id) }
    let key = random.below(v2World.keys.count)
    v2World.made += 1
    var request = Etcdserverpb.Request(id: member.makeRequestID().rawValue, path: v2World.keys[key])
    let action = choose(&request, key)
    clock += 1
    v2World.calls[client] = V2World.Call(
      request: RequestID(request.id), time: now, key: key, action: action, called: clock)
    var entry = Etcdserverpb.InternalRaftRequest(
      header: Etcdserverpb.RequestHeader(id: request.id))
    entry.v2 = request
    let data = chance(oneIn: 2) ? entry.encoded() : request.encoded()
    post(.propose([Proposal(id: RequestID(request.id), data: data)]), to: id)
  }

  /// Puts a key that ends by itself, when whoever leads says so: the same moment of the log on every member.
  private func putMortal(_ member: SimulatedMember, _ id: MemberID) {
    let number = member.makeRequestID()
    let request = Etcdserverpb.Request(
      id: number.rawValue, method: "PUT", path: "/1/mortal/\(random.below(3))", val: "x",
      expiration: timeOfDay(at: id) + Int64(random.below(5)) * 1_000_000_000)
    post(.propose([Proposal(id: number, data: request.encoded())]), to: id)
  }

  /// A leader looks at its clock, as its shell does twice a second.
  func endLivesOfV2(_ id: MemberID) {
    guard let member = nodes[id]?.member, member.core.isLeader, chance(oneIn: 5),
      member.core.status.hasExpiringV2Keys
    else { return }
    let number = member.makeRequestID()
    let request = Etcdserverpb.Request(
      id: number.rawValue, method: "SYNC", time: timeOfDay(at: id))
    post(.propose([Proposal(id: number, data: request.encoded())]), to: id)
  }

  /// Fills in what is asked.
  private func choose(_ request: inout Etcdserverpb.Request, _ key: Int) -> RegisterChecker.Action {
    let new = v2World.made
    let expected = v2World.seen[key]
    switch random.below(10) {
    case 0..<3:
      request.method = "QGET"
      return .read(0)
    case 3:
      request.method = "DELETE"
      return .delete(existed: nil)
    case 4..<7:
      (request.method, request.val) = ("PUT", "\(new)")
      if expected == 0 { request.prevExist = false } else { request.prevValue = "\(expected)" }
      return .compareAndPut(expected: expected, new: new, succeeded: nil)
    default:
      (request.method, request.val) = ("PUT", "\(new)")
      return .write(new)
    }
  }

  /// Nobody knows what became of a request.
  private func forget(_ call: V2World.Call) {
    if case .read = call.action { return }
    v2World.steps[call.key].append(
      RegisterChecker.Step(action: call.action, called: call.called, returned: nil))
  }

  /// - Returns: whether the reply is one to a client of the v2 API.
  func answerV2(_ reply: Reply) -> Bool {
    guard let (client, call) = v2World.calls.first(where: { $0.value.request == reply.id }) else {
      return false
    }
    v2World.calls[client] = nil
    guard case .v2(let answer) = reply.outcome, let action = outcome(of: call, answer) else {
      forget(call)
      return true
    }
    clock += 1
    counters.v2Answers += 1
    v2World.steps[call.key].append(
      RegisterChecker.Step(action: action, called: call.called, returned: clock))
    return true
  }

  /// The action with what it gave; `nil` when the answer does not tell.
  private func outcome(of call: V2World.Call, _ answer: V2Answer) -> RegisterChecker.Action? {
    let key = call.key
    switch (call.action, answer) {
    case (.read, .found(let found)):
      let value = Int(found.event().node.value ?? "") ?? -1
      v2World.seen[key] = value
      return .read(value)
    case (.read, .refused(let error)) where error.code == .keyNotFound:
      v2World.seen[key] = 0
      return .read(0)
    case (.write(let new), .event(let event)), (.compareAndPut(_, let new, _), .event(let event)):
      v2World.seen[key] = new
      note(event, call)
      if case .compareAndPut(let expected, _, _) = call.action {
        return .compareAndPut(expected: expected, new: new, succeeded: true)
      }
      return .write(new)
    case (.compareAndPut(let expected, let new, _), .refused):
      // What was expected is not there, so that the next one asks for something else.
      v2World.seen[key] = 0
      return .compareAndPut(expected: expected, new: new, succeeded: false)
    case (.delete, .event(let event)):
      v2World.seen[key] = 0
      note(event, call)
      return .delete(existed: true)
    case (.delete, .refused(let error)) where error.code == .keyNotFound:
      v2World.seen[key] = 0
      return .delete(existed: false)
    default:
      problems.append("a request of the v2 API, \(call.action), was answered \(answer)")
      return nil
    }
  }

  private func note(_ event: V2Event, _ call: V2World.Call) {
    if !v2World.indexes.insert(event.index).inserted {
      problems.append("v2 index \(event.index) was given twice, now to \(call.action)")
    }
  }

  /// Whether what clients saw of the v2 store can have been. Those who still wait are not heard any more.
  func checkV2() {
    for call in v2World.calls.sorted(by: { $0.key < $1.key }) { forget(call.value) }
    for (key, steps) in v2World.steps.enumerated() {
      switch RegisterChecker.verdict(on: steps.sorted { $0.called < $1.called }).0 {
      case .linearizable: continue
      case .violation:
        problems.append("the history of v2 key \(v2World.keys[key]) is not linearizable")
      case .undecided:
        problems.append("the history of v2 key \(v2World.keys[key]) is too wide to decide")
      }
    }
    v2World = V2World(chapter: lifeWorld.chapter)
  }
}
