import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import Protobuf
import Synchronization
import TestSupport
import Testing

@testable import EtcdCtlKit

/// Requests of one command against servers that answer as the test says.
@Suite struct SessionTests {
  private static let put = Etcdserverpb.KVService.put
  private static let range = Etcdserverpb.KVService.range

  /// The replies of a method, one after the other, and then OK.
  private final class Script: Sendable {
    private let failures: Mutex<[GRPCStatus]>
    private let seen = Mutex<[String]>([])

    init(_ failures: [GRPCStatus] = []) { self.failures = Mutex(failures) }

    /// Tokens of the calls that came.
    var tokens: [String] { seen.withLock { $0 } }
    func forget() { seen.withLock { $0 = [] } }

    func add(_ method: MethodDescriptor, to router: inout CallRouter) {
      router.unary(method.path) { call, _ in
        self.seen.withLock { $0.append(call.metadata["token"] ?? "") }
        if let status = self.failures.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
          call.fail(status)
        } else {
          call.respond(.bytes(Bytes()))
        }
      }
    }
  }

  private static func router(_ scripts: (MethodDescriptor, Script)...) -> CallRouter {
    var router = CallRouter()
    for (method, script) in scripts { script.add(method, to: &router) }
    let logins = Mutex(0)
    router.unary(Etcdserverpb.AuthService.authenticate.path) { call, _ in
      let number = logins.withLock { count in
        count += 1
        return count
      }
      call.respond(
        .bytes(Etcdserverpb.AuthenticateResponse(token: "token\(number)").encoded()))
    }
    return router
  }

  private static func put(_ session: Session) async throws {
    _ = try await session.call(
      put, Etcdserverpb.PutRequest(key: "k"), Etcdserverpb.PutResponse.self,
      deadline: .now + .seconds(20))
  }

  private static func range(_ session: Session) async throws {
    _ = try await session.call(
      range, Etcdserverpb.RangeRequest(key: "k"), Etcdserverpb.RangeResponse.self,
      deadline: .now + .seconds(20))
  }

  @Test func requestsGoRoundTheEndpoints() async throws {
    let counts = try await withLoop { loop in
      let scripts = (0..<3).map { _ in Script() }
      let servers = try scripts.map { try serve(loop, Self.router((Self.put, $0))) }
      let session = try Desk().session(
        ["--endpoints", servers.map(\.name).joined(separator: ",")], loop)
      defer { session.close() }
      // Until all three connections are up: the first answers may all come from the first of them.
      while scripts.contains(where: { $0.tokens.isEmpty }) { try await Self.put(session) }
      for script in scripts { script.forget() }
      for _ in 0..<9 { try await Self.put(session) }
      return scripts.map { $0.tokens.count }
    }
    #expect(counts == [3, 3, 3])
  }

  @Test func aDeadEndpointIsPassedOver() async throws {
    let (count, said) = try await withLoop { loop in
      let (script, desk) = (Script(), Desk())
      let server = try serve(loop, Self.router((Self.put, script)))
      let session = try desk.session(
        ["--endpoints", "http://127.0.0.1:1,\(server.name),nonsense"], loop)
      defer { session.close() }
      for _ in 0..<6 { try await Self.put(session) }
      return (script.tokens.count, desk.error)
    }
    #expect(count == 6 && said.isEmpty)
  }

  @Test func aRefusedTokenIsReplaced() async throws {
    for (code, message) in [
      (GRPCCode.unauthenticated, "invalid auth token"),
      (.invalidArgument, "revision of auth store is old"),
    ] {
      let (tokens, said) = try await withLoop { loop in
        let desk = Desk()
        let script = Script([GRPCStatus(code, "etcdserver: \(message)")])
        let server = try serve(loop, Self.router((Self.put, script)))
        let session = try desk.session(
          ["--endpoints", server.name, "--user", "root:pw"], loop)
        defer { session.close() }
        try await session.signIn(deadline: .now + .seconds(20))
        try await Self.put(session)
        return (script.tokens, desk.error)
      }
      #expect(tokens == ["token1", "token2"])
      #expect(said.split(separator: "\n").count == 1 && said.contains(message), "\(said)")
    }
  }

  @Test func onlyReadsAreRepeated() async throws {
    let (reads, writes, said) = try await withLoop { loop in
      let desk = Desk()
      let away = Array(repeating: GRPCStatus(.unavailable, "etcdserver: leader changed"), count: 3)
      let (reads, writes) = (Script(away), Script(away))
      let server = try serve(loop, Self.router((Self.range, reads), (Self.put, writes)))
      let session = try desk.session(["--endpoints", server.name], loop)
      defer { session.close() }
      try await Self.range(session)
      await #expect(throws: ClientFailure(local: "etcdserver: leader changed")) {
        try await Self.put(session)
      }
      return (reads.tokens.count, writes.tokens.count, desk.error)
    }
    #expect(reads == 4 && writes == 1)
    #expect(
      [0, 1, 2].allSatisfy { said.contains("\"attempt\":\($0)") } && !said.contains("\"attempt\":3")
    )
  }

  @Test func attemptsEnd() async throws {
    let count = try await withLoop { loop in
      let away = Array(repeating: GRPCStatus(.unavailable, "gone"), count: 150)
      let reads = Script(away)
      let server = try serve(loop, Self.router((Self.range, reads)))
      let session = try Desk().session(["--endpoints", server.name], loop)
      defer { session.close() }
      await #expect(throws: ClientFailure.self) { try await Self.range(session) }
      return reads.tokens.count
    }
    #expect(count == RetryRules.attemptsMax)
  }

  /// Scripts read this line.
  @Test func anEndpointOutOfReachIsNamed() async throws {
    let said = try await withLoop { loop in
      let desk = Desk()
      let session = try desk.session(["--endpoints", "http://127.0.0.1:1"], loop)
      defer { session.close() }
      // A machine that is busy may not have tried to connect by then: it has the next time.
      for _ in 0..<100 where !desk.error.contains("refused") {
        await #expect(throws: ClientFailure.deadlineExceeded) {
          _ = try await session.call(
            Self.put, Etcdserverpb.PutRequest(), Etcdserverpb.PutResponse.self,
            deadline: .now + .milliseconds(100))
        }
      }
      return desk.error
    }
    for part in [
      #"{"level":"warn","ts":"2026-11-26T07:48:10.364662Z","logger":"etcd-client","caller":""#,
      #","msg":"retrying of unary invoker failed","target":"etcd-endpoints://0x"#,
      #"/127.0.0.1:1","attempt":0,"error":"rpc error: code = DeadlineExceeded desc = latest "#
        + #"balancer error: connection error: desc = \"transport: Error while dialing: dial tcp "#
        + #"127.0.0.1:1: connect: connection refused\""}"#,
    ] { #expect(said.contains(part), "\(said)") }
    let lines = said.split(separator: "\n")
    #expect(lines.allSatisfy { $0.contains("\"attempt\":0,\"error\":") }, "\(said)")
  }
}
