import Bytes
import EventLoops
import Foundation
import HTTP
import Synchronization
import TestSupport
import Testing

/// The same random requests of the v2 API to Go's server and to ours, and watchers that wait while they are sent: status,
/// index and body of every answer are equal, and every watcher hears the same.
@Suite(.serialized) struct V2DifferentialTests {
  private static let requests =
    Int(ProcessInfo.processInfo.environment["V2_REQUESTS"] ?? "") ?? 3_000

  struct Answer: Equatable, CustomStringConvertible {
    var status: Int
    var index: String
    var type: String
    var body: String

    var description: String { "\(status) \(index) \(type) \(body)" }
  }

  struct Request: CustomStringConvertible {
    var method = "GET"
    var target = "/v2/keys/"
    var form: String?
    var type = "application/x-www-form-urlencoded"

    var description: String { "\(method) \(target) \(form ?? "")" }
  }

  /// Clients of one server.
  private final class Side: Sendable {
    let origin: HTTPOrigin
    let loop: EventLoop
    private let client: HTTPClient

    init(_ port: Int, _ loop: EventLoop) {
      origin = HTTPOrigin(.tcp(host: "127.0.0.1", port: port))
      self.loop = loop
      client = HTTPClient(loop: loop, dial: HTTPClient.dial(.plain))
    }

    func ask(_ request: Request) async -> Answer {
      await withCheckedContinuation { done in
        loop.execute { [self] in
          var message = HTTPClientRequest(request.method, origin, request.target)
          if let form = request.form {
            message.headers.set("Content-Type", request.type)
            message.body = .bytes(Bytes(form))
          }
          client.send(message, limit: 8 << 20) { done.resume(returning: Self.answer($0)) }
        }
      }
    }

    private static func answer(
      _ result: Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>
    ) -> Answer {
      switch result {
      case .failure(let error): Answer(status: 0, index: "", type: "\(error)", body: "")
      case .success(let response):
        Answer(
          status: response.head.status, index: response.head.headers["x-etcd-index"] ?? "",
          type: response.head.headers["content-type"] ?? "",
          body: V2DifferentialTests.normal(response.body.string))
      }
    }

    /// The store's index.
    func index() async throws -> Int {
      try #require(Int(await ask(Request()).index))
    }
  }

