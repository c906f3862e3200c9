import Bytes
import EtcdAPI
import Testing

@testable import Raft

/// Which answers confirm which reads.
@Suite struct ReadRoundTests {
  /// A heartbeat's answer says nothing of reads that came when it was on its way.
  /// - Source: etcd issues 20418 and 21417, raft issue 397.
  @Test func aLateAnswerConfirmsNoLaterRead() throws {
    var group = try TestGroup([1, 2, 3])
    try group.elect(1)
    func take(_ type: Raftpb.MessageType, to id: UInt64) throws -> Raftpb.Message {
      defer { group.network = [] }
      return try #require(group.network.first { $0.type == type && $0.to == id })
    }
    group[1].readIndex(context: "first")
    try group.work(1)
    try group[2].step(try take(.heartbeat, to: 2))
    try group.work(2)
    let answer = try take(.heartbeatResp, to: 1)
    group[1].readIndex(context: "second")
    try group.work(1)
    let question = try take(.heartbeat, to: 2)
    try group[1].step(answer)
    try group.work(1)
    #expect(group.readStates[1]?.map(\.context) == ["first"])
    try group[2].step(question)
    try group.work(2)
    try group[1].step(try take(.heartbeatResp, to: 1))
    try group.work(1)
    #expect(group.readStates[1]?.map(\.context) == ["first", "second"])
  }
}
