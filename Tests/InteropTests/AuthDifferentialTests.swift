import Bytes
import Calls
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// The same random requests of several users to the real server and to ours, while roles and
/// passwords change: every answer is equal.
@Suite(.serialized) struct AuthDifferentialTests {
  static let requests = Int(ProcessInfo.processInfo.environment["REQUESTS"] ?? "") ?? 1500

  /// A request and who makes it.
  struct Step {
    let method: MethodDescriptor
    let request: Bytes
    /// Name whose token goes with it; `nil` = none.
    var user: String?
    let text: String

    init(_ method: MethodDescriptor, _ message: some ProtobufMessage, _ user: String? = nil) {
      self.method = method
      request = message.encoded()
      self.user = user
      text = "\(method.name) \(message.json().string) by \(user ?? "nobody")"
    }
  }

  struct Generator {
    typealias API = Etcdserverpb
    typealias Service = Etcdserverpb.AuthService
    var random: SeededGenerator

    mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
    mutating func pick<T>(_ values: [T]) -> T { values.randomElement(using: &random)! }
    mutating func user() -> String { pick(["u0", "u1", "u2", "u\u{e9}", "root", "nobody"]) }
    mutating func role() -> String { pick(["r0", "r1", "r2", "root", "none"]) }
    mutating func password() -> String { pick(["p0", "p1"]) }
    mutating func key() -> Bytes { Bytes("k\(Int.random(in: 0..<8, using: &random))") }

    mutating func end(_ key: Bytes) -> Bytes {
      switch Int.random(in: 0..<7, using: &random) {
      case 0: Bytes([0])
      case 1: self.key()
      case 2: Bytes("k5")
      case 3: key
      default: Bytes()
      }
    }

    /// Each with a key of its own: in which order Go's sort leaves equal keys depends on its version.
    mutating func permission() -> Authpb.Permission {
      let grants: [(Bytes, Bytes)] = [
        ("k3", Bytes()), ("k1", "k3"), ("k2", "k4"), ("k4", "k6"), ("k6", [0]), ("k0", "k1"),
      ]
      let (key, end) = pick(grants)
      return Authpb.Permission(
        permType: pick([.read, .write, .readwrite]), key: key, rangeEnd: end)
    }

    mutating func next() -> Step {
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<8: return Step(Service.authenticate, login(user()))
      case 8..<50: return data()
      case 50..<53:
        return chance(3)
          ? Step(Service.authDisable, API.AuthDisableRequest(), asker())
          : Step(Service.authEnable, API.AuthEnableRequest(), asker())
      case 53..<56: return Step(Service.authStatus, API.AuthStatusRequest(), asker())
      case 56..<78: return users()
      default: return roles()
      }
    }

    mutating func login(_ name: String) -> API.AuthenticateRequest {
      API.AuthenticateRequest(name: name, password: chance(4) ? password() : "p0")
    }

    /// Mostly root, so that something happens.
    mutating func asker() -> String? { chance(5) ? (chance(2) ? nil : user()) : "root" }

    mutating func users() -> Step {
      let name = user()
      switch Int.random(in: 0..<8, using: &random) {
      case 0, 1:
        let options = chance(3) ? Authpb.UserAddOptions(noPassword: chance(3)) : nil
        let add = API.AuthUserAddRequest(
          name: chance(20) ? "" : name, password: "p0", options: options)
        return Step(Service.userAdd, add, asker())
      case 2: return Step(Service.userDelete, API.AuthUserDeleteRequest(name: name), asker())
      case 3:
        return Step(
          Service.userChangePassword,
          API.AuthUserChangePasswordRequest(name: name, password: password()), asker())
      case 4: return Step(Service.userGet, API.AuthUserGetRequest(name: name), user())
      case 5: return Step(Service.userList, API.AuthUserListRequest(), asker())
      case 6:
        return Step(
          Service.userRevokeRole, API.AuthUserRevokeRoleRequest(name: name, role: role()), asker())
      default:
        return Step(
          Service.userGrantRole, API.AuthUserGrantRoleRequest(user: name, role: role()), asker())
      }
    }

    mutating func roles() -> Step {
      let name = role()
      switch Int.random(in: 0..<8, using: &random) {
      case 0, 1:
        return Step(Service.roleAdd, API.AuthRoleAddRequest(name: chance(20) ? "" : name), asker())
      case 2:
        return chance(2)
          ? Step(Service.roleDelete, API.AuthRoleDeleteRequest(role: name), asker())
          : Step(Service.roleList, API.AuthRoleListRequest(), asker())
      case 3: return Step(Service.roleGet, API.AuthRoleGetRequest(role: name), user())
      case 4:
        let old = permission()
        return Step(
          Service.roleRevokePermission,
          API.AuthRoleRevokePermissionRequest(role: name, key: old.key, rangeEnd: old.rangeEnd),
          asker())
      default:
        return Step(
          Service.roleGrantPermission,
          API.AuthRoleGrantPermissionRequest(
            name: name, perm: chance(30) ? nil : permission()), asker())
      }
    }

