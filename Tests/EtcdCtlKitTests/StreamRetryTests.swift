import Bytes
import Calls
import Dispatch
import EtcdAPI
import EventLoops
import GRPC
import Protobuf
import Synchronization
import TestSupport
import Testing

@testable import EtcdCtlKit

/// Streams that fail before they have said anything.
@Suite struct StreamRetryTests {
  /// Counts calls; those before the last one fail.
  private final class Counter: Sendable {
    private let calls = Mutex<[String]>([])
    private let failures: [GRPCStatus]

    init(_ failures: [GRPCStatus]) { self.failures = failures }

    var tokens: [String] { calls.withLock { $0 } }

    func next(_ token: String) throws(GRPCStatus) {
      let number = calls.withLock { calls in
        calls.append(token)
        return calls.count
      }
      if number <= failures.count { throw failures[number - 1] }
    }
  }

  @Test func aSnapshotIsAskedForAgain() async throws {
    let (blob, tokens, said) = try await withLoop { loop in
      let desk = Desk()
      let counter = Counter([
        GRPCStatus(.unauthenticated, "etcdserver: invalid auth token"),
        GRPCStatus(.unavailable, "etcdserver: server stopped"),
      ])
      var router = CallRouter()
      router.streaming(Etcdserverpb.MaintenanceService.snapshot.path) { stream in
        try counter.next(stream.metadata["token"] ?? "")
        try await stream.send(Etcdserverpb.SnapshotResponse(blob: "data").encoded())
        return .ok
      }
      let logins = Mutex(0)
      router.unary(Etcdserverpb.AuthService.authenticate.path) { call, _ in
        let token = logins.withLock { count in
          count += 1
          return "t\(count)"
        }
        call.respond(.bytes(Etcdserverpb.AuthenticateResponse(token: token).encoded()))
      }
      let server = try serve(loop, router)
      let session = try desk.session(["--endpoints", server.name, "--user", "root:pw"], loop)
      defer { session.close() }
      let (first, rest) = try await session.answers(
        Etcdserverpb.MaintenanceService.snapshot, Etcdserverpb.SnapshotRequest(),
        deadline: .now + .seconds(20))
      let blob = try Etcdserverpb.SnapshotResponse.decode(try #require(first)).blob
      #expect(try await rest.next() == nil)
      return (blob, counter.tokens, desk.error)
    }
    #expect(blob == "data" && tokens == ["t1", "t2", "t2"])
    #expect(said.split(separator: "\n").count == 2 && said.contains("retrying RecvMsg"), "\(said)")
  }

  @Test func aRefusedSnapshotIsNot() async throws {
    let count = try await withLoop { loop in
      let counter = Counter([GRPCStatus(.permissionDenied, "etcdserver: permission denied")])
      var router = CallRouter()
      router.streaming(Etcdserverpb.MaintenanceService.snapshot.path) { stream in
        try counter.next("")
        return .ok
      }
      let server = try serve(loop, router)
      let session = try Desk().session(["--endpoints", server.name], loop)
      defer { session.close() }
      await #expect(throws: ClientFailure(local: EtcdError.permissionDenied.message)) {
        _ = try await session.answers(
          Etcdserverpb.MaintenanceService.snapshot, Etcdserverpb.SnapshotRequest(),
          deadline: .now + .seconds(20))
      }
      return counter.tokens.count
    }
    #expect(count == 1)
  }

  /// A lease is renewed again, whatever the server said, as long as it may live.
  @Test(arguments: [false, true]) func aRenewalIsTriedAgain(once: Bool) async throws {
    let loop = EventLoop(name: "test")
    loop.start()
    let counter = Counter([GRPCStatus(.unavailable, "etcdserver: no leader")])
    let name = try await withTaskExecutorPreference(loop) {
      var router = CallRouter()
      router.streaming(Etcdserverpb.LeaseService.leaseKeepAlive.path) { stream in
        try counter.next("")
        for try await _ in stream.requests {
          try await stream.send(Etcdserverpb.LeaseKeepAliveResponse(id: 7, ttl: 0).encoded())
        }
        return .ok
      }
      return try serve(loop, router).name
    }
    let desk = Desk()
    let words = ["--endpoints", name, "lease", "keep-alive", "7"] + (once ? ["--once"] : [])
    // A command blocks its thread: one of those that run tasks would keep them from what it waits for.
    let code = await withCheckedContinuation { done in
      DispatchQueue(label: "command").async {
        done.resume(returning: EtcdCtl.run(words, desk.world(), console: desk.console))
      }
    }
    #expect(code == (once ? 2 : 0))
    #expect(counter.tokens.count == (once ? 1 : 2))
    #expect(desk.output == (once ? "" : "lease 0000000000000007 expired or revoked.\n"))
    await offLoop { loop.stop() }
  }
}
