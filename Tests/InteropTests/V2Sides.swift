import Bytes
import EventLoops
import Foundation
import HTTP
import Synchronization
import TestSupport
import Testing

/// A request of the v2 API.
struct V2Request: CustomStringConvertible, Sendable {
  var method = "GET"
  var target = "/v2/keys/"
  var form: String?
  var type = "application/x-www-form-urlencoded"
  /// Name and password.
  var user: String?

  var description: String { "\(user ?? "nobody"): \(method) \(target) \(form ?? "")" }
}

/// What came back, without what is a server's own affair.
struct V2Answer: Equatable, CustomStringConvertible {
  var status: Int
  var index: String
  var type: String
  var body: String

  var description: String { "\(status) \(index) \(type) \(body)" }

  /// Without times, directories in order, which Go's maps have not.
  static func normal(_ text: String) -> String {
    guard let value = try? JSONSerialization.jsonObject(with: Data(text.utf8)) else { return text }
    func tidy(_ value: Any) -> Any {
      guard var object = value as? [String: Any] else { return value }
      for name in ["expiration", "ttl"] where object[name] != nil { object[name] = "some" }
      for name in ["node", "prevNode"] { object[name] = object[name].map(tidy) }
      // An event is told with what was left of a lifetime when it was applied, which may be nothing at its end.
      if object["action"] as? String == "expire", var gone = object["prevNode"] as? [String: Any] {
        gone["ttl"] = nil
        object["prevNode"] = gone
      }
      object["nodes"] = (object["nodes"] as? [Any])?.map(tidy).sorted {
        (($0 as? [String: Any])?["key"] as? String ?? "")
          < (($1 as? [String: Any])?["key"] as? String ?? "")
      }
      return object
    }
    guard
      let data = try? JSONSerialization.data(withJSONObject: tidy(value), options: .sortedKeys)
    else { return text }
    return String(decoding: data, as: UTF8.self)
  }
}

/// Clients of one server.
final class V2Side: @unchecked Sendable {
  // @unchecked: the member is the test's, which does one thing after the other; everything else is its loop's.
  let member: Member
  let origin: HTTPOrigin
  let loop: EventLoop
  private let client: HTTPClient

  init(_ member: Member, _ loop: EventLoop) {
    self.member = member
    origin = HTTPOrigin(.tcp(host: "127.0.0.1", port: member.clientPort))
    self.loop = loop
    client = HTTPClient(loop: loop, idlePerOriginMax: 64, dial: HTTPClient.dial(.plain))
  }

  private func message(_ request: V2Request) -> HTTPClientRequest {
    var message = HTTPClientRequest(request.method, origin, request.target)
    if let form = request.form {
      message.headers.set("Content-Type", request.type)
      message.body = .bytes(Bytes(form))
    }
    if let user = request.user {
      message.headers.set("Authorization", "Basic " + Data(user.utf8).base64EncodedString())
    }
    return message
  }

  func ask(_ request: V2Request) async -> V2Answer {
    await withCheckedContinuation { done in
      loop.execute { [self] in
        client.send(message(request), limit: 64 << 20) { done.resume(returning: Self.answer($0)) }
      }
    }
  }

  func ask(_ method: String, _ target: String, _ form: String? = nil) async -> V2Answer {
    await ask(V2Request(method: method, target: target, form: form))
  }

  private static func answer(
    _ result: Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>
  ) -> V2Answer {
    switch result {
    case .failure(let error): V2Answer(status: 0, index: "", type: "\(error)", body: "")
    case .success(let response):
      V2Answer(
        status: response.head.status, index: response.head.headers["x-etcd-index"] ?? "",
        type: response.head.headers["content-type"] ?? "",
        body: V2Answer.normal(response.body.string))
    }
  }

  /// The store's index.
  func index() async throws -> Int {
    try #require(Int(await ask(V2Request()).index))
  }

  // MARK: Waiting

  /// What a wait gave so far.
  final class Wait: HTTPResponseHandler, Sendable {
    private struct State {
      var head: V2Answer?
      var body = ""
      var isOver = false
    }
    private let state = Mutex(State())
    private let call = Mutex<HTTPClientCall?>(nil)
    private let loop: EventLoop

    fileprivate init(_ loop: EventLoop) { self.loop = loop }
    fileprivate func began(_ call: HTTPClientCall) { self.call.withLock { $0 = call } }

    func responseHead(_ head: HTTPResponseHead) {
      let answer = V2Answer(
        status: head.status, index: head.headers["x-etcd-index"] ?? "",
        type: head.headers["content-type"] ?? "", body: "")
      state.withLock { $0.head = answer }
    }
    func responseData(_ bytes: Bytes) { state.withLock { $0.body += bytes.string } }
    func responseEnded() { state.withLock { $0.isOver = true } }
    func responseFailed(_ error: HTTPClientError) { state.withLock { $0.isOver = true } }
    func requestWritable() {}

    /// Lines that came.
    var told: [String] {
      state.withLock { $0.body }.split(separator: "\n").map { V2Answer.normal(String($0)) }
    }
    var isOver: Bool { state.withLock { $0.isOver } }
    var hasHead: Bool { state.withLock { $0.head != nil } }
    /// Head, and what came behind it.
    var answer: V2Answer? {
      guard var answer = state.withLock({ $0.head }) else { return nil }
      answer.body = told.joined(separator: "\n")
      return answer
    }

    func cancel() { loop.execute { [self] in call.withLock { $0 }?.cancel() } }
  }

  /// Begins to wait.
  func wait(_ request: V2Request) -> Wait {
    let wait = Wait(loop)
    loop.execute { [self] in
      var message = message(request)
      (message.headTimeout, message.idleTimeout) = (nil, nil)
      wait.began(client.start(message, wait))
    }
    return wait
  }
}

/// Waits until something holds.
@MainActor func v2Until(
  _ what: String, seconds: Int = 20, _ condition: @MainActor () async -> Bool
) async throws {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while !(await condition()) {
    try #require(ContinuousClock.now < deadline, "not so that \(what)")
    try await Task.sleep(for: .milliseconds(5))
  }
}

/// Clients of one server that runs.
@MainActor func withV2Side(
  _ member: Member, _ body: @MainActor (V2Side) async throws -> Void
) async throws {
  let loop = EventLoop(name: "v2")
  loop.start()
  defer { loop.stop() }
  try await body(V2Side(member, loop))
}

/// A server of Go's and one of ours, at one index.
@MainActor func withV2Servers(
  _ official: String?, extra: [String] = [],
  _ body: @MainActor (_ go: V2Side, _ ours: V2Side) async throws -> Void
) async throws {
  let clusters = [try #require(official), Binaries.ours].map {
    Cluster([$0], extra: ["--enable-v2"] + extra)
  }
  for cluster in clusters { try cluster.start() }
  let loop = EventLoop(name: "v2")
  loop.start()
  defer { loop.stop() }
  let (go, ours) = (
    V2Side(clusters[0].members[0], loop), V2Side(clusters[1].members[0], loop)
  )
  // How often a member publishes itself at its start is its own affair.
  let pad = V2Request(method: "PUT", target: "/v2/keys/pad?value=1")
  for side in [go, ours] { _ = await side.ask(pad) }
  while try await go.index() != ours.index() {
    _ = await (try await go.index() < ours.index() ? go : ours).ask(pad)
  }
  for side in [go, ours] { _ = await side.ask(pad) }
  try await body(go, ours)
}
