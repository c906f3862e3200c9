import Bolt
import Bytes
import Calls
import EtcdAPI
import EventLoops
import FileSystem
import Foundation
import GRPC
import HTTP
import MVCC
import MemberStorage
import Protobuf
import TestSupport
import Testing

/// Users, roles and tokens next to the real server's.
@Suite(.serialized) struct AuthTests {
  /// bcrypt at its cheapest: each command with a user costs a check.
  static let cheap = ["--bcrypt-cost", "4"]

  static let root = "--user=root:rootpw"
  static let alice = "--user=alice:alicepw"
  static let bob = "--user=bob:bobpw"

  /// Users and roles, then auth on.
  static let setup: [EtcdctlTests.Step] = [
    .init("auth status"), .init("auth disable"), .init("auth enable"),
    .init("user add alice:alicepw"), .init("user add alice:other"),
    .init("user add bob --interactive=false", input: "bobpw\n"), .init("user add cert --no-user"),
    .init("user add cert --no-password"), .init("user list"), .init("user get alice"),
    .init("user get nobody"), .init("user delete nobody"),
    .init("role add r1"), .init("role add r1"), .init("role add r2"), .init("role add empty"),
    .init("role grant-permission r1 read foo"),
    .init("role grant-permission r1 readwrite dir/ --prefix"),
    .init("role grant-permission r1 write w1 w5"), .init("role grant-permission r1 read w3"),
    .init("role grant-permission r2 read m n"), .init("role grant-permission r2 read n o"),
    .init("role grant-permission r2 readwrite x --from-key"),
    .init("role grant-permission r2 write foo"), .init("role grant-permission r2 write foo"),
    .init("role grant-permission none read foo"), .init("role grant-permission r1 odd foo"),
    .init("role grant-permission r1 readwrite foo"), .init("role grant-permission r1 read foo"),
    .init("role get r1"), .init("role get r2"), .init("role get none"), .init("role list"),
    .init("role revoke-permission r1 nothing"), .init("role revoke-permission r1 w3"),
    .init("role get r1 -w json"), .init("role delete empty"), .init("role delete empty"),
    .init("user grant-role alice r1"), .init("user grant-role alice r1"),
    .init("user grant-role alice none"), .init("user grant-role nobody r1"),
    .init("user grant-role bob r2"), .init("user grant-role bob r1"), .init("user get bob"),
    .init("user get bob --detail"), .init("user revoke-role bob r1"),
    .init("user revoke-role bob r1"),
    .init("user passwd bob --interactive=false", input: "bobpw\n"),
    .init("user add root:rootpw"), .init("user grant-role root root"),
    .init("put foo 1"), .init("put dir/a 1"), .init("put m 1"), .init("put n 1"), .init("put x 1"),
    .init("auth enable"), .init("auth enable"),
  ]

  /// Everybody tries everything; auth is on.
  static let guarded: [EtcdctlTests.Step] =
    [
      "get foo", "put foo 2", "get foo --user=alice:wrong", "get foo --user=nobody:x",
      "get foo --user=cert:x", "\(root) auth status", "\(alice) auth status", "auth status",
      "\(root) get '' --prefix --keys-only", "\(root) put any 1", "\(root) del any",
    ].map { EtcdctlTests.Step($0) }
    + [alice, bob].flatMap { user in
      [
        "get foo", "put foo 2", "get foo --consistency=s", "get dir/ --prefix", "put dir/b 2",
        "put dir/b 3 --prev-kv", "put w2 1", "put w2 1 --prev-kv", "get w2", "del w1 w5",
        "del w1 w6", "del w1 w5 --prev-kv", "get m o", "get m p", "get x --from-key",
        "get w --from-key", "put zzz 1", "get '' --prefix", "del dir/ --prefix --prev-kv",
        "user get alice", "user get bob", "user get root", "role get r1", "role get r2",
        "user list", "role list", "user add eve:x", "role add eve", "user delete bob",
        "user passwd bob --interactive=false", "auth disable", "get foo --rev=3",
      ].map { EtcdctlTests.Step("\(user) \($0)") } + [
        .init("\(user) txn", input: "ver(\"foo\") > \"0\"\n\nget foo\n\nget dir/a\n\n"),
        .init("\(user) txn", input: "ver(\"m\") > \"0\"\n\nput dir/c 1\n\n\n"),
        .init("\(user) txn", input: "\nput dir/c 1\n\nput x 1\n\n"),
        .init("\(user) txn", input: "ver(\"dir/a\") > \"5\"\n\nput dir/d 1\n\nget dir/a\n\n"),
      ]
    } + [
      .init("\(root) user revoke-role root root"), .init("\(root) user delete root"),
      .init("\(root) role delete root"), .init("\(root) user delete cert"),
      .init("\(root) role revoke-permission r1 foo"), .init("\(alice) get foo"),
      .init("\(root) role delete r1"), .init("\(alice) get dir/ --prefix"),
      .init("\(root) user get alice"),
      .init("\(root) user passwd alice --interactive=false", input: "newpw\n"),
      .init("\(alice) get foo"), .init("--user=alice:newpw get foo"),
      .init("--user=alice --password=newpw user get alice"),
      .init("\(root) user grant-role alice root"), .init("--user=alice:newpw user list"),
      .init("--user=alice:newpw get foo"),
    ]

