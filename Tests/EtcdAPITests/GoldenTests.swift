import Bytes
import EtcdAPI
import Protobuf
import Testing

/// Bytes as the Go implementations write them.
@Suite struct GoldenTests {
  @Test func requiredFieldsAreWrittenWhenZero() {
    #expect(Raftpb.Entry().encoded() == [0x08, 0, 0x10, 0, 0x18, 0])
    #expect(Raftpb.HardState().encoded() == [0x08, 0, 0x10, 0, 0x18, 0])
    #expect(Raftpb.ConfState().encoded() == [0x28, 0])
    #expect(Raftpb.ConfState(voters: [1, 300]).encoded() == [0x08, 1, 0x08, 0xac, 2, 0x28, 0])
    #expect(
      Raftpb.Snapshot().encoded() == [0x12, 8, 0x0a, 2, 0x28, 0, 0x10, 0, 0x18, 0])
    #expect(Walpb.Record(type: 4, crc: 200).encoded() == [0x08, 4, 0x10, 0xc8, 1])
    #expect(Walpb.Snapshot().encoded() == [0x08, 0, 0x10, 0])
    #expect(Snappb.Snapshot().encoded() == [0x08, 0])
    #expect(Etcdserverpb.Metadata(nodeID: 1).encoded() == [0x08, 1, 0x10, 0])
    #expect(Raftpb.ConfChangeV2().encoded() == [0x08, 0])
    #expect(Raftpb.ConfChange().encoded() == [0x08, 0, 0x10, 0, 0x18, 0])
    #expect(
      Raftpb.Message().encoded()
        == [8, 0, 16, 0, 24, 0, 32, 0, 40, 0, 48, 0, 64, 0, 80, 0, 88, 0, 104, 0])
  }

  @Test func v2Request() {
    let request = Etcdserverpb.Request(id: 1, method: "SYNC", prevExist: false)
    let expected: Bytes = [
      0x08, 1, 0x12, 4, 0x53, 0x59, 0x4e, 0x43, 0x1a, 0, 0x22, 0, 0x28, 0, 0x32, 0, 0x38, 0,
      0x40, 0, 0x48, 0, 0x50, 0, 0x58, 0, 0x60, 0, 0x68, 0, 0x70, 0, 0x78, 0, 0x80, 1, 0,
    ]
    #expect(request.encoded() == expected)
  }

  @Test func proto3() {
    #expect(Etcdserverpb.RangeRequest().encoded() == [])
    #expect(Etcdserverpb.LeaseGrantRequest(ttl: -1).encoded().count == 11)
    #expect(
      Etcdserverpb.WatchCreateRequest(filters: [.noput, .nodelete]).encoded() == [0x2a, 2, 0, 1])
    #expect(
      Etcdserverpb.Compare(targetUnion: .version(0), rangeEnd: [0]).encoded()
        == [0x20, 0, 0x82, 4, 1, 0])
    #expect(
      Etcdserverpb.WatchRequest(requestUnion: .progressRequest(.init())).encoded() == [0x1a, 0])
    #expect(
      Etcdserverpb.InternalRaftRequest(
        put: .init(key: "a", value: "b"), header: .init(id: 5)
      ).encoded() == [0x22, 6, 0x0a, 1, 0x61, 0x12, 1, 0x62, 0xa2, 6, 2, 0x08, 5])
  }

  @Test func missingRequiredFieldsAreAccepted() throws {
    #expect(try Raftpb.Entry.decode([]) == Raftpb.Entry())
    #expect(try Raftpb.Snapshot.decode([0x0a, 1, 0x61]).data == "a")
  }

  @Test func packedAndUnpackedAreRead() throws {
    typealias Watch = Etcdserverpb.WatchCreateRequest
    #expect(try Watch.decode([0x28, 1, 0x2a, 2, 0, 1]).filters == [.nodelete, .noput, .nodelete])
    #expect(try Raftpb.ConfState.decode([0x0a, 2, 1, 2, 0x08, 3]).voters == [1, 2, 3])
  }

  @Test func lastScalarWinsAndMessagesMerge() throws {
    #expect(try Etcdserverpb.RangeRequest.decode([0x18, 1, 0x18, 2]).limit == 2)
    let merged = try Etcdserverpb.RangeResponse.decode([0x0a, 2, 8, 7, 0x0a, 2, 16, 9])
    #expect(merged.header == .init(clusterID: 7, memberID: 9))
    let compare = try Etcdserverpb.Compare.decode([0x20, 1, 0x28, 2])
    #expect(compare.targetUnion == .createRevision(2))
  }

  @Test func unknownFieldsAreSkipped() throws {
    let known = Etcdserverpb.PutRequest(key: "a")
    let unknown: [Bytes] = [
      [0xf8, 7, 0xff, 1], [0xf9, 7, 1, 2, 3, 4, 5, 6, 7, 8], [0xfa, 7, 2, 9, 9],
      [0xfd, 7, 1, 2, 3, 4], [0xfb, 7, 0x08, 1, 0x0b, 0x0c, 0x12, 1, 1, 0xfc, 7],
    ]
    for field in unknown {
      var writer = ByteWriter()
      writer.append(field)
      known.encode(into: &writer)
      writer.append(field)
      #expect(try Etcdserverpb.PutRequest.decode(writer.finish()) == known)
    }
  }
}
