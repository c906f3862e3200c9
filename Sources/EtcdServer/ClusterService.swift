import Bytes
import EtcdAPI
import GRPC
import Member
import Membership
import Protobuf
import Runtime

/// etcdserverpb.Cluster: the list of members.
///
/// - Source: etcd `v3rpc/member.go`. Headers of this service carry no revision.
struct ClusterService: Sendable {
  let member: RunningMember

  func register(in router: inout GRPCRouter) {
    typealias Cluster = Etcdserverpb.ClusterService
    router.unary(
      Cluster.memberList.path, counters: member.counters(Cluster.memberList)
    ) { list($0, $1) }
  }

  private func list(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberListRequest.self, bytes) else { return }
    guard request.linearizable else { return answer(call, term: member.host.status.term) }
    member.read(linearizable: true) { result, term in
      switch result {
      case .failure(let error): call.fail(GRPCStatus(error))
      case .success: answer(call, term: term)
      }
    }
  }

  private func answer(_ call: UnaryCall, term: UInt64) {
    call.respond(
      Etcdserverpb.MemberListResponse(
        header: member.header(term: term), members: member.host.membership.sorted.map(\.message)))
  }
}
