import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import Foundation
import Protobuf
import Testing

@testable import EtcdServer

/// Passwords are in no file and in no line of the log, and tokens in no line.
/// - Source: CVE-2021-28235, etcd issues 20941 and 21993.
@Suite(.timeLimit(.minutes(5))) struct SecretTests {
  private typealias Auth = Etcdserverpb.AuthService
  private typealias KV = Etcdserverpb.KVService
  private static let secrets = ["swordfish-1", "swordfish-2", "swordfish-wrong"]

  @Test func secretsAreNotWritten() async throws {
    var config = ServerConfig()
    config.bcryptCost = 4
    try await withServer(config) { server in
      for user in ["root", "alice"] {
        try await server.alter(
          Auth.userAdd, Etcdserverpb.AuthUserAddRequest(name: user, password: Self.secrets[0]))
      }
      try await server.alter(
        Auth.userChangePassword,
        Etcdserverpb.AuthUserChangePasswordRequest(name: "alice", password: Self.secrets[1]))
      try await server.alter(Auth.roleAdd, Etcdserverpb.AuthRoleAddRequest(name: "root"))
      try await server.alter(
        Auth.userGrantRole, Etcdserverpb.AuthUserGrantRoleRequest(user: "root", role: "root"))
      try await server.alter(Auth.authEnable, Etcdserverpb.AuthEnableRequest())
      let signedIn: Etcdserverpb.AuthenticateResponse = try await server.ask(
        Auth.authenticate,
        Etcdserverpb.AuthenticateRequest(name: "alice", password: Self.secrets[1]))
      await #expect(throws: (any Error).self) {
        try await server.alter(
          Auth.authenticate,
          Etcdserverpb.AuthenticateRequest(name: "alice", password: Self.secrets[2]))
      }
      // Known, unknown, and none.
      let tokens = [signedIn.token, "unknown-token.", "unknown-token.9"]
      for token in tokens {
        await #expect(throws: (any Error).self) {
          let _: Etcdserverpb.RangeResponse = try await server.ask(
            KV.range, Etcdserverpb.RangeRequest(key: "a"), Caller(metadata: ["token": token])
          )
        }
      }
      for line in server.log {
        for secret in Self.secrets + tokens { #expect(!line.contains(secret), "\(line)") }
      }
      let files = try server.files()
      #expect(
        files.contains { $0.name.hasSuffix(".wal") } && files.contains { $0.name.hasSuffix("/db") })
      // What was written last has come to the files with the answer: the log is written before.
      for secret in Self.secrets {
        let found = files.filter { $0.contents.range(of: Data(secret.utf8)) != nil }.map(\.name)
        #expect(found.isEmpty, "\(secret)")
      }
    }
  }
}
