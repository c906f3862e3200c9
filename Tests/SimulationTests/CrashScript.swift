import Bytes
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Raft
import Simulation

/// A script of requests to a single member whose state after every step is known.
struct CrashScript {
  enum Step {
    case request(ClientRequest)
    case defragment
    case restart
  }

  static let own = MemberInfo(id: 0x1234_5678, peerURLs: ["http://127.0.0.1:2380"], name: "one")
  let steps: [Step]
  var options: SimulatedMember.Options

  /// Puts, deletes, transactions and compactions, with snapshots, log segments, defragmentations and
  /// restarts in between.
  init(seed: UInt64, steps count: Int) {
    var random = SplitMix64(seed: seed)
    var revision: Int64 = 1
    steps = (1...count).map { number in
      if number % 23 == 0 { return .defragment }
      if number % 31 == 0 { return .restart }
      let key = "key\(random.below(6))"
      switch random.below(10) {
      case 0: return .request(.delete(key: key))
      case 1: return .request(.putBoth(key, "other", value: number))
      case 2 where revision > 4:
        return .request(.compact(revision - Int64(random.below(3))))
      case 3: return .request(.compareAndPut(key: key, expected: 0, new: number))
      default:
        revision += 1
        return .request(.put(key: key, value: number))
      }
    }
    var options = SimulatedMember.Options()
    options.snapshotCount = 6
    options.catchUpEntries = 2
    options.segmentBytes = 1 << 10
    options.segmentsKept = 1
    options.snapshotsKept = 1
    self.options = options
  }

  /// The member after some steps.
  struct State: Equatable, CustomStringConvertible {
    let hash: StoreSnapshot.Hash
    let keys: [Bytes]

    var description: String { "\(hash) \(keys.count) keys" }
  }

  struct Progress {
    /// States before the first step and after each acknowledged one.
    var states: [State] = []
    /// Whether the client asked for something that was not answered.
    var isAsking = false
  }

  func open(_ fileSystem: SimulatedFileSystem) throws -> SimulatedMember {
    try SimulatedMember(
      fileSystem, founders: [Self.own], own: Self.own, options: options, firstRequest: 1, seed: 7)
  }

  /// Ticks until the member leads.
  func lead(_ member: SimulatedMember) throws {
    for _ in 0..<100 {
      member.tick()
      _ = try member.settle()
      if member.core.isLeader { return }
    }
    throw ScriptFailure("no leader after 100 ticks")
  }

  func state(_ member: SimulatedMember) throws -> State {
    let snapshot = member.core.snapshot()
    let all = try snapshot.range(
      Etcdserverpb.RangeRequest(key: Bytes([UInt8(0)]), rangeEnd: Bytes([UInt8(0)])))
    // The rows are slices of a database that the next process writes to.
    return State(hash: try snapshot.hash(at: 0), keys: all.rows.map { $0.detached() })
  }

  /// Runs the script from the beginning until its end or until the disk fails.
  func run(_ fileSystem: SimulatedFileSystem, _ progress: inout Progress) throws {
    var member = try open(fileSystem)
    try lead(member)
    progress.states = [try state(member)]
    for (number, step) in steps.enumerated() {
      switch step {
      case .request(let request):
        progress.isAsking = true
        try ask(request, member)
      case .defragment:
        member.defragment()
        _ = try member.settle()
      case .restart:
        try member.close()
        member = try open(fileSystem)
        try lead(member)
      }
      progress.isAsking = false
      progress.states.append(try state(member))
      if number % 3 == 0 {
        member.tick()
        _ = try member.settle()
      }
    }
    try member.close()
  }

  /// Sends a request and waits for its answer.
  func ask(_ request: ClientRequest, _ member: SimulatedMember) throws {
    let id = member.makeRequestID()
    guard let data = request.encoded(id: id) else { throw ScriptFailure("no write: \(request)") }
    member.post(.propose([Proposal(id: id, data: data)]))
    let replies = try member.settle().replies
    guard replies.contains(where: { $0.id == id }) else {
      throw ScriptFailure("no answer to \(request)")
    }
  }
}

struct ScriptFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
