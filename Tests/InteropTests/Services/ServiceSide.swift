import Bytes
import Calls
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport

/// A request of any service, as both ways of asking need it.
struct ServiceCall: Sendable {
  let method: MethodDescriptor
  let request: Bytes
  var json: Bytes

  init(_ method: MethodDescriptor, _ message: some ProtobufMessage) {
    self.method = method
    request = message.encoded()
    json = message.json()
  }

  var text: String { "\(method.service) \(method.name) \(json.string)" }

  /// Where the JSON gateway serves it; `nil`: nowhere.
  var gatewayPath: String? { Self.gatewayPaths[method.path].map { "/v3/" + $0 } }

  /// - Source: etcd's `rpc.proto`, `v3lock.proto`, `v3election.proto`.
  private static let gatewayPaths: [String: String] = {
    var paths: [String: String] = [:]
    func serve(_ prefix: String, _ methods: [MethodDescriptor], _ names: [String: String] = [:]) {
      for method in methods {
        paths[method.path] = prefix + (names[method.name] ?? method.name.lowercased())
      }
    }
    serve("kv/", Etcdserverpb.KVService.methods, ["Compact": "compaction"])
    serve("", [Etcdserverpb.WatchService.watch])
    for method in Etcdserverpb.LeaseService.methods {
      paths[method.path] = "lease/" + method.name.dropFirst("Lease".count).lowercased()
    }
    for method in Etcdserverpb.ClusterService.methods {
      paths[method.path] = "cluster/member/" + method.name.dropFirst("Member".count).lowercased()
    }
    serve(
      "maintenance/", Etcdserverpb.MaintenanceService.methods,
      ["MoveLeader": "transfer-leadership"])
    serve(
      "auth/", Etcdserverpb.AuthService.methods,
      [
        "AuthEnable": "enable", "AuthDisable": "disable", "AuthStatus": "status",
        "UserAdd": "user/add", "UserGet": "user/get", "UserList": "user/list",
        "UserDelete": "user/delete", "UserChangePassword": "user/changepw",
        "UserGrantRole": "user/grant", "UserRevokeRole": "user/revoke", "RoleAdd": "role/add",
        "RoleGet": "role/get", "RoleList": "role/list", "RoleDelete": "role/delete",
        "RoleGrantPermission": "role/grant", "RoleRevokePermission": "role/revoke",
      ])
    serve("lock/", V3lockpb.LockService.methods)
    serve("election/", V3electionpb.ElectionService.methods)
    return paths
  }()
}

/// What came back, without what is a server's own affair.
struct ServiceAnswer: Equatable, Sendable, CustomStringConvertible {
  /// Code and message of a refusal; `nil` when the call was served.
  var refusal: String?
  /// Message of a refusal, or of a watch that was cancelled.
  var reason = ""
  var body = ""

  var description: String { refusal ?? body }
}

enum ServiceWay: CaseIterable, Sendable { case grpc, gateway }

/// A client of one server, over gRPC and over its JSON gateway. Of a stream the first answer counts.
final class ServiceSide: @unchecked Sendable {
  // @unchecked: the client of HTTP is only touched on its loop.
  private let port: Int
  private let grpc: GRPCClient
  private let http: HTTPClient
  private let loop: EventLoop

