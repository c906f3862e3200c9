import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Foundation
import GRPC
import GoText
import HTTP
import Protobuf
import Synchronization
import TestSupport

@testable import EtcdServer

/// A member in this process, listening on unix sockets in a folder of its own.
final class ServerUnderTest: Sendable {
  private let scratch = Scratch()
  private let server: EtcdServer
  private let lines = LogLines()

  /// Starts a member.
  /// - Parameters:
  ///   - isAlone: whether it founds a cluster of one; else it waits for two others that never come.
  ///   - peerURLs: those of the second one.
  ///   - given: what its configuration has besides.
  init(
    isAlone: Bool = true, peerURLs: [String] = ["http://127.0.0.1:1"],
    _ given: ServerConfig = ServerConfig()
  ) throws {
    let folder = scratch.path
    var config = given
    config.dataDirectory = folder + "/data"
    config.heartbeatInterval = 10
    config.electionTimeout = 100
    config.unsafeNoFsync = true
    let sockets = ["peer", "client", "metrics"].map {
      ListenURL(scheme: .unix, host: "\(folder)/\($0)", port: 0)
    }
    config.listenPeerURLs = [sockets[0]]
    config.listenClientURLs = [sockets[1]]
    config.listenMetricsURLs = [sockets[2]]
    config.initialCluster = ["default": config.initialAdvertisePeerURLs]
    if !isAlone {
      config.initialCluster["b"] = peerURLs
      config.initialCluster["c"] = ["http://127.0.0.1:2"]
    }
    let sink = lines
    let logger = Logger(
      targets: [.sink { sink.append($0.string) }], encoding: .json, level: .info)
    server = EtcdServer(config: config, logger: logger)
    try server.start(firstRequest: 1, seed: 1)
  }

  func stop() async { await server.stop() }

  /// Versions that the other members gave.
  var peerVersions: [String] { server.firstMember.map { Array($0.peers.versions.values) } ?? [] }

  /// Lines of the log so far.
  var log: [String] { lines.all }

  /// Files of the data directory as they are now, with their names.
  func files() throws -> [(name: String, contents: Data)] {
    let data = scratch.path + "/data"
    return try FileManager.default.subpathsOfDirectory(atPath: data).compactMap { name in
      FileManager.default.contents(atPath: "\(data)/\(name)").map { (name, $0) }
    }
  }

  /// Messages of the log so far.
  var messages: [String] {
    lines.all.compactMap { line in
      let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return object?["msg"] as? String
    }
  }

