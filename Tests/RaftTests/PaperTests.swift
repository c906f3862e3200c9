import Bytes
import EtcdAPI
import Testing

@testable import Raft

/// What the Raft thesis says in chapter 3, rule by rule.
@Suite struct PaperTests {
  @Test(arguments: [RaftRole.follower, .candidate, .leader])
  func higherTermMakesAFollower(_ role: RaftRole) throws {
    var node = try member(1, of: [1, 2, 3], terms: [])
    if role != .follower { node.campaign() }
    if role == .leader {
      _ = node.drain()
      try node.step(Raftpb.Message(type: .voteResp, to: 1, from: 2, term: 1))
    }
    #expect(node.core.role == role)
    try node.step(Raftpb.Message(type: .app, to: 1, from: 2, term: 5))
    #expect(node.core.role == .follower && node.core.term == 5 && node.core.lead == 2)
  }

  @Test func followerCampaignsAfterItsTimeout() throws {
    var node = try member(1, of: [1, 2, 3], terms: [])
    let timeout = node.core.randomizedElectionTimeout
    #expect((10..<20).contains(timeout))
    for _ in 1..<timeout { node.tick() }
    #expect(node.core.role == .follower)
    node.tick()
    #expect(node.core.role == .candidate && node.core.term == 1 && node.core.vote == 1)
    let requests = node.drain()
    #expect(requests.map(\.type) == [.vote, .vote] && requests.map(\.to) == [2, 3])
  }

  @Test func timeoutsAreSpread() throws {
    var node = try member(1, of: [1, 2, 3], terms: [])
    var seen: Set<Int> = []
    for _ in 0..<500 {
      node.core.becomeFollower(term: node.core.term + 1, lead: 0)
      seen.insert(node.core.randomizedElectionTimeout)
    }
    #expect(seen == Set(10..<20))
  }

  @Test func oneVoteATerm() throws {
    var node = try member(1, of: [1, 2, 3], terms: [])
    try node.step(Raftpb.Message(type: .vote, to: 1, from: 2, term: 1))
    try node.step(Raftpb.Message(type: .vote, to: 1, from: 3, term: 1))
    try node.step(Raftpb.Message(type: .vote, to: 1, from: 2, term: 1))
    let answers = node.drain()
    #expect(answers.map(\.to) == [2, 3, 2] && answers.map(\.reject) == [false, true, false])
    #expect(node.storage.hardState == Raftpb.HardState(term: 1, vote: 2))
  }

  /// §3.6.1: the vote goes only to a log at least as complete as ours.
  @Test(arguments: [
    ([1] as [UInt64], 1 as UInt64, 1 as UInt64, false), ([1], 1, 2, false), ([1, 1], 1, 1, true),
    ([1], 2, 1, false), ([1], 2, 2, false), ([1, 1], 2, 1, false), ([2], 1, 1, true),
    ([2], 1, 2, true), ([2, 1], 1, 1, true),
  ])
  func votesForCompleteLogsOnly(
    _ terms: [UInt64], _ logTerm: UInt64, _ index: UInt64, _ isRefused: Bool
  ) throws {
    var node = try member(1, of: [1, 2], terms: terms)
    try node.step(
      Raftpb.Message(type: .vote, to: 1, from: 2, term: 3, logTerm: logTerm, index: index))
    #expect(node.drain().map(\.reject) == [isRefused])
  }

  /// §3.5: entries are taken only after a matching one, and conflicts are replaced.
  @Test(arguments: [
    (1 as UInt64, 1 as UInt64, [3] as [UInt64], [1, 3] as [UInt64]), (2, 2, [3], [1, 2, 3]),
    (0, 0, [1], [1, 2]), (0, 0, [3], [3]), (2, 3, [4], [1, 2]), (3, 3, [4], [1, 2]),
  ])
  func logsMatch(
    _ index: UInt64, _ logTerm: UInt64, _ sent: [UInt64], _ expected: [UInt64]
  ) throws {
    var node = try member(1, of: [1, 2], terms: [1, 2])
    let entries = sent.enumerated().map {
      Raftpb.Entry(term: $1, index: index + 1 + UInt64($0))
    }
    try node.step(
      Raftpb.Message(
        type: .app, to: 1, from: 2, term: 4, logTerm: logTerm, index: index, entries: entries))
    let isMatch = index == 0 || (index <= 2 && logTerm == index)
    let answers = node.drain()
    #expect(answers.map(\.reject) == [!isMatch])
    let all = try node.storage.entries(1, node.storage.lastIndex + 1, maxSize: .max)
    #expect(all.map(\.term) == expected)
  }

