import Bytes
import Calls
import EtcdAPI
import Protobuf

extension MaintenanceService {
  func downgrade(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.DowngradeRequest.self, bytes) else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    let requests = DowngradeRequests(member: member)
    let answer: DowngradeRequests.Handler = { result in
      switch result {
      case .success(let version):
        call.respond(Etcdserverpb.DowngradeResponse(header: member.header(), version: version))
      case .failure(let error): call.fail(error)
      }
    }
    switch request.action {
    case .validate: requests.validate(request.version, answer)
    case .enable: requests.enable(request.version, answer)
    case .cancel: requests.cancel(answer)
    case .unrecognized: call.fail(GRPCStatus(.unknownMethod))
    }
  }
}