  static func run(_ ctl: String, _ step: EtcdctlTests.Step, _ member: Member) -> Finished {
    InteropTests.run(ctl, ["--endpoints", member.endpoint] + step.arguments, input: step.input)
  }

  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil))
  func sameAnswersAndSameRowsAsTheRealServer() throws {
    let ctl = try #require(Binaries.ctl35)
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map { Cluster([$0], extra: Self.cheap) }
    for cluster in clusters { try cluster.start() }
    var differences: [String] = []
    var succeeded = 0
    let script = Self.setup + Self.guarded
    for step in script {
      let answers = clusters.map { cluster in
        let member = cluster.members[0]
        let done = Self.run(ctl, step, member)
        return Finished(
          status: done.status, output: EtcdctlTests.normalise(done.output, member),
          error: EtcdctlTests.normalise(done.error, member))
      }
      if answers[0].status == 0 { succeeded += 1 }
      if answers[0] != answers[1] {
        differences.append("\(step)\n  etcd: \(answers[0])\n  ours: \(answers[1])")
      }
    }
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    #expect(succeeded > script.count / 3)
    let rows = try clusters.map { try Self.authRows(ctl, $0.members[0]) }
    #expect(rows[0] == rows[1])
    #expect(rows[0].count > 5)
  }

  /// Rows of the auth buckets as text, without the random part of password hashes.
  ///
  /// They are read from a snapshot: a server may have its newest rows in the log only.
  static func authRows(_ ctl: String, _ member: Member) throws -> [String] {
    let scratch = Scratch()
    let file = scratch.path + "/db"
    let saved = run(ctl, .init("\(root) snapshot save \(file)"), member)
    #expect(saved.status == 0, "\(saved)")
    // The file ends with a digest that is no part of the database.
    let handle = try #require(FileHandle(forUpdatingAtPath: file))
    try handle.truncate(atOffset: try handle.seekToEnd() - 32)
    try handle.close()
    let store = try BackendStore(
      RealFileSystem(), directory: scratch.path, options: BoltOptions())
    defer { store.close() }
    let state = try store.state()
    var rows: [String] = []
    for bucket in [Bucket.auth, .authUsers, .authRoles] {
      try state.scan(bucket, from: Bytes()) { key, value in
        var value = value
        if bucket == .authUsers, var user = try? Authpb.User.decode(value) {
          #expect(user.encoded() == value)
          // `$2a$04$` and the digest.
          if !user.password.isEmpty {
            user.password = Bytes("\(user.password.prefix(7)) of \(user.password.count)")
          }
          value = user.encoded()
        }
        rows.append("\(bucket.rawValue) \(key.string) \(Array(value))")
        return true
      }
    }
    return rows
  }

  /// Sets up alice, who may write `dir/`, and turns auth on.
  static func enable(_ ctl: String, _ member: Member) {
    for line in [
      "user add root:rootpw", "user grant-role root root", "user add alice:alicepw",
      "role add r1", "role grant-permission r1 readwrite dir/ --prefix",
      "user grant-role alice r1", "auth enable",
    ] {
      let done = run(ctl, .init(line), member)
      #expect(done.status == 0, "\(line): \(done)")
    }
  }

  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil))
  func dataDirectoryGoesThereAndBack() throws {
    let ctl = try #require(Binaries.ctl35)
    let official = try #require(Binaries.go35)
    let cluster = Cluster([official], extra: Self.cheap)
    let member = cluster.members[0]
    try cluster.start()
    Self.enable(ctl, member)
    var before = try Self.authRows(ctl, member)
    for (round, binary) in [Binaries.ours, official, Binaries.ours].enumerated() {
      if round == 1 { member.kill() } else { member.stop() }
      member.start(binary: binary)
      try member.waitHealthy()
      func status(_ line: String) -> Int32 { Self.run(ctl, .init(line), member).status }
      #expect(status("put dir/x 1") != 0)
      #expect(status("\(Self.alice) put dir/x \(round)") == 0)
      #expect(status("\(Self.alice) put other 1") != 0)
      #expect(status("--user=alice:wrong put dir/x 1") != 0)
      #expect(try Self.authRows(ctl, member) == before)
      #expect(status("\(Self.root) role add round\(round)") == 0)
      #expect(status("\(Self.root) user add u\(round):pw") == 0)
      #expect(status("\(Self.root) user grant-role u\(round) round\(round)") == 0)
      let after = try Self.authRows(ctl, member)
      #expect(after.count == before.count + 2)
      before = after
    }
  }

  /// Tokens got from either kind of member are good at the other, and users change everywhere.
  @Test(
    .enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil),
    arguments: [[true, false, true], [false, true, false]])
  func tokensAreGoodAtEveryMember(ours: [Bool]) async throws {
    let ctl = try #require(Binaries.ctl35)
    let official = try #require(Binaries.go35)
    let cluster = Cluster(ours.map { $0 ? Binaries.ours : official }, extra: Self.cheap)
    try cluster.start()
    Self.enable(ctl, cluster.members[0])
    let loop = EventLoop(name: "auth-test")
    loop.start()
    var clients: [TokenClient] = []
    for member in cluster.members { clients.append(try await TokenClient.connect(member, loop)) }
    // Every member has applied what was set up once it serves this read.
    for member in cluster.members {
      #expect(Self.run(ctl, .init("\(Self.root) get dir/"), member).status == 0)
    }
    for (source, giver) in clients.enumerated() {
      let token = try await giver.authenticate("alice", "alicepw")
      for (target, client) in clients.enumerated() {
        #expect(
          await client.putAndGet("dir/\(source)\(target)", token: token) == "ok",
          "token of \(source) at \(target)")
        let other = await client.putAndGet("other", token: token)
        #expect(other.contains("permission denied"), "\(other)")
        let bearer = await client.putAndGet("dir/b", token: token, header: "authorization")
        #expect(bearer == "ok", "\(bearer)")
        // A token is taken as it comes: a scheme in front of it makes it another.
        for header in ["authorization", "token"] {
          let schemed = await client.putAndGet("dir/b", token: "Bearer \(token)", header: header)
          #expect(schemed.contains("invalid auth token"), "\(header): \(schemed)")
        }
        let unknown = await client.putAndGet("dir/b", token: "abc.1")
        #expect(unknown.contains("invalid auth token"), "\(unknown)")
      }
      // A change of users makes the revision grow under tokens that are in use.
      let line = "\(Self.root) role add extra\(source)"
      #expect(Self.run(ctl, .init(line), cluster.members[source]).status == 0)
      if ours[source] { #expect(await giver.putAndGet("dir/c", token: token) == "ok") }
    }
    let token = try await clients[1].authenticate("alice", "alicepw")
    let delete = EtcdctlTests.Step("\(Self.root) user delete alice")
    #expect(Self.run(ctl, delete, cluster.members[2]).status == 0)
    for (member, client) in zip(cluster.members, clients) {
      #expect(Self.run(ctl, .init("\(Self.root) get dir/"), member).status == 0)
      let gone = await client.putAndGet("dir/d", token: token)
      #expect(gone.contains("invalid auth token"), "\(gone)")
    }
    #expect(
      Set(cluster.members.map { rootHash(ctl, $0) }).count == 1, "the members have other data")
    for client in clients { client.client.abort() }
    loop.stop()
    let rows = try cluster.members.map { try Self.authRows(ctl, $0) }
    #expect(rows[0] == rows[1] && rows[1] == rows[2])
  }

  private func rootHash(_ ctl: String, _ member: Member) -> String {
    let done = Self.run(ctl, .init("\(Self.root) endpoint hashkv"), member)
    return done.output.split(separator: ",").last.map(String.init) ?? "no hash: \(done.error)"
  }

  /// A member that gets users and roles with a snapshot decides as the others.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func usersComeWithASnapshot() async throws {
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster(
      [Binaries.ours, Binaries.ours, Binaries.ours],
      extra: Self.cheap + [
        "--snapshot-count", "200", "--experimental-snapshot-catchup-entries", "10",
      ])
    try cluster.start()
    let lagging = cluster.members[2]
    lagging.stop()
    try await putMany(300, to: cluster.members[0])
    Self.enable(ctl, cluster.members[0])
    let loop = EventLoop(name: "auth-test")
    loop.start()
    let client = try await TokenClient.connect(cluster.members[0], loop)
    let token = try await client.authenticate("alice", "alicepw")
    for n in 0..<400 { #expect(await client.putAndGet("dir/\(n % 7)", token: token) == "ok") }
    lagging.start()
    try lagging.waitHealthy()
    #expect(lagging.log.contains("applied snapshot"), "\(lagging.log.suffix(3000))")
    let late = try await TokenClient.connect(lagging, loop)
    let missed = await late.putAndGet("dir/x", token: token)
    #expect(missed.contains("invalid auth token"), "\(missed)")
    let own = try await late.authenticate("alice", "alicepw")
    #expect(await late.putAndGet("dir/x", token: own) == "ok")
    #expect(await client.putAndGet("dir/x", token: own) == "ok")
    let other = await late.putAndGet("other", token: own)
    #expect(other.contains("permission denied"), "\(other)")
    for client in [client, late] { client.client.abort() }
    loop.stop()
    let rows = try cluster.members.map { try Self.authRows(ctl, $0) }
    #expect(rows[0] == rows[1] && rows[1] == rows[2])
  }

  /// Signed tokens of either kind of member are good at the other, until users change.
  @Test(
    .enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil),
    arguments: ["RS256", "PS384", "ES512", "HS256"])
  func signedTokensAreGoodAtBothKinds(method: String) async throws {
    let ctl = try #require(Binaries.ctl35)
    let official = try #require(Binaries.go35)
    let keys = Scratch()
    try Self.makeKeys(method, keys.path)
    let options =
      "jwt,sign-method=\(method),priv-key=\(keys.path)/private,ttl=5m"
      + (method == "HS256" ? "" : ",pub-key=\(keys.path)/public")
    let cluster = Cluster(
      [Binaries.ours, official], extra: Self.cheap + ["--auth-token", options])
    try cluster.start()
    Self.enable(ctl, cluster.members[0])
    for member in cluster.members {
      #expect(Self.run(ctl, .init("\(Self.root) get dir/"), member).status == 0)
    }
    let loop = EventLoop(name: "auth-test")
    loop.start()
    var clients: [TokenClient] = []
    for member in cluster.members { clients.append(try await TokenClient.connect(member, loop)) }
    var tokens: [String] = []
    for giver in clients { tokens.append(try await giver.authenticate("alice", "alicepw")) }
    for token in tokens {
      for client in clients {
        #expect(await client.putAndGet("dir/a", token: token) == "ok")
        let other = await client.putAndGet("other", token: token)
        #expect(other.contains("permission denied"), "\(other)")
        for wrong in [token.dropLast(4) + "AAAA", "a.\(token)", token.prefix(40)] as [Substring] {
          let refused = await client.putAndGet("dir/a", token: String(wrong))
          #expect(refused.contains("invalid auth token"), "\(refused)")
        }
      }
    }
    #expect(
      Self.run(ctl, .init("\(Self.root) role add extra"), cluster.members[0]).status == 0)
    for member in cluster.members {
      #expect(Self.run(ctl, .init("\(Self.root) get dir/"), member).status == 0)
    }
    for client in clients {
      let old = await client.putAndGet("dir/a", token: tokens[0])
      // etcd 3.5.1 does not translate this error, later versions do.
      let words = ["auth: revision in header is old", EtcdError.authOldRevision.message]
      #expect(words.contains { old.contains($0) }, "\(old)")
    }
    for client in clients { client.client.abort() }
    loop.stop()
  }

  /// Files `private` and `public` for a signing method.
  static func makeKeys(_ method: String, _ directory: String) throws {
    func openssl(_ words: String) {
      let done = InteropTests.run("/usr/bin/openssl", words.split(separator: " ").map(String.init))
      precondition(done.status == 0, "openssl \(words): \(done)")
    }
    switch method.prefix(2) {
    case "HS":
      try "a secret of some length".write(
        toFile: directory + "/private", atomically: false, encoding: .utf8)
      return
    case "ES": openssl("ecparam -name secp521r1 -genkey -noout -out \(directory)/private")
    default: openssl("genrsa -out \(directory)/private 2048")
    }
    openssl("pkey -in \(directory)/private -pubout -out \(directory)/public")
  }

  /// What nobody, who has no token, and alice, who may write `dir/`, are told; empty when they are served.
  struct Guarded {
    let method: MethodDescriptor
    let request: Bytes
    let nobody: String
    let alice: String

    init(
      _ method: MethodDescriptor, _ request: Bytes = Bytes(), nobody: String = empty,
      alice: String = denied
    ) {
      self.method = method
      self.request = request
      self.nobody = nobody
      self.alice = alice
    }

    static let empty = "etcdserver: user name is empty"
    static let denied = "etcdserver: permission denied"

    /// A method whose errors etcd sends as they are.
    static func untranslated(_ method: MethodDescriptor) -> Guarded {
      Guarded(method, nobody: "auth: user name is empty", alice: "auth: permission denied")
    }

    /// What a junk token is told.
    var junk: String { String(nobody.prefix { $0 != ":" }) + ": invalid auth token" }
  }

  /// Lease 7 holds a key of others, lease 8 one of alice; changes by root change nothing that matters here.
  static let guardedCalls: [Guarded] = {
    typealias API = Etcdserverpb
    typealias Auth = API.AuthService
    let (other, own) = ("other" as Bytes, "dir/a" as Bytes)
    // Without its lease a put would take the key from it.
    let put = API.PutRequest(key: other, value: "v", lease: 7)
    return [
      Guarded(API.KVService.range, API.RangeRequest(key: other).encoded()),
      Guarded(API.KVService.range, API.RangeRequest(key: own).encoded(), alice: ""),
      Guarded(API.KVService.put, put.encoded()),
      Guarded(API.KVService.deleteRange, API.DeleteRangeRequest(key: "others").encoded()),
      Guarded(
        API.KVService.txn,
        API.TxnRequest(success: [API.RequestOp(request: .requestPut(put))]).encoded()),
      Guarded(API.KVService.compact, API.CompactionRequest(revision: 1).encoded()),
      Guarded(API.LeaseService.leaseGrant, API.LeaseGrantRequest(ttl: 60).encoded(), alice: ""),
      Guarded(API.LeaseService.leaseRevoke, API.LeaseRevokeRequest(id: 7).encoded()),
      Guarded(
        API.LeaseService.leaseRevoke, API.LeaseRevokeRequest(id: 77).encoded(),
        alice: "etcdserver: requested lease not found"),
      Guarded(API.LeaseService.leaseKeepAlive, API.LeaseKeepAliveRequest(id: 7).encoded()),
      Guarded(
        API.LeaseService.leaseKeepAlive, API.LeaseKeepAliveRequest(id: 8).encoded(), alice: ""),
      Guarded(
        API.LeaseService.leaseTimeToLive, API.LeaseTimeToLiveRequest(id: 7, keys: true).encoded()),
      Guarded(
        API.LeaseService.leaseTimeToLive, API.LeaseTimeToLiveRequest(id: 7).encoded(), alice: ""),
      Guarded(
        API.LeaseService.leaseTimeToLive, API.LeaseTimeToLiveRequest(id: 8, keys: true).encoded(),
        alice: ""),
      Guarded(API.LeaseService.leaseLeases),
      Guarded(API.ClusterService.memberList, alice: ""),
      Guarded(
        API.ClusterService.memberAdd,
        API.MemberAddRequest(peerURLs: ["http://127.0.0.1:9"], isLearner: true).encoded()),
      Guarded(API.ClusterService.memberRemove, API.MemberRemoveRequest(id: 1).encoded()),
      Guarded(API.ClusterService.memberUpdate, API.MemberUpdateRequest(id: 1).encoded()),
      Guarded(API.ClusterService.memberPromote, API.MemberPromoteRequest(id: 1).encoded()),
      Guarded(API.MaintenanceService.status),
      Guarded(API.MaintenanceService.alarm, alice: ""),
      Guarded(
        API.MaintenanceService.alarm,
        API.AlarmRequest(action: .deactivate, memberID: 1, alarm: .nospace).encoded()),
      Guarded(API.MaintenanceService.moveLeader, API.MoveLeaderRequest(targetID: 1).encoded()),
      Guarded(
        API.MaintenanceService.downgrade,
        API.DowngradeRequest(action: .validate, version: "3.4").encoded()),
      .untranslated(API.MaintenanceService.defragment),
      .untranslated(API.MaintenanceService.hash),
      .untranslated(API.MaintenanceService.hashKV),
      .untranslated(API.MaintenanceService.snapshot),
      Guarded(Auth.authStatus),
      Guarded(Auth.authEnable),
      Guarded(Auth.userAdd, API.AuthUserAddRequest(name: "eve", password: "x").encoded()),
      Guarded(Auth.userGet, API.AuthUserGetRequest(name: "root").encoded()),
      Guarded(Auth.userGet, API.AuthUserGetRequest(name: "alice").encoded(), alice: ""),
      Guarded(Auth.userList),
      Guarded(
        Auth.userChangePassword,
        API.AuthUserChangePasswordRequest(name: "eve", password: "y").encoded()),
      Guarded(Auth.userGrantRole, API.AuthUserGrantRoleRequest(user: "eve", role: "r1").encoded()),
      Guarded(
        Auth.userRevokeRole, API.AuthUserRevokeRoleRequest(name: "eve", role: "r1").encoded()),
      Guarded(Auth.userDelete, API.AuthUserDeleteRequest(name: "eve").encoded()),
      Guarded(Auth.roleAdd, API.AuthRoleAddRequest(name: "r2").encoded()),
      Guarded(Auth.roleGet, API.AuthRoleGetRequest(role: "r2").encoded()),
      Guarded(Auth.roleGet, API.AuthRoleGetRequest(role: "r1").encoded(), alice: ""),
      Guarded(Auth.roleList),
      Guarded(
        Auth.roleGrantPermission,
        API.AuthRoleGrantPermissionRequest(
          name: "r2", perm: Authpb.Permission(permType: .read, key: "x")
        ).encoded()),
      Guarded(
        Auth.roleRevokePermission,
        API.AuthRoleRevokePermissionRequest(role: "r2", key: "x").encoded()),
      Guarded(Auth.roleDelete, API.AuthRoleDeleteRequest(role: "r2").encoded()),
      Guarded(Auth.authDisable),
    ]
  }()

  /// Every method, whoever calls, on both ports (CASES.md S4).
  @Test(.enabled(if: Binaries.ctl35 != nil)) func everyServiceAsksWhoCalls() async throws {
    typealias API = Etcdserverpb
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster([Binaries.ours], extra: Self.cheap)
    let member = cluster.members[0]
    try cluster.start()
    Self.enable(ctl, member)
    let clientPort = member.clientPort
    let ports = [("peer", member.peerPort), ("client", clientPort)]
    try await withLoop { loop in
      let client = try await TokenClient.connect(clientPort, loop)
      let root = try await client.authenticate("root", "rootpw")
      let alice = try await client.authenticate("alice", "alicepw")
      // One that looks like a token, one that does not, and alice's with another end.
      let junk = ["abcdefghijklmnop.1", "junk", String(alice.prefix { $0 != "." }) + ".1"]
      for (lease, key) in [(7, "other"), (8, "dir/a")] as [(Int64, Bytes)] {
        let grant = API.LeaseGrantRequest(ttl: 600, id: lease).encoded()
        #expect(await client.message(API.LeaseService.leaseGrant, grant, root) == "")
        let put = API.PutRequest(key: key, value: "v", lease: lease).encoded()
        #expect(await client.message(API.KVService.put, put, root) == "")
      }
      for (name, port) in ports {
        let caller = try await TokenClient.connect(port, loop)
        for call in Self.guardedCalls {
          func told(_ token: String) async -> String {
            await caller.message(call.method, call.request, token)
          }
          let context = "\(call.method.path) at the \(name) port"
          #expect(await told("") == call.nobody, "nobody: \(context)")
          for token in junk { #expect(await told(token) == call.junk, "\(token): \(context)") }
          #expect(await told(alice) == call.alice, "alice: \(context)")
        }
        // What root asks for takes effect, so it comes behind the others; of the first port less than all.
        for call in Self.guardedCalls {
          if name == "peer", ["AuthDisable", "LeaseRevoke"].contains(call.method.name) { continue }
          let answer = await caller.message(call.method, call.request, root)
          #expect(
            ![call.nobody, call.junk, Guarded.denied, "auth: permission denied"].contains(answer),
            "root: \(call.method.path): \(answer)")
        }
        caller.client.abort()
      }
      // The last call of root turned auth off.
      #expect(await client.putAndGet("other", token: "") == "ok")
      client.client.abort()
    }
  }

  /// A method without a row would be one that nobody has thought about.
  @Test func everyMethodHasItsRow() {
    typealias API = Etcdserverpb
    let all =
      API.KVService.methods + API.LeaseService.methods + API.ClusterService.methods
      + API.MaintenanceService.methods + API.AuthService.methods
    // Whoever logs in has no token yet; etcd 3.5 has no streamed ranges.
    let missing = Set(all.map(\.path)).subtracting(Self.guardedCalls.map(\.method.path))
    #expect(missing == [API.AuthService.authenticate.path, API.KVService.rangeStream.path])
  }

  /// Requests go on while users change: no client is told that it met an old revision.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func changesOfUsersDisturbNobody() async throws {
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours], extra: Self.cheap)
    try cluster.start()
    Self.enable(ctl, cluster.members[0])
    let loop = EventLoop(name: "auth-test")
    loop.start()
    let admin = try await TokenClient.connect(cluster.members[0], loop)
    let root = try await admin.authenticate("root", "rootpw")
    let answers = try await withThrowingTaskGroup(of: [String].self) { group in
      for (number, member) in cluster.members.enumerated() {
        let client = try await TokenClient.connect(member, loop)
        let token = try await client.authenticate("alice", "alicepw")
        group.addTask {
          var answers: [String] = []
          for n in 0..<150 {
            answers.append(await client.putAndGet("dir/\(number)-\(n)", token: token))
          }
          client.client.abort()
          return answers
        }
      }
      group.addTask {
        var answers: [String] = []
        for n in 0..<150 {
          let role = Etcdserverpb.AuthRoleAddRequest(name: "role\(n)").encoded()
          answers.append(await admin.message(Etcdserverpb.AuthService.roleAdd, role, root))
        }
        return answers
      }
      return try await group.reduce(into: Set<String>()) { $0.formUnion($1) }
    }
    #expect(answers == ["", "ok"])
    admin.client.abort()
    loop.stop()
  }

  /// Tokens that no entry has assigned yet wait for it in bounded number, and disturb nobody else.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func tokensOfTheFutureAreBounded() async throws {
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster([Binaries.ours], extra: Self.cheap)
    try cluster.start()
    Self.enable(ctl, cluster.members[0])
    let loop = EventLoop(name: "auth-test")
    loop.start()
    let client = try await TokenClient.connect(cluster.members[0], loop)
    let token = try await client.authenticate("alice", "alicepw")
    let messages = await withTaskGroup(of: String.self) { group in
      for n in 0..<1200 {
        group.addTask {
          let request = Etcdserverpb.PutRequest(key: "dir/f").encoded()
          return await client.message(Etcdserverpb.KVService.put, request, "abc.9\(n)000000")
        }
      }
      group.addTask { await client.putAndGet("dir/a", token: token) }
      return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    }
    #expect(
      messages == [
        EtcdError.invalidAuthToken.message: 1024, EtcdError.tooManyRequests.message: 176, "ok": 1,
      ])
    client.client.abort()
    loop.stop()
  }

  /// Passwords that come faster than they can be checked are refused, and others get through later.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func passwordChecksAreBounded() async throws {
    let ctl = try #require(Binaries.ctl35)
    let cluster = Cluster([Binaries.ours], extra: ["--bcrypt-cost", "10"])
    let member = cluster.members[0]
    try cluster.start()
    Self.enable(ctl, member)
    let loop = EventLoop(name: "auth-test")
    loop.start()
    let client = try await TokenClient.connect(member, loop)
    let messages = await withTaskGroup(of: String.self) { group in
      for _ in 0..<90 {
        group.addTask {
          do { return try await client.authenticate("alice", "wrong") } catch {
            return (error as? GRPCStatus)?.message ?? "\(error)"
          }
        }
      }
      return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    }
    #expect(messages[EtcdError.tooManyRequests.message] ?? 0 > 0, "\(messages)")
    #expect(messages[EtcdError.authFailed.message] ?? 0 >= 64, "\(messages)")
    #expect(messages.count == 2, "\(messages)")
    #expect(
      await client.putAndGet("dir/a", token: try await client.authenticate("alice", "alicepw"))
        == "ok")
    client.client.abort()
    loop.stop()
  }
}

