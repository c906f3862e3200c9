import Bytes
import EtcdAPI
import Protobuf
import Testing

/// The names that other modules rely on; a change of the generator's rules fails to compile here.
@Suite struct NamingTests {
  @Test func fields() {
    let header = Etcdserverpb.ResponseHeader(clusterID: 1, memberID: 2, revision: 3, raftTerm: 4)
    #expect(header.clusterID == 1 && header.memberID == 2 && header.raftTerm == 4)
    let lease = Etcdserverpb.LeaseCheckpoint(id: 7, remainingTTL: 8)
    #expect(lease.id == 7 && lease.remainingTTL == 8)
    let member = Etcdserverpb.Member(peerURLs: ["a"], clientURLs: ["b"], isLearner: true)
    #expect(member.peerURLs == ["a"] && member.clientURLs == ["b"] && member.isLearner)
    #expect(Membershippb.RaftAttributes(peerURLs: ["a"]).peerURLs == ["a"])
    #expect(Raftpb.Message(logTerm: 1, rejectHint: 2).rejectHint == 2)
    #expect(Leasepb.Lease(id: 1, ttl: 2, remainingTTL: 3).ttl == 2)
    #expect(Etcdserverpb.Request(prevExist: false).prevExist == false)
    #expect(Etcdserverpb.Request().prevExist == nil)
    #expect(Snappb.Snapshot(crc: 1).crc == 1)
  }

  @Test func enums() {
    #expect(Raftpb.EntryType.confChangeV2.rawValue == 2)
    #expect(Raftpb.MessageType.forgetLeader.rawValue == 23)
    #expect(Raftpb.ConfChangeType.addLearnerNode.protoName == "ConfChangeAddLearnerNode")
    #expect(Raftpb.ConfChangeTransition.jointExplicit.rawValue == 2)
    #expect(Etcdserverpb.WatchCreateRequest.FilterType.noput.rawValue == 0)
    #expect(Etcdserverpb.WatchCreateRequest.FilterType.nodelete.rawValue == 1)
    #expect(Etcdserverpb.AlarmType.nospace.rawValue == 1)
    #expect(Authpb.Permission.TypeEnum.readwrite.rawValue == 2)
    #expect(Etcdserverpb.Compare.CompareResult.notEqual.protoName == "NOT_EQUAL")
    #expect(GrpcHealthV1.HealthCheckResponse.ServingStatus.notServing.rawValue == 2)
    #expect(Mvccpb.Event.EventType(rawValue: 9) == .unrecognized(9))
  }

  @Test func services() {
    let range = Etcdserverpb.KVService.range
    #expect(range.path == "/etcdserverpb.KV/Range")
    #expect(range.service == Etcdserverpb.KVService.name && range.name == "Range")
    #expect(!range.clientStreaming && !range.serverStreaming)
    #expect(range.requestType.fullName == "etcdserverpb.RangeRequest")
    #expect(range.responseType.fullName == "etcdserverpb.RangeResponse")
    let watch = Etcdserverpb.WatchService.watch
    #expect(watch.clientStreaming && watch.serverStreaming)
    #expect(!Etcdserverpb.MaintenanceService.snapshot.clientStreaming)
    #expect(Etcdserverpb.MaintenanceService.snapshot.serverStreaming)
    #expect(GrpcHealthV1.HealthService.check.path == "/grpc.health.v1.Health/Check")
    #expect(V3lockpb.LockService.methods.map(\.name) == ["Lock", "Unlock"])
    #expect(
      V3electionpb.ElectionService.methods.map(\.name)
        == ["Campaign", "Proclaim", "Leader", "Observe", "Resign"])
    let methods =
      Etcdserverpb.KVService.methods + Etcdserverpb.WatchService.methods
      + Etcdserverpb.LeaseService.methods + Etcdserverpb.ClusterService.methods
      + Etcdserverpb.MaintenanceService.methods + Etcdserverpb.AuthService.methods
    #expect(methods.count == 6 + 1 + 5 + 5 + 8 + 17)
    #expect(Set(methods.map(\.path)).count == methods.count)
  }
}
