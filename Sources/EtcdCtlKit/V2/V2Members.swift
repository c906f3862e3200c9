import Bytes
import EtcdAPI
import EtcdClient
import GoText
import HTTP
import JSON
import V2API

/// A member as the v2 API shows it.
struct V2Member: Sendable, Equatable {
  /// Hexadecimal.
  let id: String
  let name: String
  let peerURLs: [String]
  let clientURLs: [String]
}

/// The members of a cluster: over its v2 API, or over its v3 API where the server does not serve the former.
///
/// Which of them is asked is decided by the first answer: 404 says that a server has no `/v2/members`.
final class V2Members {
  private let client: V2Client
  private var later: EtcdClient?
  /// What the v3 API said of the members when they were changed: another endpoint may not know it yet.
  private var news: [V2Member]?
  private let deadline: ContinuousClock.Instant?

  static let listRequest = V2Request(path: "/v2/members")

  /// - Parameter deadline: the end of all requests; `nil` for none, but each has its own.
  init(_ client: V2Client, deadline: ContinuousClock.Instant?) {
    self.client = client
    self.deadline = deadline
  }

  deinit { later?.close() }

  func list() throws(V2Failure) -> [V2Member] {
    guard later == nil else { return try laterList() }
    let answer = try client.ask(Self.listRequest, deadline: deadline)
    guard answer.status == 404 else { return try Self.list(answer) }
    let refusal = V2Failure.status(answer.status)
    do throws(EtcdClientError) { later = try EtcdClient(configuration) } catch { throw refusal }
    do throws(V2Failure) { return try laterList() } catch {
      client.debug(
        "Hint: \(client.list(",")) serves no /v2/members (see etcd's --enable-v2), and its v3 API failed: "
          + error.message)
      throw refusal
    }
  }

  /// The ID of the member that leads.
  func leader() throws(V2Failure) -> String {
    guard let later else {
      let request = V2Request(path: "/v2/members/leader")
      let answer = try client.ask(request, deadline: deadline)
      guard answer.status == 200 else { throw .status(answer.status) }
      return try Self.member(JSONValue.body(of: answer)).id
    }
    let status = try call { () async throws(EtcdClientError) in
      try await later.maintenance.status()
    }
    guard status.leader != 0 else {
      // As where a server of the v2 API says so.
      throw .cluster(client.endpoints.compactMap { $0.problem(503) })
    }
    return String(status.leader, radix: 16)
  }

  /// Adds a member that has yet to be started.
  func add(_ url: String) throws(V2Failure) -> V2Member {
    let urls = try Self.checked([url])
    // Finds out which API there is.
    if later == nil { _ = try list() }
    guard let later else {
      let answer = try client.ask(change("POST", "", urls), deadline: deadline)
      switch answer.status {
      case 201: return try Self.member(JSONValue.body(of: answer))
      case 409: throw Self.refusal(answer)
      default: throw .status(answer.status)
      }
    }
    let reply = try call { () async throws(EtcdClientError) in
      try await later.cluster.add(peerURLs: urls)
    }
    guard let member = reply.member else { throw .other("no member in the answer") }
    news = reply.members.map(V2Member.init)
    return V2Member(member)
  }

  /// Removes a member that was listed.
  func remove(_ id: String) throws(V2Failure) {
    guard let later else {
      let answer = try client.ask(change("DELETE", "/" + id, nil), deadline: deadline)
      guard [204, 410].contains(answer.status) else { throw .status(answer.status) }
      return
    }
    guard let number = UInt64(id, radix: 16) else { throw .status(404) }
    _ = try call { () async throws(EtcdClientError) in try await later.cluster.remove(number) }
  }

  /// Says where a member is for its peers.
  func update(_ id: String, _ given: [String]) throws(V2Failure) {
    let urls = try Self.checked(given)
    if later == nil { _ = try list() }
    guard let later else {
      let answer = try client.ask(change("PUT", "/" + id, urls), deadline: deadline)
      switch answer.status {
      case 204: return
      case 404, 409: throw Self.refusal(answer)
      default: throw .status(answer.status)
      }
    }
    guard let number = UInt64(id, radix: 16) else { throw .other("No such member: \(id)") }
    do throws(V2Failure) {
      _ = try call { () async throws(EtcdClientError) in
        try await later.cluster.update(number, peerURLs: urls)
      }
    } catch {
      let isUnknown = error.message == EtcdError.memberNotFound.message
      throw isUnknown ? .other("No such member: \(id)") : error
    }
  }

  // MARK: the v2 API

  private func change(_ method: String, _ suffix: String, _ urls: [String]?) -> V2Request {
    var request = V2Request(method: method, path: HTTPRouter.clean(Bytes("/v2/members\(suffix)")))
    if let urls {
      let body: JSONValue = ["peerURLs": .array(urls.map { .string($0) })]
      request.body = body.encoded()
      request.contentType = "application/json"
    }
    return request
  }

  /// - Source: etcd `client/pkg/types` NewURLs: checked and sorted.
  private static func checked(_ urls: [String]) throws(V2Failure) -> [String] {
    do throws(EtcdURL.Failure) {
      return try EtcdURL.list(urls.joined(separator: ",")).map(\.description)
    } catch { throw .other(error.message) }
  }

  static func list(_ answer: V2Answer) throws(V2Failure) -> [V2Member] {
    guard answer.status == 200 else { throw .status(answer.status) }
    guard let body = JSONValue.body(of: answer) else { throw .invalidJSON }
    var members: [V2Member] = []
    for one in body["members"]?.array ?? [] { members.append(try member(one)) }
    return members
  }

  private static func member(_ json: JSONValue?) throws(V2Failure) -> V2Member {
    guard let json, let id = json["id"]?.string else { throw .invalidJSON }
    func urls(_ name: String) -> [String] { json[name]?.array?.compactMap(\.string) ?? [] }
    return V2Member(
      id: id, name: json["name"]?.string ?? "", peerURLs: urls("peerURLs"),
      clientURLs: urls("clientURLs"))
  }

  private static func refusal(_ answer: V2Answer) -> V2Failure {
    guard let text = JSONValue.body(of: answer)?["message"]?.string else { return .invalidJSON }
    return .other(text)
  }

  // MARK: the v3 API

  private var configuration: EtcdClientConfiguration {
    let globals = client.invocation.globals
    return EtcdClientConfiguration(
      endpoints: client.endpoints.compactMap { $0.origin?.description }, tls: client.tls,
      credentials: client.credentials, dialTimeout: globals.duration("timeout"),
      requestTimeout: globals.duration("total-timeout"))
  }

  private func laterList() throws(V2Failure) -> [V2Member] {
    guard let later else { return [] }
    defer { news = nil }
    if let news { return news }
    // What the server knows, as in the v2 API: that takes no leader.
    return try call { () async throws(EtcdClientError) in
      try await later.cluster.members(linearizable: false)
    }.members.map(V2Member.init)
  }

  private func call<R: Sendable>(
    _ body: @escaping @Sendable () async throws(EtcdClientError) -> R
  ) throws(V2Failure) -> R {
    do throws(ClientFailure) {
      return try Context.wait { () async throws(ClientFailure) in
        do throws(EtcdClientError) { return try await body() } catch {
          throw ClientFailure(error)
        }
      }
    } catch { throw .other(error.message) }
  }
}

extension V2Member {
  fileprivate init(_ member: Etcdserverpb.Member) {
    self.init(
      id: String(member.id, radix: 16), name: member.name, peerURLs: member.peerURLs,
      clientURLs: member.clientURLs)
  }
}