  /// Without times, directories in order, which Go's maps have not.
  private static func normal(_ text: String) -> String {
    guard let value = try? JSONSerialization.jsonObject(with: Data(text.utf8)) else { return text }
    func tidy(_ value: Any) -> Any {
      guard var object = value as? [String: Any] else { return value }
      for name in ["expiration", "ttl"] where object[name] != nil { object[name] = "some" }
      for name in ["node", "prevNode"] { object[name] = object[name].map(tidy) }
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

  // MARK: Requests

  private struct Generator {
    var random: SeededGenerator
    var index = 1

    mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

    mutating func one(of values: [String]) -> String {
      values[Int.random(in: 0..<values.count, using: &random)]
    }

    static let keys = [
      "/a", "/a/b", "/a/b/c", "/_h", "/_h/x", "/a/_s", "/a/_s/y", "/d", "/", "", "/d/e", "/%ff%fe",
      "/sp%20ce", "/%C3%A9", "/a/", "/0", "/1",
    ]

    mutating func next() -> Request {
      var request = Request()
      request.method = one(of: [
        "GET", "GET", "GET", "PUT", "PUT", "PUT", "PUT", "POST", "DELETE", "DELETE", "HEAD",
        "PATCH",
      ])
      let near = String(max(1, index - Int.random(in: 0..<9, using: &random)))
      let parameters: [(name: String, oneIn: Int, values: [String])] = [
        ("recursive", 7, ["true", "false", "1", "x", ""]), ("sorted", 10, ["true", "x"]),
        ("dir", 7, ["true", "false", "maybe"]), ("quorum", 10, ["true", "false"]),
        ("prevExist", 5, ["true", "false", "z"]),
        ("prevIndex", 9, [near, near, "0", "-1", "x", "18446744073709551616"]),
        ("prevValue", 9, ["v1", "v2", "", "%3C%26%3E"]),
        // None that ends while the requests run: when is each server's own affair.
        ("ttl", 8, ["100000", "", "x", "-1", "99999999"]),
        ("refresh", 12, ["true", "false", "q"]), ("noValueOnSuccess", 20, ["true", "x"]),
        ("wait", request.method == "GET" ? 1_000_000 : 40, ["true", "q"]),
        ("waitIndex", 30, ["x", "5"]),
      ]
      var query: [String] = []
      for parameter in parameters where chance(parameter.oneIn) {
        query.append("\(parameter.name)=\(one(of: parameter.values))")
      }
      if chance(60) { query.append(one(of: ["a=%zz", "%4"])) }
      request.target =
        "/v2/keys" + one(of: Self.keys) + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
      if ["PUT", "POST"].contains(request.method), !chance(7) {
        request.form = one(of: [
          "value=v1", "value=v2", "value=", "value=%3C%26%3E", "value=%C3%BC", "",
        ])
      }
      if chance(12) { request.type = one(of: ["text/plain", request.type + "; charset=utf-8"]) }
      return request
    }
  }

  /// Two servers that are at one index.
  @MainActor private func withServers(
    _ body: @MainActor (_ go: Side, _ ours: Side) async throws -> Void
  ) async throws {
    let clusters = [try #require(Binaries.go35), Binaries.ours].map {
      Cluster([$0], extra: ["--enable-v2"])
    }
    for cluster in clusters { try cluster.start() }
    let loop = EventLoop(name: "v2")
    loop.start()
    defer { loop.stop() }
    let (go, ours) = (
      Side(clusters[0].members[0].clientPort, loop), Side(clusters[1].members[0].clientPort, loop)
    )
    // How often a member publishes itself at its start is its own affair.
    let pad = Request(method: "PUT", target: "/v2/keys/pad?value=1")
    for side in [go, ours] { _ = await side.ask(pad) }
    while try await go.index() != ours.index() {
      _ = await (try await go.index() < ours.index() ? go : ours).ask(pad)
    }
    for side in [go, ours] { _ = await side.ask(pad) }
    try await body(go, ours)
  }

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func everyAnswerIsEqual() async throws {
    try await withServers { go, ours in
      var generator = Generator(random: .printed("v2 requests"))
      generator.index = try await go.index()
      for number in 0..<Self.requests {
        let request = generator.next()
        async let theirs = go.ask(request)
        let (mine, expected) = (await ours.ask(request), await theirs)
        generator.index = Int(expected.index) ?? generator.index
        // Go's store fails to refuse the update of a directory, and its server tells of that.
        if expected.body.contains("nodePath"), mine.status == 403 { continue }
        #expect(mine == expected, "\(number): \(request)")
      }
    }
  }

  // MARK: Watchers

  /// What a stream gave so far.
  private final class Stream: HTTPResponseHandler, Sendable {
    let lines = Mutex("")
    let isOver = Mutex(false)
    func responseHead(_ head: HTTPResponseHead) {}
    func responseData(_ bytes: Bytes) { lines.withLock { $0 += bytes.string } }
    func responseEnded() { isOver.withLock { $0 = true } }
    func responseFailed(_ error: HTTPClientError) { isOver.withLock { $0 = true } }
    func requestWritable() {}

    var told: [String] {
      lines.withLock { $0.split(separator: "\n").map { V2DifferentialTests.normal(String($0)) } }
    }
  }

  /// Watchers of every kind, and changes of every kind.
  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func everyWatcherHearsTheSame() async throws
  {
    try await withServers { go, ours in
      let base = try await go.index()
      var targets: [String] = []
      for key in Generator.keys where key != "" {
        for recursive in ["", "&recursive=true"] {
          for stream in ["", "&stream=true"] {
            for index in ["", "&waitIndex=\(base + 3)"] {
              targets.append("/v2/keys\(key)?wait=true\(recursive)\(stream)\(index)")
            }
          }
        }
      }
      let sides = [go, ours]
      let streams = sides.map { _ in targets.map { _ in Stream() } }
      let clients = sides.map { HTTPClient(loop: $0.loop, dial: HTTPClient.dial(.plain)) }
      for (side, origin) in sides.map(\.origin).enumerated() {
        for (target, stream) in zip(targets, streams[side]) {
          go.loop.run {
            var request = HTTPClientRequest("GET", origin, target)
            (request.headTimeout, request.idleTimeout) = (nil, nil)
            clients[side].start(request, stream)
          }
        }
      }
      // They wait when their servers count them.
      for side in sides {
        while !(await side.ask(Request(target: "/v2/stats/store")).body)
          .contains("\"watchers\":\(targets.count)")
        {
          try await Task.sleep(for: .milliseconds(5))
        }
      }
      var generator = Generator(random: .printed("v2 changes"))
      for _ in 0..<60 {
        var request = generator.next()
        if request.method == "GET" || request.target.contains("wait") { continue }
        if request.target.contains("ttl") { request.target = "/v2/keys/a?value=v1" }
        for side in sides { _ = await side.ask(request) }
      }
      for side in sides {
        _ = await side.ask(Request(method: "PUT", target: "/v2/keys/d/e?value=last"))
        _ = await side.ask(Request(method: "DELETE", target: "/v2/keys/a?recursive=true"))
      }
      for (number, target) in targets.enumerated() {
        let deadline = ContinuousClock.now + .seconds(10)
        while streams[1][number].told != streams[0][number].told, ContinuousClock.now < deadline {
          try await Task.sleep(for: .milliseconds(5))
        }
        #expect(streams[1][number].told == streams[0][number].told, "\(target)")
      }
    }
  }
}
