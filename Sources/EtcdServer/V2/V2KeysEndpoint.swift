import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Member
import Platform
import Protobuf
import Synchronization
import V2Store

/// `/v2/keys`: keys and directories of the v2 store.
///
/// - Source: etcd `v2http/client.go`, `etcdserver/v2_server.go`.
struct V2KeysEndpoint: Sendable {
  static let path = "/v2/keys"
  /// Bytes of a form.
  /// - Source: Go's `http.Request.ParseForm`.
  private static let formBytesMax = 10 << 20

  /// Bytes of all forms that are on their way to one loop.
  private static let formsBytesMax = 64 << 20

  let member: RunningMember
  let hub: V2Hub
  private let access: V2Access
  private let budget: LoopConfined<HTTPBodyBudget>

  /// On the member's loop.
  init(member: RunningMember, hub: V2Hub, access: V2Access) {
    self.member = member
    self.hub = hub
    self.access = access
    budget = LoopConfined(HTTPBodyBudget(bytesMax: Self.formsBytesMax))
  }

  func register(in router: inout HTTPRouter) {
    for pattern in [Self.path, Self.path + "/"] {
      router.add(nil, pattern) { exchange, path in serve(exchange, path) }
    }
  }

  private func serve(_ exchange: HTTPExchange, _ path: String) {
    guard exchange.requireMethod("HEAD", "GET", "PUT", "POST", "DELETE") else { return }
    exchange.extraHeaders.set("X-Etcd-Cluster-Id", member.v2ClusterID)
    let path = String(path.dropFirst(Self.path.count))
    do throws(HTTPForm.Failure) {
      guard try exchange.hasForm() else { return parse(exchange, path, nil) }
    } catch { return exchange.refuse(V2Error(.invalidForm, error.message)) }
    exchange.collectBody(limit: Self.formBytesMax, budget: budget.value) { result in
      switch result {
      case .success(let body): parse(exchange, path, body)
      case .failure(.tooLarge):
        exchange.refuse(V2Error(.invalidForm, "http: POST too large"))
      case .failure(let error): exchange.refuse(V2Error(.invalidForm, "\(error)"))
      }
    }
  }

  private func parse(_ exchange: HTTPExchange, _ path: String, _ form: Bytes?) {
    let request: V2KeyRequest
    do throws(V2Error) {
      let form = try Self.form(form, exchange.request.query)
      request = try V2KeyRequest(
        exchange.request.method, path, form, now: WallClock.nanoseconds)
    } catch { return exchange.refuse(error) }
    guard access.store.isEnabled else { return answer(exchange, request) }
    let confined = LoopConfined(exchange)
    Task(executorPreference: member.loop) {
      let exchange = confined.value
      guard await access.allows(exchange, path, isRecursive: request.request.recursive) else {
        return exchange.refuse(V2Error(.unauthorized, "Insufficient credentials"))
      }
      answer(exchange, request)
    }
  }

  private static func form(_ body: Bytes?, _ query: String) throws(V2Error) -> HTTPForm {
    do throws(HTTPForm.Failure) { return try HTTPForm(form: body, query: query) } catch {
      throw V2Error(.invalidForm, error.message)
    }
  }

  private func answer(_ exchange: HTTPExchange, _ request: V2KeyRequest) {
    if request.wait { return watch(exchange, request) }
    request.isProposed ? propose(exchange, request) : find(exchange, request)
  }

  // MARK: Answers

  private func find(_ exchange: HTTPExchange, _ request: V2KeyRequest) {
    member.requests.askV2(
      .node(path: request.request.path, isRecursive: request.request.recursive)
    ) { outcome, term in
      answer(exchange, request, outcome, term)
    }
  }

  private func propose(_ exchange: HTTPExchange, _ request: V2KeyRequest) {
    let id = member.requests.makeID()
    var entry = request.request
    entry.id = id.rawValue
    member.requests.propose(id: id, entry.encoded()) { outcome, term in
      answer(exchange, request, outcome, term)
    }
  }