/// A client that says who it is with a token.
struct TokenClient {
  let client: GRPCClient

  static func connect(_ member: Member, _ loop: EventLoop) async throws -> TokenClient {
    try await connect(member.clientPort, loop)
  }

  static func connect(_ port: Int, _ loop: EventLoop) async throws -> TokenClient {
    TokenClient(
      client: try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop))
  }

  func authenticate(_ name: String, _ password: String) async throws -> String {
    let method = Etcdserverpb.AuthService.authenticate
    let request = Etcdserverpb.AuthenticateRequest(name: name, password: password)
    let (reply, _) = try await client.unary(method.path, request.encoded())
    return try Etcdserverpb.AuthenticateResponse.decode(reply).token
  }

  /// The error of a put and of a get of a key, `ok` without one.
  func putAndGet(_ key: String, token: String, header: String = "token") async -> String {
    let put = Etcdserverpb.PutRequest(key: Bytes(key), value: "v")
    let range = Etcdserverpb.RangeRequest(key: Bytes(key))
    do {
      let metadata = Metadata(header, token)
      var (reply, _) = try await client.unary(
        Etcdserverpb.KVService.put.path, put.encoded(), metadata: metadata)
      (reply, _) = try await client.unary(
        Etcdserverpb.KVService.range.path, range.encoded(), metadata: metadata)
      return try Etcdserverpb.RangeResponse.decode(reply).count == 1 ? "ok" : "nothing stored"
    } catch { return "\(error)" }
  }
}

extension TokenClient {
  /// The error's message; empty without one. Of a stream the first answer counts.
  func message(_ method: MethodDescriptor, _ request: Bytes, _ token: String) async -> String {
    do {
      let metadata = Metadata("token", token)
      guard method.clientStreaming || method.serverStreaming else {
        _ = try await client.unary(method.path, request, metadata: metadata)
        return ""
      }
      let stream = try await client.stream(method.path, metadata: metadata, timeout: .seconds(20))
      defer { stream.cancel() }
      try await stream.send(request)
      stream.finish()
      return try await stream.next() == nil ? "no answer" : ""
    } catch { return (error as? GRPCStatus)?.message ?? "\(error)" }
  }
}

extension Metadata {
  /// One field; none for an empty value.
  fileprivate init(_ name: String, _ value: String) {
    self.init()
    if !value.isEmpty { add(name, value) }
  }
}