    mutating func data() -> Step {
      let asker = chance(20) ? nil : user()
      switch Int.random(in: 0..<4, using: &random) {
      case 0: return Step(API.KVService.put, put(), asker)
      case 1: return Step(API.KVService.range, range(), asker)
      case 2: return Step(API.KVService.deleteRange, delete(), asker)
      default:
        var request = API.TxnRequest()
        if chance(2) {
          let key = key()
          request.compare = [
            .init(
              result: .greater, target: .version, key: key, targetUnion: .version(0),
              rangeEnd: chance(3) ? end(key) : Bytes())
          ]
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) {
          request.success.append(.init(request: .requestRange(range())))
        }
        if chance(2) { request.success.append(.init(request: .requestDeleteRange(delete()))) }
        if chance(2) {
          // etcd 3.5.1 forgets to check whether the previous value may be seen.
          request.failure.append(.init(request: .requestPut(.init(key: key(), value: "t"))))
        }
        return Step(API.KVService.txn, request, asker)
      }
    }

    mutating func put() -> API.PutRequest {
      API.PutRequest(
        key: key(), value: Bytes("v\(Int.random(in: 0..<4, using: &random))"), prevKv: chance(3))
    }

    mutating func range() -> API.RangeRequest {
      let key = key()
      return API.RangeRequest(key: key, rangeEnd: end(key), serializable: chance(3))
    }

    mutating func delete() -> API.DeleteRangeRequest {
      let key = key()
      return API.DeleteRangeRequest(key: key, rangeEnd: end(key), prevKv: chance(3))
    }
  }

  /// One server, and the tokens that its users got.
  final class Side {
    let client: GRPCClient
    var tokens: [String: String] = [:]
    init(_ client: GRPCClient) { self.client = client }

    func answer(_ step: Step) async -> String {
      var metadata = Metadata()
      if let token = step.user.flatMap({ tokens[$0] }) { metadata.add("token", token) }
      do {
        let reply = try await client.unary(
          step.method.path, step.request, metadata: metadata, timeout: .seconds(20)
        ).message
        if step.method.name == "Authenticate" {
          let login = try Etcdserverpb.AuthenticateRequest.decode(step.request)
          tokens[login.name] = try Etcdserverpb.AuthenticateResponse.decode(reply).token
          return "a token"
        }
        // etcd 3.5.1 refuses old tokens even while auth is off; later versions do not look at them.
        if step.method.name == "AuthDisable" { tokens = [:] }
        let text = try step.method.responseType.decode(reply).json().string
        return text.replacingOccurrences(
          of: "\"(cluster_id|member_id|raft_term)\":\"[0-9]+\",?", with: "",
          options: .regularExpression)
      } catch { return "\(error)" }
    }
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func everyAnswerIsEqual() async throws {
    let official = try #require(Binaries.go35)
    let seed = DifferentialTests.seed()
    print("seed \(seed), \(Self.requests) requests")
    let clusters = [official, Binaries.ours].map { Cluster([$0], extra: AuthTests.cheap) }
    for cluster in clusters { try cluster.start() }
    let loop = EventLoop(name: "auth-differential")
    loop.start()
    var sides: [Side] = []
    for cluster in clusters {
      sides.append(
        Side(
          try await GRPCClient.connect(
            to: .tcp(host: "127.0.0.1", port: cluster.members[0].clientPort), loop: loop)))
    }
    typealias API = Etcdserverpb
    var generator = Generator(random: SeededGenerator(state: seed))
    let setup = [
      Step(API.AuthService.userAdd, API.AuthUserAddRequest(name: "root", password: "p0")),
      Step(API.AuthService.userGrantRole, API.AuthUserGrantRoleRequest(user: "root", role: "root")),
      Step(API.AuthService.authEnable, API.AuthEnableRequest()),
    ]
    var pending = setup
    var kinds: [String: Int] = [:]
    var differences: [String] = []
    for number in 0..<Self.requests where differences.count < 5 {
      let step = pending.isEmpty ? generator.next() : pending.removeFirst()
      let real = await sides[0].answer(step)
      let ours = await sides[1].answer(step)
      if real != ours {
        differences.append("\(number) \(step.text)\n  real: \(real)\n  ours: \(ours)")
      }
      kinds[real.hasPrefix("rpc error") ? real : "answer", default: 0] += 1
      // A user that lost its token gets another one, or most requests would end here.
      if real.contains("invalid auth token") || real.contains("user name is empty"),
        let user = step.user
      {
        for password in ["p0", "p1"] {
          let login = API.AuthenticateRequest(name: user, password: password)
          pending.append(Step(API.AuthService.authenticate, login))
        }
      }
      if real.contains("root user does not") { pending += setup }
    }
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    // Enough of everything happened.
    #expect(kinds["answer", default: 0] > Self.requests / 10, "\(kinds)")
    #expect(kinds.keys.filter { $0.contains("permission denied") }.count == 1, "\(kinds)")
    for side in sides { side.client.abort() }
    loop.stop()
    let hashes = clusters.map { runningHashKV($0.members[0]) }
    #expect(hashes[0] == hashes[1])
  }

  /// HashKV as root when auth is on; `nil` when root ended without a password.
  private func runningHashKV(_ member: Member) -> String? {
    guard let ctl = Binaries.ctl35 else { return nil }
    let words = ["--endpoints", member.endpoint, "endpoint", "hashkv"]
    var done = run(ctl, words)
    for password in ["p0", "p1"] where done.status != 0 {
      done = run(ctl, words + ["--user", "root:\(password)"])
    }
    return done.status == 0 ? done.output.split(separator: ",").last.map(String.init) : nil
  }
}
