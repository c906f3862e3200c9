import Bytes
import EtcdAPI
import Protobuf
import Raft
import TestSupport
import Testing

@testable import Member

@Suite struct EntryCheckTests {
  private func fault(
    _ data: Bytes, type: Raftpb.EntryType = .normal, in kind: Raftpb.MessageType = .app
  ) -> String? {
    EntryCheck.fault(
      Raftpb.Message(
        type: kind, to: 1, from: 2, term: 1,
        entries: [Raftpb.Entry(type: type, term: 1, index: 7, data: data)]))
  }

  private let put = Etcdserverpb.InternalRaftRequest(
    put: Etcdserverpb.PutRequest(key: "k", value: "v"),
    header: Etcdserverpb.RequestHeader(id: 9)
  ).encoded()

  @Test func whatMembersSendPasses() {
    #expect(fault(put) == nil)
    #expect(fault(put, in: .prop) == nil)
    #expect(fault(Bytes()) == nil, "the empty entry of a new leader")
    let lease = Etcdserverpb.InternalRaftRequest(
      leaseGrant: Etcdserverpb.LeaseGrantRequest(ttl: 5, id: 3))
    #expect(fault(lease.encoded()) == nil)
    let v2 = Etcdserverpb.Request(id: 3, method: "PUT", path: "/0/version", val: "3.5.0")
    #expect(fault(v2.encoded()) == nil)
    let change = Raftpb.ConfChange(type: .addNode, nodeID: 5)
    #expect(fault(change.encoded(), type: .confChange) == nil)
    #expect(fault(change.asV2.encoded(), type: .confChangeV2) == nil)
  }

  /// Each of these ended every member that had it in its log, again at each start.
  @Test func whatNoMemberCanApplyIsNamed() {
    let cut = put[0..<(put.count - 3)]
    for kind in [Raftpb.MessageType.app, .prop] {
      #expect(fault(cut, in: kind)?.hasPrefix("entry 7: \(cut.count) bytes") == true)
      #expect(fault([0xff, 0xff, 0xff], in: kind) != nil)
      #expect(fault([0xff], type: .confChange, in: kind) != nil)
      #expect(fault([0xff], type: .confChangeV2, in: kind) != nil)
      #expect(fault(put, type: .unrecognized(9), in: kind) != nil)
    }
  }

  /// A change of very many members would keep every member busy that has it in its log, again at each start.
  @Test func aChangeOfVeryManyMembersIsNamed() {
    func change(_ count: UInt64) -> Bytes {
      Raftpb.ConfChangeV2(changes: (1...count).map { .init(type: .addNode, nodeID: $0) }).encoded()
    }
    for kind in [Raftpb.MessageType.app, .prop] {
      #expect(fault(change(256), type: .confChangeV2, in: kind) == nil)
      #expect(
        fault(change(257), type: .confChangeV2, in: kind)
          == "entry 7: a configuration change of 257 members")
    }
  }

  /// Random bytes are refused or decode to something; nothing traps.
  @Test func randomBytesNeverTrap() {
    var random = SeededGenerator.printed("EntryCheck")
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      let type: Raftpb.EntryType = Bool.random(using: &random) ? .normal : .confChange
      _ = fault(Bytes(bytes), type: type)
    }
  }
}
