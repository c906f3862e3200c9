import Bytes
import EtcdAPI

@testable import Raft

/// Which of the one-way links between members work: a bit for each, `from` before `to`.
struct LinkPattern: CustomStringConvertible {
  let members: Int
  let bits: UInt32

  /// Links of a group: from each member to each other one.
  static func links(_ members: Int) -> Int { members * (members - 1) }

  static func all(_ members: Int) -> LinkPattern {
    LinkPattern(members: members, bits: 1 << UInt32(links(members)) - 1)
  }

  /// - Parameters: places of members, from 0.
  func carries(_ from: Int, _ to: Int) -> Bool {
    let place = from * (members - 1) + (to > from ? to - 1 : to)
    return bits >> UInt32(place) & 1 == 1
  }

  /// Whether some majority of the members are connected each with each, both ways.
  var hasConnectedMajority: Bool {
    (0..<(1 << members)).contains { (side: Int) in
      let own = (0..<members).filter { side >> $0 & 1 == 1 }
      return own.count > members / 2
        && own.allSatisfy { a in own.allSatisfy { a == $0 || carries(a, $0) } }
    }
  }

  var description: String {
    (0..<members).map { from in
      let heard = (0..<members).filter { $0 != from && carries(from, $0) }.map { "\($0 + 1)" }
      return "\(from + 1)→{\(heard.joined(separator: ","))}"
    }.joined(separator: " ")
  }
}

/// Members with pre-vote and check-quorum, as every member of etcd has them, over one-way links that may be cut. What is
/// sent arrives at once; clocks tick one after the other, in an order that stays.
struct LinkedGroup {
  /// - Source: etcd's defaults, 1,000 ms and 100 ms.
  static let electionTicks = 10
  /// The longest time that a member waits for a leader before it campaigns.
  static let timeoutMax = 2 * electionTicks - 1

  private var nodes: [RawNode<MemoryStorage>] = []
  private var network: [Raftpb.Message] = []
  private var order: [Int]
  private var leaders: [UInt64: UInt64] = [:]
  /// Indexes of entries that leaders were asked to commit, by member.
  private var asked: [UInt64: (term: UInt64, index: UInt64)] = [:]
  /// What raft promises at any time and did not keep.
  private(set) var problem: String?
  var links: LinkPattern

  init(_ members: Int, random: inout SplitMix64) throws {
    links = .all(members)
    let ids = (1...UInt64(members)).map { $0 }
    order = Array(ids.indices)
    for last in order.indices.reversed() { order.swapAt(last, random.below(last + 1)) }
    for id in ids {
      var storage = MemoryStorage()
      try storage.applySnapshot(
        Raftpb.Snapshot(
          metadata: Raftpb.SnapshotMetadata(
            confState: Raftpb.ConfState(voters: ids), index: 1, term: 1)))
      nodes.append(
        try RawNode(
          RaftConfig(
            id: id, electionTicks: Self.electionTicks, heartbeatTicks: 1, checkQuorum: true,
            preVote: true, random: SplitMix64(seed: random.next())), storage: storage))
    }
  }

  mutating func elect(_ id: UInt64) throws {
    nodes[Int(id) - 1].campaign()
    try settle()
  }

  func leads(_ id: UInt64) -> Bool { nodes[Int(id) - 1].core.role == .leader }

  /// Lets every clock tick once.
  mutating func tick() throws {
    for place in order {
      nodes[place].tick()
      try settle()
    }
  }

  /// Asks every leader to commit an entry of its term.
  /// - Returns: whether one has.
  mutating func hasCommitted() throws -> Bool {
    for place in nodes.indices where nodes[place].core.role == .leader {
      let (id, core) = (nodes[place].id, nodes[place].core)
      if let entry = asked[id], entry.term == core.term {
        if core.log.committed >= entry.index { return true }
        continue
      }
      try nodes[place].propose(["x"])
      asked[id] = (core.term, nodes[place].core.log.lastIndex)
      try settle()
      if nodes[place].core.log.committed >= asked[id]!.index { return true }
    }
    return false
  }

  /// The highest term of a member.
  var term: UInt64 { nodes.map(\.core.term).max() ?? 0 }

  private mutating func settle() throws {
    repeat {
      for place in nodes.indices { try work(place) }
      let messages = network
      network = []
      for message in messages where links.carries(Int(message.from) - 1, Int(message.to) - 1) {
        try? nodes[Int(message.to) - 1].step(message)  // Refusals are the receiver's right.
      }
    } while nodes.contains { $0.hasReady }
  }

  private mutating func work(_ place: Int) throws {
    while nodes[place].hasReady {
      let ready = nodes[place].ready()
      if let state = ready.hardState { nodes[place].storage.hardState = state }
      nodes[place].storage.append(ready.entries)
      network += ready.messages
      nodes[place].advance()
    }
    let core = nodes[place].core
    guard core.role == .leader else { return }
    if let other = leaders[core.term], other != core.id { problem = "two leaders in \(core.term)" }
    leaders[core.term] = core.id
  }
}
