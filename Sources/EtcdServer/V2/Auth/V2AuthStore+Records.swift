import Bytes
import EtcdAPI
import JSON
import Member
import Protobuf
import V2Store

/// Records of users and roles: nodes of the v2 store, each an object of JSON.
extension V2AuthStore {
  private static let root = "/2"
  static let damaged = EtcdError(.internal, "etcdserver: damaged record of the v2 users")

  func names(_ path: String) async throws(V2AuthFailure) -> [String] {
    let event: V2Event
    do throws(V2AuthFailure) { event = try await find(path) } catch {
      if error.isMissing { return [] }
      throw error
    }
    return (event.node.nodes ?? []).compactMap {
      $0.key.split(separator: "/").last.map(String.init)
    }
    .sorted()
  }

  func read(_ path: String, quorum: Bool) async throws(V2AuthFailure) -> JSONValue {
    let event: V2Event
    if quorum {
      var request = Etcdserverpb.Request()
      (request.method, request.path) = ("QGET", Self.root + path)
      event = try await propose(request)
    } else {
      event = try await find(path)
    }
    // A record is small; a directory in its place is none.
    guard let value = event.node.value, let json = try? JSONValue.parse(Bytes(value)) else {
      throw .failed(Self.damaged)
    }
    return json
  }

  private func find(_ path: String) async throws(V2AuthFailure) -> V2Event {
    try await answer { done in
      self.member.requests.askV2(.node(path: Self.root + path, isRecursive: false), done)
    }
  }

  func write(_ path: String, _ value: JSONValue, isNew: Bool) async throws(V2AuthFailure) {
    try await prepare()
    var request = Etcdserverpb.Request()
    (request.method, request.path, request.prevExist) = ("PUT", Self.root + path, !isNew)
    request.val = value.encoded(escapeHTML: true).string
    _ = try await propose(request)
  }

  func delete(_ path: String) async throws(V2AuthFailure) {
    try await prepare()
    var request = Etcdserverpb.Request()
    (request.method, request.path, request.prevExist) = ("DELETE", Self.root + path, true)
    _ = try await propose(request)
  }

  /// Makes the directories once.
  private func prepare() async throws(V2AuthFailure) {
    guard !isPrepared else { return }
    var requests: [Etcdserverpb.Request] = []
    for path in ["", "/users/", "/roles/", "/enabled"] {
      var request = Etcdserverpb.Request()
      (request.method, request.path, request.prevExist) = ("PUT", Self.root + path, false)
      if path == "/enabled" { request.val = "false" } else { request.dir = true }
      requests.append(request)
    }
    for request in requests {
      do throws(V2AuthFailure) { _ = try await propose(request) } catch {
        guard error.isTaken else { throw error }
      }
    }
    isPrepared = true
  }

  private func propose(_ request: Etcdserverpb.Request) async throws(V2AuthFailure) -> V2Event {
    let id = member.requests.makeID()
    var request = request
    request.id = id.rawValue
    let data = request.encoded()
    return try await answer { done in self.member.requests.propose(id: id, data, done) }
  }

  private func answer(
    _ ask: (@escaping RequestTable.OutcomeHandler) -> Void
  ) async throws(V2AuthFailure) -> V2Event {
    let outcome: Outcome = await withCheckedContinuation { continuation in
      ask { outcome, _ in continuation.resume(returning: outcome) }
    }
    switch outcome {
    case .v2(.event(let event)): return event
    case .v2(.found(let found)): return found.event()
    case .v2(.refused(let error)): throw .store(error)
    case .failed(let error): throw .failed(error)
    default: preconditionFailure("a request for v2 keys is answered in kind")
    }
  }
}

extension V2AuthFailure {
  var isMissing: Bool { isStore(.keyNotFound) }
  var isTaken: Bool { isStore(.nodeExists) }

  private func isStore(_ code: V2Error.Code) -> Bool {
    if case .store(let error) = self { return error.code == code }
    return false
  }
}
