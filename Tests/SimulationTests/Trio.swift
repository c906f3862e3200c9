import Bytes
import EtcdAPI
import Member
import Membership
import Protobuf
import Raft
import Simulation

/// Three members, connected by a network that loses what it is told to.
final class Trio {
  var members: [UInt64: SimulatedMember] = [:]
  /// Members whose log thread is not run.
  var stuck: Set<UInt64> = []
  /// Messages that do not arrive.
  var isLost: (Raftpb.Message) -> Bool = { _ in false }
  /// Answers, by request.
  private(set) var answers: [RequestID: Outcome] = [:]
  var done: Set<RequestID> { Set(answers.keys) }

  init() throws {
    let founders = (1...3 as ClosedRange<UInt64>).map {
      MemberInfo(id: MemberID($0), peerURLs: ["http://10.0.0.\($0):2380"], name: "m\($0)")
    }
    for info in founders {
      members[info.id.rawValue] = try SimulatedMember(
        SimulatedFileSystem(), founders: founders, own: info, options: .init(), firstRequest: 1,
        seed: info.id.rawValue)
    }
  }

  var leader: UInt64? {
    // Of the newest term: one that was cut off may not know yet.
    members.filter { $0.value.core.isLeader }
      .max { $0.value.core.status.term < $1.value.core.status.term }?.key
  }

  /// One tick for each, and everything that follows from it.
  func tick() throws {
    for (_, member) in members.sorted(by: { $0.key < $1.key }) { member.tick() }
    try settle()
  }

  /// Everything that follows from what was asked.
  func settle() throws {
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      for (id, member) in members.sorted(by: { $0.key < $1.key }) {
        while member.hasEvents || member.hasLoopWork || member.hasStorageWork
          || (member.hasLogWork && !stuck.contains(id))
        {
          isQuiet = false
          if member.hasEvents { _ = try member.turn() }
          if member.hasLogWork, !stuck.contains(id) { try member.runLog() }
          if member.hasStorageWork { try member.runStorage() }
          for news in member.runLoop() { deliver(news) }
        }
      }
    }
  }

  private func deliver(_ news: TurnNews) {
    switch news {
    case .messages(let messages):
      for message in messages where !isLost(message) {
        members[message.to]?.post(.receive([message]))
      }
    case .answers(let replies, _): for reply in replies { answers[reply.id] = reply.outcome }
    default: break
    }
  }

  func put(at id: UInt64) throws -> RequestID {
    try propose(at: id) { $0.put = Etcdserverpb.PutRequest(key: "k", value: "v") }
  }

  func propose(
    at id: UInt64, _ fill: (inout Etcdserverpb.InternalRaftRequest) -> Void
  ) throws -> RequestID {
    guard let member = members[id] else { throw Missing() }
    let number = member.makeRequestID()
    var request = Etcdserverpb.InternalRaftRequest(
      header: Etcdserverpb.RequestHeader(id: number.rawValue))
    fill(&request)
    member.post(.propose([Proposal(id: number, data: request.encoded())]))
    return number
  }
  struct Missing: Error {}
}
