import Bytes
import EventLoops
import HTTP
import JSON

/// Calls of the cluster's API over the JSON gateway that every etcd from 3.4 on has. Confined to its loop.
final class MemberAPI {
  typealias Call = FleetLife.MemberCall
  typealias Done = (Result<JSONValue, DevClusterError>) -> Void

  private static let answerBytesMax = 1 << 20
  /// Refusals that a fresh token answers.
  /// - Source: etcd `api/v3rpc/rpctypes/error.go`.
  private static let tokenRefusals = [
    "user name is empty", "invalid auth token", "revision in the provided token is old",
  ]
  /// Said to every member: by this field etcd knows requests of its gateway, and does not take the name in the
  /// gateway's own certificate for the user.
  /// - Source: etcd `auth/store.go` `AuthInfoFromTLS`.
  private static let accepted = "*/*"
  private let client: HTTPClient
  /// Of root, where authentication is on.
  var password: String?
  /// Members that may give root a token; all take it.
  var voters: [MemberPlan] = []
  private var token: String?

  init(_ client: HTTPClient) { self.client = client }

  /// Makes a call.
  /// - Parameters:
  ///   - members: asked one after another until one can be reached.
  ///   - done: gets the answer, or the member's own words.
  func call(_ call: Call, _ members: [MemberPlan], timeout: Duration, _ done: @escaping Done) {
    guard let member = members.first else {
      return done(.failure(DevClusterError("no member answered \(call.path)")))
    }
    let next: () -> Void = { [weak self] in
      self?.call(call, Array(members.dropFirst()), timeout: timeout, done)
    }
    post(call, member, timeout, next) { [weak self] result in
      guard let self, let password, case .failure(let error) = result,
        Self.tokenRefusals.contains(where: error.description.contains)
      else { return done(result) }
      // A learner gives no tokens.
      let others = voters.filter { $0.name != member.name }
      logIn([member] + others, password, timeout) { [weak self] isIn in
        guard isIn else { return done(result) }
        self?.post(call, member, timeout, next, done)
      }
    }
  }

  /// Asks a member without naming another one.
  func get(
    _ path: String, of member: MemberPlan, timeout: Duration, _ done: @escaping (Bytes?) -> Void
  ) {
    send("GET", path, nil, to: member, timeout) { result in
      guard case .success(let response) = result, response.head.status == 200 else {
        return done(nil)
      }
      done(response.body)
    }
  }

  /// Opens a stream of the gateway, which goes on until it is cancelled.
  func stream(
    _ call: Call, _ member: MemberPlan, _ handler: any HTTPResponseHandler
  ) -> HTTPClientCall {
    var request = HTTPClientRequest("POST", member.origin, call.path)
    request.body = .bytes(JSONValue.object(call.body).encoded())
    request.idleTimeout = nil
    request.headers.add("Accept", Self.accepted)
    if let token { request.headers.add("Authorization", token) }
    return client.start(request, handler)
  }

  private func logIn(
    _ members: [MemberPlan], _ password: String, _ timeout: Duration,
    _ done: @escaping (Bool) -> Void
  ) {
    guard let member = members.first else { return done(false) }
    let login = Call(
      path: "/v3/auth/authenticate", body: ["name": "root", "password": .string(password)])
    let next: () -> Void = { [weak self] in
      self?.logIn(Array(members.dropFirst()), password, timeout, done)
    }
    post(login, member, timeout, next) { [weak self] result in
      guard case .success(let answer) = result else { return next() }
      self?.token = answer["token"]?.string
      done(true)
    }
  }

  private func post(
    _ call: Call, _ member: MemberPlan, _ timeout: Duration, _ next: @escaping () -> Void,
    _ done: @escaping Done
  ) {
    let body = JSONValue.object(call.body).encoded()
    send("POST", call.path, body, to: member, timeout) { result in
      // Another one would say the same.
      if case .failure(.tooLarge(let limit)) = result {
        return done(.failure(.answerTooLarge(member.name, call.path, limit)))
      }
      guard case .success(let response) = result else { return next() }
      let json = (try? JSONValue.parse(response.body)) ?? .null
      if response.head.status == 200 { return done(.success(json)) }
      let text =
        json["error"]?.string ?? json["message"]?.string ?? "status \(response.head.status)"
      if call.accepted.contains(where: text.contains) { return done(.success(json)) }
      done(.failure(DevClusterError("\(member.name) refuses \(call.path): \(text)")))
    }
  }

  private func send(
    _ method: String, _ path: String, _ body: Bytes?, to member: MemberPlan, _ timeout: Duration,
    _ done:
      @escaping (Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>) -> Void
  ) {
    var request = HTTPClientRequest(method, member.origin, path)
    request.connectTimeout = timeout
    request.headTimeout = timeout
    request.idleTimeout = timeout
    if let body { request.body = .bytes(body) }
    request.headers.add("Accept", Self.accepted)
    if let token, method == "POST", !path.hasSuffix("authenticate") {
      request.headers.add("Authorization", token)
    }
    client.send(request, limit: Self.answerBytesMax, done)
  }
}

extension DevClusterError {
  /// A member's answer has more bytes than are read.
  static func answerTooLarge(_ member: String, _ path: String, _ limit: Int) -> DevClusterError {
    DevClusterError("\(member) answers \(path) with more than \(limit) bytes")
  }

  var isOfSize: Bool { description.contains(" with more than ") }
}

extension MemberPlan {
  /// Where it listens for clients itself: faults are not for us.
  var origin: HTTPOrigin {
    HTTPOrigin(
      .tcp(host: "127.0.0.1", port: ownClientPort), scheme: isSecure ? .https : .http)
  }
}
