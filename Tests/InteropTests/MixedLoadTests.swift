import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// One data directory with everything in it that a cluster can hold, used in turn by the real server and
/// by ours: whoever opens it finds the same.
@Suite(.serialized) struct MixedLoadTests {
  /// One server after the other on the directory, and how it ends.
  struct Turn {
    let isOurs: Bool
    /// SIGKILL; Go etcd 3.5.1 only when it is idle, for under load it loses consistency itself.
    let isKilled: Bool
  }

  static let turns: [Turn] = [
    Turn(isOurs: false, isKilled: false), Turn(isOurs: true, isKilled: false),
    Turn(isOurs: false, isKilled: true), Turn(isOurs: true, isKilled: true),
    Turn(isOurs: true, isKilled: true), Turn(isOurs: false, isKilled: false),
    Turn(isOurs: true, isKilled: false),
  ]

  /// All that a client can see of a member.
  struct View: Equatable {
    var parts: [String: String] = [:]
  }

  @Test(
    .enabled(if: Binaries.go35 != nil && Binaries.go34 != nil && Binaries.utl35 != nil),
    arguments: ["3.4", "3.5"])
  func everyTurnFindsTheSame(founder: String) async throws {
    let official = try #require(Binaries.go35)
    let older = try #require(Binaries.go34)
    let utl = try #require(Binaries.utl35)
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let cluster = Cluster([official], extra: ["--snapshot-count", "60"])
    let member = cluster.members[0]
    var before: View?
    for (number, turn) in Self.turns.enumerated() {
      let first = number == 0 && founder == "3.4" ? older : official
      member.start(binary: turn.isOurs ? Binaries.ours : first)
      try member.waitHealthy()
      let found = try view(cluster)
      if let before { expectEqual(found, before, "turn \(number)") }
      try await load(cluster, number, &random)
      before = try view(cluster)
      if turn.isKilled {
        // Everything acknowledged is in the log; Go's backend is written every 100 ms.
        if !turn.isOurs { usleep(1_000_000) }
        member.kill()
      } else {
        member.stop()
      }
      let checked = run(utl, ["snapshot", "status", member.directory + "/member/snap/db"])
      #expect(checked.status == 0, "turn \(number): \(checked)")
      if !turn.isKilled {
        // Who stops in order leaves everything in the database, not in the log alone.
        let hashed = run(Binaries.ourUtl, ["hashkv", member.directory + "/member/snap/db"])
        let hash = try #require(before?.parts["hash"])
        #expect(hashed.output.contains(hash), "turn \(number): \(hashed), expected \(hash)")
      }
    }
    let segments = try FileManager.default.contentsOfDirectory(
      atPath: member.directory + "/member/wal"
    ).filter { $0.hasSuffix(".wal") && !$0.hasPrefix("0000000000000000") }
    #expect(!segments.isEmpty, "the log was meant to have several segments")
    // Without one of them the log is refused.
    let last = try #require(segments.max())
    let path = member.directory + "/member/wal/" + last
    try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
    let log = BadDirectoryTests.refusal(member)
    #expect(log.contains("wal: file not found") || log.contains("the log in"), "\(log)")
    try FileManager.default.moveItem(atPath: path + ".away", toPath: path)
    member.start(binary: Binaries.ours)
    try member.waitHealthy()
  }

  private func expectEqual(_ found: View, _ before: View, _ context: String) {
    for (name, part) in before.parts.sorted(by: { $0.key < $1.key }) {
      #expect(found.parts[name] == part, "\(context): \(name)")
    }
  }

  private func view(_ cluster: Cluster) throws -> View {
    var view = View()
    func text(_ words: [String]) -> String {
      let done = cluster.ctl(words)
      #expect(done.status == 0, "\(words): \(done)")
      return done.output
    }
    view.parts["hash"] = hashKV(cluster.members[0])
    view.parts["members"] = text(["member", "list"])
    view.parts["revision"] = text(["get", "any", "-w", "json"])
      .firstMatch(of: /"cluster_id":\d+|"revision":\d+/).map { String($0.0) }
    view.parts["count"] = text(["get", "", "--prefix", "--count-only", "-w", "fields"])
      .firstMatch(of: /"Count" : \d+/).map { String($0.0) }
    let leases = text(["lease", "list"]).split(separator: "\n").dropFirst().sorted()
    for lease in leases {
      // "lease ID granted with TTL(Ns), remaining(Ns), attached keys([…])"
      let line = text(["lease", "timetolive", String(lease), "--keys"])
      let keys = line.firstMatch(of: /attached keys\(\[(.*)\]\)/).map {
        $0.1.split(separator: " ").sorted().joined(separator: " ")
      }
      view.parts["lease \(lease)"] =
        "\(line.firstMatch(of: /TTL\(\d+s\)/).map { String($0.0) } ?? line) \(keys ?? "")"
    }
    view.parts["leases"] = "\(leases)"
    for kind in ["user", "role"] {
      let names = text([kind, "list"])
      view.parts["\(kind)s"] = names
      for name in names.split(separator: "\n") {
        view.parts["\(kind) \(name)"] = text([kind, "get", String(name)])
      }
    }
    // Etcd 3.4 cannot be asked.
    let status = cluster.ctl(["auth", "status"])
    if status.status == 0 { view.parts["auth"] = status.output }
    view.parts["alarms"] = text(["alarm", "list"])
    return view
  }

