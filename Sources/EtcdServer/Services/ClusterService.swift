import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import Member
import MemberStorage
import Membership
import Platform
import Protobuf

/// etcdserverpb.Cluster: the members and their changes.
///
/// - Source: etcd `v3rpc/member.go`. Headers of this service carry no revision.
struct ClusterService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
    typealias Cluster = Etcdserverpb.ClusterService
    func serve(
      _ method: MethodDescriptor, _ need: RunningMember.Need,
      _ body: @escaping @Sendable (UnaryCall, Bytes) -> Void
    ) {
      router.unary(method.path, counters: member.counters(method)) { [member] call, bytes in
        member.whenPermitted(need, call) { body(call, bytes) }
      }
    }
    serve(Cluster.memberList, .user) { list($0, $1) }
    router.unary(
      Cluster.memberAdd.path, counters: member.counters(Cluster.memberAdd)
    ) { add($0, $1) }
    serve(Cluster.memberRemove, .admin) { remove($0, $1) }
    serve(Cluster.memberUpdate, .admin) { update($0, $1) }
    serve(Cluster.memberPromote, .admin) { promote($0, $1) }
  }

  private func list(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberListRequest.self, bytes) else { return }
    guard request.linearizable else { return answerList(call, term: member.host.status.term) }
    member.read(linearizable: true) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success: answerList(call, term: term)
      }
    }
  }

  private func answerList(_ call: UnaryCall, term: Term) {
    call.respond(
      Etcdserverpb.MemberListResponse(
        header: member.header(term: term), members: member.host.membership.sorted.map(\.message)))
  }

  private func add(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberAddRequest.self, bytes) else { return }
    // Without blanks around them; and looked at before who calls is asked, as by etcd.
    let urls = request.peerURLs.compactMap { try? EtcdURL($0) }.sorted().map(\.description)
    guard !urls.isEmpty, urls.count == request.peerURLs.count else {
      return call.fail(GRPCStatus(.badMemberURLs))
    }
    member.whenPermitted(.admin, call) {
      add(urls, isLearner: request.isLearner, call)
    }
  }

  private func add(_ urls: [String], isLearner: Bool, _ call: UnaryCall) {
    let info = MemberInfo(
      id: Identity.memberID(
        peerURLs: urls, token: member.config.initialClusterToken,
        seconds: Int(WallClock.seconds)),
      peerURLs: urls, isLearner: isLearner)
    member.addMember(info) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success(let members):
        call.respond(
          Etcdserverpb.MemberAddResponse(
            header: member.header(term: term), member: info.message,
            members: members.map(\.message)))
      }
    }
  }

  private func remove(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberRemoveRequest.self, bytes) else { return }
    member.removeMember(MemberID(request.id)) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success(let members):
        call.respond(
          Etcdserverpb.MemberRemoveResponse(
            header: member.header(term: term), members: members.map(\.message)))
      }
    }
  }

  private func update(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberUpdateRequest.self, bytes) else { return }
    let urls = request.peerURLs.sorted()
    guard EtcdURL.areValid(urls) else { return call.fail(GRPCStatus(.badMemberURLs)) }
    member.updateMember(MemberID(request.id), peerURLs: urls) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success(let members):
        call.respond(
          Etcdserverpb.MemberUpdateResponse(
            header: member.header(term: term), members: members.map(\.message)))
      }
    }
  }

  private func promote(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MemberPromoteRequest.self, bytes) else { return }
    member.promote(MemberID(request.id), mayForward: true) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success(let members):
        call.respond(
          Etcdserverpb.MemberPromoteResponse(
            header: member.header(term: term), members: members.map(\.message)))
      }
    }
  }
}
