import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import HTTP
import JSON
import Member
import MemberStorage
import Membership
import Platform

/// `/v2/members` and `/v2/machines`.
///
/// - Source: etcd `v2http/client.go`, `v2http/httptypes/member.go`.
struct V2MembersEndpoint: Sendable {
  private static let path = "/v2/members"
  /// Bytes of a request: some URLs.
  private static let requestBytesMax = 64 << 10

  let member: RunningMember
  let access: V2Access

  func register(in router: inout HTTPRouter) {
    for pattern in [Self.path, Self.path + "/"] {
      router.add(nil, pattern) { exchange, path in serve(exchange, path) }
    }
    router.add(nil, "/v2/machines") { exchange, _ in machines(exchange) }
  }

  private func machines(_ exchange: HTTPExchange) {
    guard exchange.requireMethod("GET", "HEAD") else { return }
    let urls = member.host.membership.members.values.flatMap(\.clientURLs).sorted()
    exchange.respond(
      status: 200, headers: ["Content-Type": "text/plain; charset=utf-8"],
      body: Bytes(urls.joined(separator: ", ")))
  }

  private func serve(_ exchange: HTTPExchange, _ path: String) {
    guard exchange.requireMethod("GET", "POST", "DELETE", "PUT") else { return }
    guard access.store.isEnabled, exchange.request.method != "GET" else {
      return answer(exchange, path)
    }
    let confined = LoopConfined(exchange)
    Task(executorPreference: member.loop) {
      let exchange = confined.value
      guard await access.isRoot(exchange) else {
        return exchange.refuseV2(401, "Insufficient credentials")
      }
      answer(exchange, path)
    }
  }

  private func answer(_ exchange: HTTPExchange, _ path: String) {
    exchange.extraHeaders.set("X-Etcd-Cluster-Id", member.v2ClusterID)
    var name = path.dropFirst(Self.path.count)
    if name.hasPrefix("/") { name.removeFirst() }
    switch exchange.request.method {
    case "GET": list(exchange, name)
    case "POST": readURLs(exchange) { add(exchange, $0) }
    case "DELETE": identified(exchange, name) { remove(exchange, $0) }
    default: identified(exchange, name) { id in readURLs(exchange) { update(exchange, id, $0) } }
    }
  }

  private func list(_ exchange: HTTPExchange, _ name: Substring) {
    let membership = member.host.membership
    switch name {
    case "":
      respond(exchange, 200, ["members": .array(membership.sorted.map(\.v2JSON))])
    case "leader":
      guard let leader = membership.members[member.host.status.leader] else {
        return exchange.refuseV2(503, "During election")
      }
      respond(exchange, 200, leader.v2JSON)
    default: exchange.refuseV2(404, "Not found")
    }
  }

  // MARK: Requests

  private func identified(
    _ exchange: HTTPExchange, _ name: Substring, _ body: (MemberID) -> Void
  ) {
    guard !name.isEmpty else { return exchange.refuse(405, "Method Not Allowed") }
    guard let id = UInt64(name, radix: 16) else {
      return exchange.refuseV2(404, "No such member: \(name)")
    }
    body(MemberID(id))
  }

  /// Reads the peer URLs that a request brings.
  private func readURLs(_ exchange: HTTPExchange, _ done: @escaping ([String]) -> Void) {
    let type = exchange.request.headers["content-type"] ?? ""
    let main = type.split(separator: ";", omittingEmptySubsequences: false).first ?? ""
    let name = type.contains(";") ? main.withoutOptionalSpace.lowercased() : type
    guard name == "application/json" else {
      return exchange.refuseV2(415, "Bad Content-Type \(name), accept application/json")
    }
    exchange.collectBody(limit: Self.requestBytesMax) { result in
      switch result {
      case .failure(let error): exchange.refuseV2(400, "\(error)")
      case .success(let body):
        do throws(V2MemberError) { done(try Self.urls(body)) } catch {
          exchange.refuseV2(400, error.description)
        }
      }
    }
  }