  // MARK: Load

  private func load(
    _ cluster: Cluster, _ turn: Int, _ random: inout SeededGenerator
  ) async throws {
    func ctl(_ words: [String], input: String = "") {
      let done = run(
        Binaries.ctl35!,
        ["--endpoints", cluster.endpoints, "--command-timeout", "20s"] + words, input: input)
      #expect(done.status == 0, "\(words): \(done)")
    }
    try await keyValueLoad(cluster.members[0], turn, &random)
    // Users and roles come and go; authentication is on for a moment.
    ctl(["role", "add", "role\(turn)"])
    ctl(["role", "grant-permission", "role\(turn)", "readwrite", "a", "k"])
    ctl(["role", "grant-permission", "role\(turn)", "read", "x", "--from-key"])
    ctl(["user", "add", "user\(turn):secret"])
    ctl(["user", "grant-role", "user\(turn)", "role\(turn)"])
    if turn > 1 {
      ctl(["role", "revoke-permission", "role\(turn - 1)", "a", "k"])
      ctl(["user", "delete", "user\(turn - 2)"])
      ctl(["role", "delete", "role\(turn - 2)"])
    }
    if turn == 0 {
      ctl(["user", "add", "root:pw"])
      ctl(["user", "grant-role", "root", "root"])
    }
    ctl(["auth", "enable"])
    ctl(["--user", "user\(turn):secret", "put", "guarded\(turn)", "v"])
    let refused = run(
      Binaries.ctl35!,
      ["--endpoints", cluster.endpoints, "--user", "user\(turn):secret", "put", "zzz", "v"])
    #expect(refused.error.contains("permission denied"), "\(refused)")
    ctl(["--user", "root:pw", "auth", "disable"])
    // A learner that never comes.
    let added = cluster.ctl(
      ["member", "add", "ghost\(turn)", "--learner", "--peer-urls", "http://127.0.0.1:1"])
    #expect(added.status == 0, "\(added)")
    if let id = added.output.firstMatch(of: /Member\s+([0-9a-f]+) added/) {
      ctl(["member", "update", String(id.1), "--peer-urls", "http://127.0.0.1:2"])
      ctl(["member", "remove", String(id.1)])
    }
    if turn % 2 == 0 { ctl(["defrag"]) }
    try await keyValueLoad(cluster.members[0], turn + 100, &random)
  }

  private func keyValueLoad(
    _ member: Member, _ turn: Int, _ random: inout SeededGenerator
  ) async throws {
    let loop = EventLoop(name: "mixed-load")
    loop.start()
    defer { loop.stop() }
    let client = try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: member.clientPort), loop: loop)
    defer { client.abort() }
    typealias KV = Etcdserverpb.KVService
    typealias Lease = Etcdserverpb.LeaseService
    let lease = Int64(turn * 10 + 1)
    for id in [lease, lease + 1] {
      _ = try await client.message(
        Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 100_000 + id, id: id).encoded())
    }
    var revision: Int64 = 0
    for n in 0..<120 {
      let key = Bytes("k\(Int.random(in: 0..<25, using: &random))")
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        _ = try await client.message(
          KV.deleteRange, Etcdserverpb.DeleteRangeRequest(key: key, rangeEnd: "k3").encoded())
      case 1...2:
        let put = Etcdserverpb.PutRequest(key: key, value: Bytes("leased \(n)"), lease: lease)
        _ = try await client.message(KV.put, put.encoded())
      case 3...4:
        let compare = Etcdserverpb.Compare(
          result: .greater, target: .version, key: key, targetUnion: .version(1))
        let other = Etcdserverpb.RequestOp(
          request: .requestPut(
            Etcdserverpb.PutRequest(key: "other", value: key, lease: lease + 1)))
        let own = Etcdserverpb.RequestOp(
          request: .requestPut(Etcdserverpb.PutRequest(key: key, value: "txn")))
        let txn = Etcdserverpb.TxnRequest(
          compare: [compare], success: [own, other], failure: [other])
        _ = try await client.message(KV.txn, txn.encoded())
      default:
        let reply = try await client.message(
          KV.put, Etcdserverpb.PutRequest(key: key, value: Bytes("\(turn) \(n)")).encoded())
        revision = try Etcdserverpb.PutResponse.decode(reply).header?.revision ?? 0
      }
      if n == 60, revision > 20 {
        _ = try await client.message(
          KV.compact,
          Etcdserverpb.CompactionRequest(revision: revision - 10, physical: turn % 2 == 0)
            .encoded())
      }
    }
    _ = try await client.message(
      Lease.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: lease).encoded())
    // Enough to begin another segment of the log every few turns.
    let big = Bytes(repeatElement(UInt8(truncatingIfNeeded: turn), count: 1_200_000))
    for n in 0..<12 {
      _ = try await client.message(
        KV.put, Etcdserverpb.PutRequest(key: Bytes("big\(n)"), value: big).encoded())
    }
  }
}

extension GRPCClient {
  /// The answer to one call.
  fileprivate func message(_ method: MethodDescriptor, _ request: Bytes) async throws -> Bytes {
    try await unary(method.path, request, timeout: .seconds(20)).message
  }
}
