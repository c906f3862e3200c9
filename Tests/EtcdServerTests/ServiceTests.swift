import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// Services without a connection: calls that nobody's HTTP/2 brings.
@Suite(.timeLimit(.minutes(5))) struct ServiceTests {
  private typealias KV = Etcdserverpb.KVService
  private typealias Auth = Etcdserverpb.AuthService
  private typealias Lease = Etcdserverpb.LeaseService

  /// A server whose root asks for few rounds of bcrypt.
  private static var quick: ServerConfig {
    var config = ServerConfig()
    config.bcryptCost = 4
    return config
  }

  /// What a call fails with; `nil` when it does not.
  private func failure(_ body: () async throws -> Void) async throws -> GRPCStatus? {
    do { try await body() } catch let status as GRPCStatus { return status }
    return nil
  }

  @Test func keysAreWrittenReadAndDeleted() async throws {
    try await withServer { server in
      let put: Etcdserverpb.PutResponse = try await server.ask(
        KV.put, Etcdserverpb.PutRequest(key: "a", value: "1"))
      let range: Etcdserverpb.RangeResponse = try await server.ask(
        KV.range, Etcdserverpb.RangeRequest(key: "a"))
      #expect(range.kvs.map(\.value) == ["1"])
      #expect(range.kvs.first?.modRevision == put.header?.revision)
      let gone: Etcdserverpb.DeleteRangeResponse = try await server.ask(
        KV.deleteRange, Etcdserverpb.DeleteRangeRequest(key: "a"))
      #expect(gone.deleted == 1)
      #expect(gone.header?.revision == (put.header?.revision ?? 0) + 1)
    }
  }

  @Test func badRequestsAreRefused() async throws {
    try await withServer { server in
      let noKey = try await failure { _ = try await server.unary(KV.put.path, Bytes()) }
      #expect(noKey == GRPCStatus(.invalidArgument, "etcdserver: key is not provided"))
      let broken = try await failure { _ = try await server.unary(KV.range.path, [0x0a, 0x7f]) }
      #expect(broken?.code == .internal)
      #expect(broken?.message.hasPrefix("grpc: error unmarshalling request") == true)
    }
  }

  /// Whoever has gone is not answered, and what was asked for happens nevertheless.
  @Test func aClientThatHasGoneIsNotAnswered() async throws {
    try await withServer { server in
      let request = Etcdserverpb.PutRequest(key: "k", value: "v").encoded()
      let sent = try await server.abandoned(KV.put.path, request)
      #expect(sent == 0)
      let range: Etcdserverpb.RangeResponse = try await server.ask(
        KV.range, Etcdserverpb.RangeRequest(key: "k"))
      #expect(range.kvs.count == 1)
    }
  }

  /// As etcd's `AuthInfoFromCtx`: a token first, then the common name of the client's certificate, which the
  /// JSON gateway's own calls have not.
  @Test func certificatesNameUsers() async throws {
    func caller(_ name: String, _ metadata: Metadata = [:]) -> Caller {
      Caller(metadata: metadata, certificate: PeerCertificate(commonName: name))
    }
    let range = Etcdserverpb.RangeRequest(key: "a")
    try await withServer(Self.quick) { server in
      for user in ["root", "alice"] {
        _ = try await server.unary(
          Auth.userAdd.path,
          Etcdserverpb.AuthUserAddRequest(name: user, password: "x").encoded())
      }
      _ = try await server.unary(
        Auth.roleAdd.path, Etcdserverpb.AuthRoleAddRequest(name: "root").encoded())
      _ = try await server.unary(
        Auth.userGrantRole.path,
        Etcdserverpb.AuthUserGrantRoleRequest(user: "root", role: "root").encoded())
      _ = try await server.unary(
        Auth.authEnable.path, Etcdserverpb.AuthEnableRequest().encoded())

      let _: Etcdserverpb.RangeResponse = try await server.ask(KV.range, range, caller("root"))
      let put = Etcdserverpb.PutRequest(key: "a", value: "1")
      let _: Etcdserverpb.PutResponse = try await server.ask(KV.put, put, caller("root"))

      let denied = GRPCStatus(.permissionDenied, "etcdserver: permission denied")
      let nobody = GRPCStatus(.invalidArgument, "etcdserver: user name is empty")
      let cases: [(Caller, GRPCStatus)] = [
        (caller("alice"), denied), (caller(""), nobody), (Caller(metadata: [:]), nobody),
        (caller("root", ["grpcgateway-accept": "*/*"]), nobody),
        (
          caller("root", ["token": "nonsense"]),
          GRPCStatus(.unauthenticated, "etcdserver: invalid auth token")
        ),
      ]
      for (caller, expected) in cases {
        #expect(
          try await failure {
            let _: Etcdserverpb.RangeResponse = try await server.ask(KV.range, range, caller)
          } == expected)
      }
      // A token counts more than a certificate.
      let signedIn: Etcdserverpb.AuthenticateResponse = try await server.ask(
        Auth.authenticate, Etcdserverpb.AuthenticateRequest(name: "alice", password: "x"))
      #expect(
        try await failure {
          let _: Etcdserverpb.RangeResponse = try await server.ask(
            KV.range, range, caller("root", ["token": signedIn.token]))
        } == denied)
    }
  }

  @Test func leasesAreRenewedMessageByMessage() async throws {
    try await withServer { server in
      let lease: Etcdserverpb.LeaseGrantResponse = try await server.ask(
        Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 100, id: 7))
      #expect(lease.id == 7)
      let (answers, end) = try await server.stream(Lease.leaseKeepAlive.path) { stream in
        for id in [7, 8, 7] as [Int64] {
          stream.request(Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
        }
        let answers = try await stream.received(3).map {
          try Etcdserverpb.LeaseKeepAliveResponse.decode($0)
        }
        stream.endRequests()
        return (answers, await stream.ended())
      }
      #expect(answers.map(\.id) == [7, 8, 7])
      #expect(answers.map(\.ttl) == [100, 0, 100])
      #expect(end == .ok)
    }
  }

  /// A client that takes nothing gets no more than the stream holds, and the rest when it goes on.
  @Test func aDownloadWaitsForItsClient() async throws {
    try await withServer { server in
      let value = Bytes(repeatElement(7, count: 1 << 20))
      for key in 0..<8 {
        let _: Etcdserverpb.PutResponse = try await server.ask(
          KV.put, Etcdserverpb.PutRequest(key: Bytes("key\(key)"), value: value))
      }
      let path = Etcdserverpb.MaintenanceService.snapshot.path
      let (peak, size, remaining) = try await server.stream(path) { stream in
        stream.isStalled = true
        stream.request(Etcdserverpb.SnapshotRequest().encoded())
        var peak = 0
        while stream.isOpen {
          await stream.stalled()
          peak = max(peak, stream.queuedBytes)
          stream.drain()
          stream.isStalled = true
        }
        let pieces = try stream.messages.map { try Etcdserverpb.SnapshotResponse.decode($0) }
        return (
          peak, pieces.reduce(0) { $0 + $1.blob.count }, pieces.last?.remainingBytes
        )
      }
      #expect(size > 8 << 20)
      #expect(remaining == 0)
      #expect(peak < 1 << 20)
    }
  }
}
