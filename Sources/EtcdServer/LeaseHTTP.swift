import Bytes
import EtcdAPI
import HTTP
import MVCC
import Member
import Protobuf
import Runtime

/// Lease questions between members: protobuf in the body of a POST.
///
/// - Source: etcd `leasehttp/http.go`.
enum LeaseHTTP {
  static let renewPath = "/leases"
  static let timeToLivePath = "/leases/internal"
  static let contentType = "application/protobuf"
  static let notFound = "lease not found"
  static let notPrimary = "not a primary lessor"
  static let timedOut = "waiting for node to catch up its applied index has timed out"

  static func request(
    _ kind: LeaseQuestion.Kind, to endpoint: Connection.Endpoint
  ) -> HTTPClientRequest {
    let (path, body): (String, Bytes)
    switch kind {
    case .renew(let id):
      (path, body) = (renewPath, Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
    case .timeToLive(let id, let keys):
      let question = Etcdserverpb.LeaseTimeToLiveRequest(id: id, keys: keys)
      path = timeToLivePath
      body = Leasepb.LeaseInternalRequest(leaseTimeToLiveRequest: question).encoded()
    case .list, .keys: preconditionFailure("every member knows that itself")
    }
    return HTTPClientRequest(
      "POST", endpoint, path, headers: ["Content-Type": contentType], body: .bytes(body))
  }

  /// - Returns: `nil` when the member that was asked could not say.
  static func answer(
    _ kind: LeaseQuestion.Kind, status: Int, _ body: Bytes
  ) -> Result<LeaseAnswer, EtcdError>? {
    if status == 404, body.string.hasPrefix(notFound) { return .failure(.leaseNotFound) }
    guard status == 200 else { return nil }
    switch kind {
    case .renew(let id):
      guard let answer = try? Etcdserverpb.LeaseKeepAliveResponse.decode(body), answer.id == id
      else { return nil }
      return .success(.renewed(ttl: answer.ttl))
    case .timeToLive(let id, _):
      guard
        let answer = try? Leasepb.LeaseInternalResponse.decode(body).leaseTimeToLiveResponse,
        answer.id == id
      else { return nil }
      return .success(
        .timeToLive(
          remaining: answer.ttl, granted: answer.grantedTTL, keys: LeaseKeys(answer.keys)))
    case .list, .keys: return nil
    }
  }
}