  /// The leader's commit index counts only as far as the logs are known to match.
  @Test(arguments: [
    (1 as UInt64, 1 as UInt64, [] as [UInt64], 3 as UInt64, 1 as UInt64), (1, 1, [2], 3, 2),
    (2, 2, [], 3, 2), (2, 2, [4], 1, 1), (2, 2, [4], 3, 3), (0, 0, [1, 2, 3], 9, 3),
  ])
  func commitFollowsTheMatch(
    _ index: UInt64, _ logTerm: UInt64, _ sent: [UInt64], _ leaderCommit: UInt64,
    _ expected: UInt64
  ) throws {
    var node = try member(1, of: [1, 2], terms: [1, 2, 3])
    let entries = sent.enumerated().map { Raftpb.Entry(term: $1, index: index + 1 + UInt64($0)) }
    try node.step(
      Raftpb.Message(
        type: .app, to: 1, from: 2, term: 4, logTerm: logTerm, index: index, entries: entries,
        commit: leaderCommit))
    #expect(node.core.log.committed == expected)
  }

  /// §3.6.2: entries of earlier terms are committed only through one of the leader's own term.
  @Test func onlyOwnTermCommits() throws {
    var node = try member(1, of: [1, 2, 3], terms: [1, 2], state: .init(term: 2))
    node.campaign()
    _ = node.drain()
    try node.step(Raftpb.Message(type: .voteResp, to: 1, from: 2, term: 3))
    _ = node.drain()
    for (index, commit) in [(1, 0), (2, 0), (3, 3)] as [(UInt64, UInt64)] {
      try node.step(Raftpb.Message(type: .appResp, to: 1, from: 2, term: 3, index: index))
      #expect(node.core.log.committed == commit)
    }
  }

  /// Figure 3.6: followers with missing, extra and conflicting entries end with the leader's log.
  @Test(
    arguments: [
      [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4],
      [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ] as [[UInt64]])
  func leaderRepairsLogs(_ follower: [UInt64]) throws {
    let own: [UInt64] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    var lead = try member(1, of: [1, 2, 3], terms: own, state: .init(term: 7, commit: 3))
    var other = try member(2, of: [1, 2, 3], terms: follower, state: .init(term: 7))
    lead.campaign()
    var toOther = lead.drain().filter { $0.to == 2 }
    try lead.step(Raftpb.Message(type: .voteResp, to: 1, from: 3, term: 8))
    toOther += lead.drain().filter { $0.to == 2 }
    var appends = 0
    while !toOther.isEmpty {
      for message in toOther {
        appends += message.type == .app ? 1 : 0
        try other.step(message)
      }
      for message in other.drain() where message.to == 1 { try lead.step(message) }
      toOther = lead.drain().filter { $0.to == 2 }
    }
    let last = lead.storage.lastIndex
    #expect(last == 11 && lead.core.log.committed == 11)
    #expect(
      try lead.storage.entries(1, 12, maxSize: .max)
        == other.storage.entries(1, other.storage.lastIndex + 1, maxSize: .max))
    // At most one probe a term, and one append.
    #expect(appends <= 6)
  }

  /// §3.6.3 by example: a member without a committed entry cannot win.
  @Test func leadersAreComplete() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    group.isolated = [3]
    try group[1].propose(["a"])
    try group.settle()
    #expect(group.committed(1) == 3)
    group.isolated = [1]
    try group.elect(3)
    #expect(group.role(3) == .candidate)
    try group.elect(2)
    #expect(group.role(2) == .leader && group.role(3) == .follower)
    #expect(group.payloads(3) == ["a"])
  }
}