  private static func urls(_ body: Bytes) throws(V2MemberError) -> [String] {
    let value: JSONValue
    do { value = try JSONValue.parse(body) } catch {
      throw V2MemberError(description: error.detail)
    }
    let urls = try Self.strings(value)
    guard !urls.isEmpty else { throw V2MemberError(description: "no valid URLs given") }
    do throws(EtcdURL.Failure) {
      return try EtcdURL.list(urls.joined(separator: ",")).map(\.description)
    } catch { throw V2MemberError(description: error.description) }
  }

  /// The texts in `peerURLs`, with the refusals of Go's encoding/json.
  private static func strings(_ value: JSONValue) throws(V2MemberError) -> [String] {
    func mismatch(_ value: JSONValue, _ type: String) -> V2MemberError {
      V2MemberError(description: "json: cannot unmarshal \(value.kindName) into Go \(type)")
    }
    guard value.object != nil || value.isNull else {
      throw mismatch(value, #"value of type struct { PeerURLs []string "json:\"peerURLs\"" }"#)
    }
    guard let list = value["peerURLs"], !list.isNull else { return [] }
    guard let members = list.array else {
      throw mismatch(list, "struct field .peerURLs of type []string")
    }
    var strings: [String] = []
    for member in members {
      guard let text = member.isNull ? "" : member.string else {
        throw mismatch(member, "struct field .peerURLs of type string")
      }
      strings.append(text)
    }
    return strings
  }

  // MARK: Changes

  private func add(_ exchange: HTTPExchange, _ urls: [String]) {
    let info = MemberInfo(
      id: Identity.memberID(
        peerURLs: urls, token: "", seconds: Int(WallClock.seconds)),
      peerURLs: urls)
    member.addMember(info) { result, _ in
      switch result {
      case .success: respond(exchange, 201, info.v2JSON)
      case .failure(.memberExists): exchange.refuseV2(409, "membership: ID exists")
      case .failure(.peerURLExists): exchange.refuseV2(409, "membership: peerURL exists")
      case .failure(let error): fail(exchange, "failed to add a member", info.id, error)
      }
    }
  }

  private func remove(_ exchange: HTTPExchange, _ id: MemberID) {
    if member.host.membership.removed.contains(id) { return gone(exchange, id) }
    member.removeMember(id) { result, _ in
      switch result {
      case .success: exchange.respond(status: 204)
      case .failure(.memberNotFound):
        if member.host.membership.removed.contains(id) { return gone(exchange, id) }
        exchange.refuseV2(404, "No such member: \(id.hex)")
      case .failure(let error): fail(exchange, "failed to remove a member", id, error)
      }
    }
  }

  private func gone(_ exchange: HTTPExchange, _ id: MemberID) {
    exchange.refuseV2(410, "Member permanently removed: \(id.hex)")
  }

  private func update(_ exchange: HTTPExchange, _ id: MemberID, _ urls: [String]) {
    member.updateMember(id, peerURLs: urls) { result, _ in
      switch result {
      case .success: exchange.respond(status: 204)
      case .failure(.peerURLExists): exchange.refuseV2(409, "membership: peerURL exists")
      case .failure(.memberNotFound): exchange.refuseV2(404, "No such member: \(id.hex)")
      case .failure(let error): fail(exchange, "failed to update a member", id, error)
      }
    }
  }

  // MARK: Answers

  private func respond(_ exchange: HTTPExchange, _ status: Int, _ value: JSONValue) {
    exchange.respond(
      status: status, headers: ["Content-Type": "application/json"],
      body: Bytes(value.encoded(escapeHTML: true).string + "\n"))
  }

  private func fail(
    _ exchange: HTTPExchange, _ what: String, _ id: MemberID, _ error: EtcdError
  ) {
    member.logger.warn(
      what, [LogField("member-id", .string(id.hex)), LogField("error", .string(error.message))])
    exchange.refuseV2(500, "Internal Server Error")
  }
}

private struct V2MemberError: Error { let description: String }

extension MemberInfo {
  /// - Source: etcd `httptypes.Member`.
  fileprivate var v2JSON: JSONValue {
    [
      "id": .string(id.hex), "name": .string(name),
      "peerURLs": .array(peerURLs.map { .string($0) }),
      "clientURLs": .array(clientURLs.map { .string($0) }),
    ]
  }
}