  /// Waits until the log has a line with this message.
  @concurrent func waitFor(_ message: String) async throws {
    let deadline = ContinuousClock.now + .seconds(90)
    while !messages.contains(message) {
      guard ContinuousClock.now < deadline else { throw Missing(message: message) }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
  struct Missing: Error { let message: String }

  /// An answer: status line and fields, and the body.
  struct Answer {
    let status: Int
    let head: String
    let body: Data
    var text: String { String(decoding: body, as: UTF8.self) }
    func field(_ name: String) -> String? {
      head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
        .map { String($0.dropFirst(name.count + 2)) }
    }
  }

  /// Sends a request to the listener `socket` and reads until the end of the answer.
  @concurrent func ask(
    _ method: String, _ target: String, _ fields: [String] = ["Host: localhost"],
    at socket: String = "client", body: String = ""
  ) async throws -> Answer {
    let connection = try connect(socket)
    defer { close(connection) }
    let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
    let head = (["\(method) \(target) HTTP/1.1"] + fields + length + ["Connection: close", "", ""])
      .joined(separator: "\r\n")
    let whole = head + body
    guard send(connection, whole, whole.utf8.count, 0) == whole.utf8.count else { throw Broken() }
    var data = Data()
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      data.append(contentsOf: buffer[..<count])
    }
    guard let end = data.range(of: Data("\r\n\r\n".utf8)) else { throw Broken() }
    let text = String(decoding: data[..<end.lowerBound], as: UTF8.self)
    let status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return Answer(status: status, head: text, body: data[end.upperBound...])
  }
  struct Broken: Error {}

  /// Makes a unary call at the client listener.
  func call(
    _ path: String, _ request: Bytes, timeout: Duration = .seconds(20)
  ) async throws -> Bytes {
    let loop = EventLoop(name: "caller")
    loop.start()
    let client = try await GRPCClient.connect(to: .unix(path: scratch.path + "/client"), loop: loop)
    let answer: Result<Bytes, any Error>
    do {
      answer = .success(try await client.unary(path, request, timeout: timeout).message)
    } catch { answer = .failure(error) }
    client.abort()
    await offLoop { loop.stop() }
    return try answer.get()
  }

  /// Hands a call to the services, without any connection.
  func unary(
    _ path: String, _ request: Bytes, _ caller: Caller = Caller(metadata: [:])
  ) async throws -> Bytes {
    try await onLoop { (loop, services) in
      let call = RecordedCall(loop, path, caller)
      guard case .unary(let handler) = services.route(Bytes(path))?.handler else { throw Broken() }
      handler(UnaryCall(call), request)
      let status = await call.ended()
      guard status == .ok, let message = call.messages.first else { throw status }
      return message
    }
  }

  /// Hands many calls to the services in one turn of their loop.
  /// - Returns: how each ended.
  func unary(_ path: String, _ request: Bytes, times: Int) async throws -> [GRPCStatus] {
    try await onLoop { (loop, services) in
      guard case .unary(let handler) = services.route(Bytes(path))?.handler else { throw Broken() }
      let calls = (0..<times).map { _ in RecordedCall(loop, path) }
      for call in calls { handler(UnaryCall(call), request) }
      var statuses: [GRPCStatus] = []
      for call in calls { statuses.append(await call.ended()) }
      return statuses
    }
  }

  /// Hands a call to the services and gives it up in the same turn.
  /// - Returns: how many messages came back.
  func abandoned(_ path: String, _ request: Bytes) async throws -> Int {
    try await onLoop { (loop, services) in
      let call = RecordedCall(loop, path)
      guard case .unary(let handler) = services.route(Bytes(path))?.handler else { throw Broken() }
      handler(UnaryCall(call), request)
      call.cancel()
      // Another call comes behind it.
      let next = RecordedCall(loop, path)
      handler(UnaryCall(next), request)
      _ = await next.ended()
      return call.messages.count
    }
  }

  /// Hands a call to the services, runs `body` on their loop meanwhile, and gives the call up after it.
  func during<R: Sendable>(
    _ path: String, _ request: Bytes, _ caller: Caller = Caller(metadata: [:]),
    _ body: @escaping @Sendable (RecordedCall) async throws -> R
  ) async throws -> R {
    try await onLoop { (loop, services) in
      let call = RecordedCall(loop, path, caller)
      guard case .unary(let handler) = services.route(Bytes(path))?.handler else { throw Broken() }
      handler(UnaryCall(call), request)
      defer { call.cancel() }
      return try await body(call)
    }
  }

  /// Makes a call whose answer says nothing more.
  func alter(_ method: MethodDescriptor, _ request: some ProtobufMessage) async throws {
    _ = try await unary(method.path, request.encoded())
  }

  /// Makes users with the password `x`, each with a role of its own name.
  func addUsers(_ users: [String]) async throws {
    typealias Auth = Etcdserverpb.AuthService
    for user in users {
      try await alter(Auth.userAdd, Etcdserverpb.AuthUserAddRequest(name: user, password: "x"))
      try await alter(Auth.roleAdd, Etcdserverpb.AuthRoleAddRequest(name: user))
      try await alter(
        Auth.userGrantRole, Etcdserverpb.AuthUserGrantRoleRequest(user: user, role: user))
    }
  }

  /// Makes a call and decodes its answer.
  func ask<Response: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    _ caller: Caller = Caller(metadata: [:])
  ) async throws -> Response {
    try Response.decode(try await unary(method.path, request.encoded(), caller))
  }

  /// Opens a stream to the services, without any connection, and ends it after `body`.
  func stream<R: Sendable>(
    _ path: String, _ caller: Caller = Caller(metadata: [:]),
    _ body: @escaping @Sendable (RecordedStream) async throws -> R
  ) async throws -> R {
    try await onLoop { (loop, services) in
      let stream = RecordedStream(loop, path, caller)
      guard case .stream(let handler) = services.route(Bytes(path))?.handler else { throw Broken() }
      stream.start(handler)
      defer { stream.cancel() }
      return try await body(stream)
    }
  }

  /// Runs `body` on the loop of the first services.
  private func onLoop<R: Sendable>(
    _ body: @escaping @Sendable (EventLoop, CallRouter) async throws -> R
  ) async throws -> R {
    guard let member = server.firstMember else { throw Broken() }
    let services = EtcdServer.services(of: member)
    return try await withTaskExecutorPreference(member.loop) {
      try await body(member.loop, services)
    }
  }

  /// A connected socket that gives up after 30 s without bytes.
  func connect(_ name: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = Array("\(scratch.path)/\(name)".utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw Broken() }
    return descriptor
  }
}

/// Lines of a log.
final class LogLines: Sendable {
  private let lines = Mutex<[String]>([])
  func append(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// How many servers run at a time. Each has some forty descriptors, and starting a program from a process with
/// more than 1,300 of them is not safe: to read their names, Foundation's `Process.run` copies directory
/// entries of full length, those at the end of a buffer, too.
private actor Seats {
  static let shared = Seats()
  private var free = 6
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func take() async {
    if free > 0 {
      free -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func giveBack() {
    if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
  }
}

/// Runs `body` with a member that serves clients, and stops it.
func withServer(
  _ config: ServerConfig = ServerConfig(), _ body: (ServerUnderTest) async throws -> Void
) async throws {
  await Seats.shared.take()
  let result: Result<Void, any Error>
  do {
    let server = try ServerUnderTest(config)
    do {
      try await server.waitFor("ready to serve client requests")
      try await body(server)
      result = .success(())
    } catch { result = .failure(error) }
    await server.stop()
  } catch { result = .failure(error) }
  await Seats.shared.giveBack()
  try result.get()
}