  private func answer(
    _ exchange: HTTPExchange, _ request: V2KeyRequest, _ outcome: Outcome, _ term: Term
  ) {
    switch outcome {
    case .v2(.event(let event)): respond(exchange, request, event, term)
    case .v2(.found(let found)):
      guard found.isDirectory else { return respond(exchange, request, found.event(), term) }
      // It may hold very much.
      let show: @Sendable () -> V2Event = { found.event() }
      member.shared.readers.run(on: member.loop, show) { result in
        switch result {
        case .success(let event): respond(exchange, request, event, term)
        case .failure(let error): exchange.refuse(V2Error(.raftInternal, error.message))
        }
      }
    case .v2(.refused(let error)): exchange.refuse(error)
    case .failed(let error): exchange.refuse(V2Error(.raftInternal, error.message))
    default: preconditionFailure("a request for v2 keys is answered in kind")
    }
  }

  private func respond(
    _ exchange: HTTPExchange, _ request: V2KeyRequest, _ event: V2Event, _ term: Term
  ) {
    let changes: [V2Event.Action] = [.set, .compareAndSwap, .create, .update]
    let line = V2JSON.line(
      event, now: WallClock.nanoseconds,
      withNodes: !request.hidesNodes || !changes.contains(event.action))
    exchange.respond(
      status: event.isCreation ? 201 : 200, headers: headers(event.index, term), body: line)
  }

  private func headers(_ index: UInt64, _ term: Term) -> HTTPHeaders {
    [
      "Content-Type": "application/json", "X-Etcd-Index": "\(index)",
      "X-Raft-Index": "\(member.host.status.commitIndex)", "X-Raft-Term": "\(term)",
    ]
  }

  // MARK: Watching

  private func watch(_ exchange: HTTPExchange, _ request: V2KeyRequest) {
    let watch = LoopConfined(
      V2Watch(exchange, isStream: request.stream) { index in
        headers(index, member.host.status.term)
      })
    let token = hub.watch(
      .init(
        request.request.path, isRecursive: request.request.recursive, isStream: request.stream,
        since: request.since),
      from: member.loop
    ) { news in
      switch news {
      case .began(let index): watch.value.begin(index)
      case .refused(let error): exchange.refuse(error)
      case .event(let line): watch.value.tell(line)
      case .ended: watch.value.end()
      }
    }
    exchange.mayBeSilent = true
    exchange.onDisconnect = { token.cancel() }
    watch.value.onEnd = { token.cancel() }
  }
}

/// The answer to one who watches, which comes when something happens. Confined to the loop.
private final class V2Watch {
  /// Events that wait for a client that does not read; one more ends the answer.
  /// - Source: etcd `watcherHub.watch`.
  private static let waitingMax = 100

  private let exchange: HTTPExchange
  private let isStream: Bool
  private let headers: (UInt64) -> HTTPHeaders
  private var waiting: [Bytes] = []
  private var isOver = false
  var onEnd: (() -> Void)?

  init(_ exchange: HTTPExchange, isStream: Bool, _ headers: @escaping (UInt64) -> HTTPHeaders) {
    self.exchange = exchange
    self.isStream = isStream
    self.headers = headers
  }

  /// The head goes out at once: whoever waits long knows that it is waiting.
  func begin(_ index: UInt64) {
    exchange.onWritable = { [weak self] in self?.flush() }
    exchange.startResponse(status: 200, headers: headers(index))
  }

  func tell(_ line: Bytes) {
    guard !isOver else { return }
    guard waiting.count < Self.waitingMax else { return end() }
    waiting.append(line)
    flush()
    if !isStream { end() }
  }

  private func flush() {
    guard exchange.isWritable || !isStream else { return }
    for line in waiting { exchange.write(line) }
    waiting = []
  }

  func end() {
    guard !isOver else { return }
    isOver = true
    onEnd?()
    exchange.finish()
  }
}
