import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// A right to one key is none to all keys from it on, which is what a range end of one zero byte means.
/// - Source: etcd GHSA-xg4h-6gfc-h4m8.
@Suite(.timeLimit(.minutes(5))) struct IntervalRightsTests {
  private typealias Auth = Etcdserverpb.AuthService
  private typealias KV = Etcdserverpb.KVService

  @Test func oneKeyIsNotAllBehindIt() async throws {
    var config = ServerConfig()
    config.bcryptCost = 4
    try await withServer(config) { server in
      try await server.addUsers(["root", "alice"])
      try await server.alter(
        Auth.roleGrantPermission,
        Etcdserverpb.AuthRoleGrantPermissionRequest(
          name: "alice", perm: .init(permType: .readwrite, key: "k")))
      try await server.alter(Auth.authEnable, Etcdserverpb.AuthEnableRequest())
      let alice = Caller(metadata: [:], certificate: PeerCertificate(commonName: "alice"))
      for end in [Bytes(), Bytes([0])] {
        let isAllowed = end.isEmpty
        func works(_ method: MethodDescriptor, _ request: some ProtobufMessage) async -> Bool {
          (try? await server.unary(method.path, request.encoded(), alice)) != nil
        }
        #expect(
          await works(KV.range, Etcdserverpb.RangeRequest(key: "k", rangeEnd: end)) == isAllowed)
        #expect(
          await works(KV.deleteRange, Etcdserverpb.DeleteRangeRequest(key: "k", rangeEnd: end))
            == isAllowed)
        let watch = Etcdserverpb.WatchRequest(
          requestUnion: .createRequest(.init(key: "k", rangeEnd: end)))
        let told = try await server.stream(Etcdserverpb.WatchService.watch.path, alice) { stream in
          stream.request(watch.encoded())
          return try await stream.received(1).map { try Etcdserverpb.WatchResponse.decode($0) }
        }
        #expect(told.first?.canceled == !isAllowed, "\(told)")
      }
    }
  }
}
