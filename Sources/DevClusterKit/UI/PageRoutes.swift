import Bytes
import HTTP
import JSON

/// What a request to the status page's server asks for. Pure.
///
/// | request | answer |
/// |---|---|
/// | `GET /?token=T` | the page, and a cookie that has the token; its other files need none |
/// | `GET /api/v1/status` | what `status --json` prints |
/// | `GET /api/v1/events` | the newest lines of `events --json` |
/// | `GET /api/v1/logs?who=m1,m2&level=warn&text=x` | the newest lines of members that fit, as `{"lines":[…]}` |
/// | `GET /api/v1/keys?prefix=P&after=K` | a page of keys with the beginnings of their values |
/// | `GET /api/v1/stream?…&watch=P&from=R` | server-sent events: all of it as it happens; logs as above |
/// | `POST /api/v1/orders` | what the control socket takes (`ControlRequest`), of what the page has buttons for |
/// | `POST /api/v1/keys` | `{"put":{"key":K,"value":V}}`, `{"delete":{"key":K}}`; in base64, as at etcd's gateway |
/// | `POST /api/v1/scenario` | `{"run":"kills.yaml"}`, `{"stop":true}` |
/// | `GET /history.html` | the last scenario's page |
enum PageRoute: Equatable {
  case file(PageFile, setsCookie: Bool)
  case status
  case events
  case logs(LogChoice)
  case keys(KeyQuery)
  case stream(PageSubscription)
  case history
  /// The body says what.
  case order
  case changeKey
  case scenario
}

/// What of the members' lines the page shows. Pure.
struct LogChoice: Equatable, Sendable {
  /// Empty for all.
  var members: Set<String> = []
  var level = LogLine.Level.info
  /// What lines contain, in whatever case.
  var text = ""

  func takes(_ member: String, _ line: LogLine) -> Bool {
    (members.isEmpty || members.contains(member)) && (line.level ?? .info) >= level
      && (text.isEmpty || line.raw.lowercased().contains(text))
  }
}

/// Which keys are shown. Pure.
struct KeyQuery: Equatable, Sendable {
  var prefix = Bytes()
  /// The last key of the page before.
  var after: Bytes?
}

/// What a page wants to hear of. Pure.
struct PageSubscription: Equatable, Sendable {
  var logs: LogChoice?
  var watch: Watch?

  struct Watch: Equatable, Sendable {
    var prefix: Bytes
    /// The first revision that the page does not know.
    var from: Int64
  }
}

extension PageGuard {
  /// What a request asks for.
  /// - Throws: `Refusal` for what may not be, and what nobody knows.
  func route(_ head: HTTPRequestHead) throws(Refusal) -> PageRoute {
    try checkHost(head)
    let query = PageQuery(head.query)
    if head.method == "GET", let file = PageFile(path: head.path) {
      guard file.isDocument else { return .file(file, setsCookie: false) }
      if let given = query.text("token") {
        guard isToken(given) else {
          throw Refusal(403, "this token is not the cluster's; run devcluster open")
        }
        return .file(file, setsCookie: true)
      }
      try checkToken(head)
      return .file(file, setsCookie: false)
    }
    try checkToken(head)
    switch (head.method, head.path) {
    case ("GET", "/api/v1/status"): return .status
    case ("GET", "/api/v1/events"): return .events
    case ("GET", "/api/v1/logs"): return .logs(try query.logs())
    case ("GET", "/api/v1/keys"):
      return .keys(KeyQuery(prefix: query.bytes("prefix") ?? Bytes(), after: query.bytes("after")))
    case ("GET", "/api/v1/stream"): return .stream(try query.subscription())
    case ("GET", "/history.html"): return .history
    case ("POST", let path): return try change(path, head)
    default: throw Refusal(404, "there is no \(head.method) \(head.path)")
    }
  }

  private func change(_ path: String, _ head: HTTPRequestHead) throws(Refusal) -> PageRoute {
    try checkOrigin(head)
    switch path {
    case "/api/v1/orders": return .order
    case "/api/v1/keys": return .changeKey
    case "/api/v1/scenario": return .scenario
    default: throw Refusal(404, "there is no POST \(path)")
    }
  }

  /// Reads an order: of what the control socket takes that for which the page has buttons. A page may not choose
  /// programs to run, change who is a member, nor end the cluster.
  static func order(_ body: Bytes) throws(Refusal) -> ControlRequest {
    guard let request = ControlRequest(body) else {
      throw Refusal(400, "not a request that this devcluster knows")
    }
    switch request {
    case .member, .fault, .heal: return request
    case .status, .page, .down, .add, .remove, .promote, .upgrade, .snapshot:
      throw Refusal(403, "this is for the command line alone")
    }
  }

  /// What is changed of a key.
  static func keyChange(_ body: Bytes) throws(Refusal) -> FleetLife.MemberCall {
    guard let json = try? JSONValue.parse(body) else { throw Refusal(400, "the body is no JSON") }
    if let put = json["put"], let key = put["key"]?.string, let value = put["value"]?.string {
      return FleetLife.MemberCall(
        path: "/v3/kv/put", body: ["key": .string(key), "value": .string(value)])
    }
    if let key = json["delete"]?["key"]?.string {
      return FleetLife.MemberCall(path: "/v3/kv/deleterange", body: ["key": .string(key)])
    }
    throw Refusal(400, "the body is neither a put nor a delete")
  }
}

/// The query of a request.
private struct PageQuery {
  private var pairs: [(name: Substring, value: Bytes)] = []

  init(_ query: String) {
    for pair in query.split(separator: "&") {
      let name = pair.prefix { $0 != "=" }
      let value = pair.dropFirst(name.count + 1)
      if let bytes = URLCoding.decode(value, plusIsSpace: true) { pairs.append((name, bytes)) }
    }
  }

  func bytes(_ name: String) -> Bytes? { pairs.first { $0.name == name }?.value }
  func text(_ name: String) -> String? { bytes(name)?.string }

  func logs() throws(PageGuard.Refusal) -> LogChoice {
    var choice = LogChoice()
    choice.members = Set((text("who") ?? "").split(separator: ",").map(String.init))
    choice.text = (text("text") ?? "").lowercased()
    guard let level = LogLine.Level(text("level") ?? "info") else {
      throw PageGuard.Refusal(400, "level is debug, info, warn or error")
    }
    choice.level = level
    return choice
  }

  func subscription() throws(PageGuard.Refusal) -> PageSubscription {
    var wanted = PageSubscription()
    if text("level") != nil { wanted.logs = try logs() }
    if let prefix = bytes("watch") {
      guard let from = Int64(text("from") ?? "0"), from >= 0 else {
        throw PageGuard.Refusal(400, "from is a revision")
      }
      wanted.watch = PageSubscription.Watch(prefix: prefix, from: from)
    }
    return wanted
  }
}