  /// - Parameter port: the server's, for clients.
  init(_ port: Int, _ loop: EventLoop) async throws {
    self.port = port
    self.loop = loop
    grpc = try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop)
    http = HTTPClient(loop: loop, idlePerOriginMax: 4)
  }

  func close() { grpc.abort() }

  func ask(
    _ call: ServiceCall, by way: ServiceWay = .grpc, token: String? = nil
  ) async -> ServiceAnswer {
    switch way {
    case .grpc: await ask(grpc: call, token)
    case .gateway: await ask(gateway: call, token)
    }
  }

  /// The answer's message.
  /// - Throws: what the call was refused with.
  func reply<Answer: ProtobufMessage>(
    _ type: Answer.Type, _ call: ServiceCall, token: String? = nil
  ) async throws -> Answer {
    var metadata = Metadata()
    if let token { metadata.add("token", token) }
    return try Answer.decode(
      try await grpc.unary(
        call.method.path, call.request, metadata: metadata, timeout: .seconds(20)
      ).message)
  }

  // MARK: gRPC

  private func ask(grpc call: ServiceCall, _ token: String?) async -> ServiceAnswer {
    var metadata = Metadata()
    if let token { metadata.add("token", token) }
    let method = call.method
    do {
      let reply: Bytes?
      if method.clientStreaming || method.serverStreaming {
        let stream = try await grpc.stream(method.path, metadata: metadata, timeout: .seconds(20))
        defer { stream.cancel() }
        try await stream.send(call.request)
        if !method.clientStreaming { stream.finish() }
        reply = try await stream.next()
      } else {
        reply =
          try await grpc.unary(
            method.path, call.request, metadata: metadata, timeout: .seconds(20)
          ).message
      }
      guard let reply else { return ServiceAnswer(body: "nothing") }
      var answer = ServiceAnswer(
        body: Self.plain(try method.responseType.decode(reply).json().string))
      if method.name == "Watch" {
        answer.reason = try Etcdserverpb.WatchResponse.decode(reply).cancelReason
      }
      return answer
    } catch {
      let message = (error as? GRPCStatus)?.message ?? "\(error)"
      return ServiceAnswer(refusal: "\(error)", reason: message)
    }
  }

  // MARK: Gateway

  private func ask(gateway call: ServiceCall, _ token: String?) async -> ServiceAnswer {
    guard let path = call.gatewayPath else { return ServiceAnswer(refusal: "not in the gateway") }
    var request = HTTPClientRequest(
      "POST", HTTPOrigin(.tcp(host: "127.0.0.1", port: port)), path)
    if let token { request.headers.set("Authorization", token) }
    request.body = .bytes(call.json)
    let (status, body) = await withCheckedContinuation { done in
      loop.execute { [self, request] in
        let first = FirstLine { done.resume(returning: ($0, $1)) }
        first.call = http.start(request, first)
      }
    }
    let plain = Self.plain(body.trimmingCharacters(in: .newlines))
    let isRefusal = status != 200 || plain.hasPrefix("{\"error\"")
    let word = isRefusal ? "message" : "cancel_reason"
    let reason = body.components(separatedBy: "\"\(word)\":\"").dropFirst().first
      .map { String($0.prefix { $0 != "\"" }) }
    return ServiceAnswer(
      refusal: isRefusal ? "\(status) \(plain)" : nil, reason: reason ?? "",
      body: isRefusal ? "" : plain)
  }

  /// Without the numbers of a server and its members, and without its terms.
  private static func plain(_ text: String) -> String {
    let whole = NSRange(text.startIndex..., in: text)
    return numbers.stringByReplacingMatches(in: text, range: whole, withTemplate: "$1\"0\"")
  }

  // Foundation's, which is ten times as fast in a debug build.
  private static let numbers = try! NSRegularExpression(
    pattern: #"("(?:cluster_id|member_id|raft_term)":)"\d+"|"\d{15,20}""#)
}

/// The head's status and the first line of the body, or all of it. On the client's loop.
private final class FirstLine: HTTPResponseHandler {
  var call: HTTPClientCall?
  private var done: ((Int, String) -> Void)?
  private var status = 0
  private var body: [UInt8] = []

  init(_ done: @escaping (Int, String) -> Void) { self.done = done }

  private func finish() {
    done?(status, String(decoding: body, as: UTF8.self))
    done = nil
  }

  func responseHead(_ head: HTTPResponseHead) { status = head.status }
  func responseData(_ bytes: Bytes) {
    body += Array(bytes)
    guard body.contains(UInt8(ascii: "\n")), done != nil else { return }
    finish()
    call?.cancel()
  }
  func responseEnded() { finish() }
  func responseFailed(_ error: HTTPClientError) {
    if body.isEmpty { body = Array("\(error)".utf8) }
    finish()
  }
  func requestWritable() {}
}
