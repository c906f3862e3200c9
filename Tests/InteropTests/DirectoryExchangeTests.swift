import Bytes
import EtcdAPI
import EtcdClient
import Foundation
import Protobuf
import TestSupport
import Testing

/// Data directories of random histories, written by one server and opened by the other. `DIRECTORIES` sets how many
/// each way, `SEED` picks one.
@Suite(.serialized) struct DirectoryExchangeTests {
  private static let environment = ProcessInfo.processInfo.environment
  static let directories = environment["DIRECTORIES"].flatMap { Int($0) } ?? 2
  private static let operations = 60

  /// The other server finds what the founder told last, changes it, and the founder finds that.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func theOtherFindsTheSame(oursFounds: Bool) async throws {
    let go = try #require(Binaries.go35)
    let given = Self.environment["SEED"].flatMap { UInt64($0) }
    let first = given ?? UInt64.random(in: 0...(UInt64.max >> 1))
    let count = given == nil ? Self.directories : 1
    print("\(count) directories from seed \(first), ours founds \(oursFounds)")
    for number in 0..<count {
      let seed = first &+ UInt64(number)
      var random = SeededGenerator(state: seed)
      let snapshots = [5, 20, 60, 10_000].randomElement(using: &random)!
      let cluster = Cluster([go], extra: ["--snapshot-count", "\(snapshots)"])
      let member = cluster.members[0]
      var last: [String]?
      for isOurs in [oursFounds, !oursFounds, oursFounds] {
        member.start(binary: isOurs ? Binaries.ours : go)
        try member.waitHealthy()
        let client = try EtcdClient(endpoints: [member.endpoint])
        let found = try await Self.view(client)
        if let last {
          #expect(found == last, "SEED=\(seed), ours founds \(oursFounds), found by ours \(isOurs)")
        }
        for step in 0..<Self.operations {
          do { try await Self.step(client, isOurs: isOurs, &random) } catch {
            Issue.record(
              "SEED=\(seed), ours founds \(oursFounds), ours \(isOurs), step \(step): \(error)")
            throw error
          }
        }
        last = try await Self.view(client)
        client.close()
        // Go etcd 3.5.1 writes its backend at intervals and loses consistency when it is killed in between.
        if isOurs, Bool.random(using: &random) { member.kill() } else { member.stop() }
      }
      if found(problemsOf: member) { print("SEED=\(seed)\n\(member.log.suffix(4_000))") }
    }
  }

  /// Lines of the log that nobody should have to read.
  private func found(problemsOf member: Member) -> Bool {
    let lines = member.log.split(separator: "\n").filter {
      $0.contains("\"level\":\"panic\"") || $0.contains("\"level\":\"fatal\"")
        || $0.contains("Fatal error")
    }
    #expect(lines.isEmpty)
    return !lines.isEmpty
  }

  // MARK: What can be seen

  private static func view(_ client: EtcdClient) async throws -> [String] {
    let hash = try await client.maintenance.hashKV()
    var lines = [
      "hash \(hash.hash) revision \(hash.header?.revision ?? 0) compacted \(hash.compactRevision)"
    ]
    let all = try await client.kv.get(.all)
    lines += all.kvs.map { "\($0)" }
    for id in try await client.leases.list().leases.map(\.id).sorted() {
      let lease = try await client.leases.timeToLive(id, keys: true)
      lines.append("lease \(id) of \(lease.grantedTTL) s: \(lease.keys.map(\.string).sorted())")
    }
    for name in try await client.auth.users().users.sorted() {
      lines.append("user \(name): \(try await client.auth.user(name).roles)")
    }
    for name in try await client.auth.roles().roles.sorted() {
      lines.append("role \(name): \(try await client.auth.role(name).perm)")
    }
    lines += try await client.cluster.members().members.map { "member \($0)" }.sorted()
    lines += try await client.maintenance.alarms().alarms.map { "alarm \($0)" }.sorted()
    lines.append("auth revision \(try await client.auth.status().authRevision)")
    return lines
  }

  // MARK: What is done

  /// Does something, which may be refused.
  private static func step(
    _ client: EtcdClient, isOurs: Bool, _ random: inout SeededGenerator
  ) async throws {
    func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    let key = Bytes("k\(below(12))")
    let lease = Int64(below(4) + 1)
    let name = ["alice", "bob", "carol"][below(3)]
    let role = ["reader", "writer"][below(2)]
    do throws(EtcdClientError) {
      switch below(24) {
      case 0..<8: try await client.kv.put(key, value(&random))
      case 8: try await client.kv.put(key, value(&random), lease: lease)
      case 9: try await client.kv.delete(.range(key, Bytes("k\(below(12))")))
      case 10: try await client.kv.delete(.prefix(key))
      case 11, 12: try await client.kv.txn(transaction(&random, depth: 0))
      case 13: _ = try await client.leases.grant(ttl: Int64(10_000 + below(1_000)), id: lease)
      case 14: try await client.leases.revoke(lease)
      case 15:
        let now = try await client.kv.get(.all, limit: 1).header?.revision ?? 0
        try await client.kv.compact(now - Int64(below(12)), physical: below(2) == 0)
      case 16: if below(4) == 0 { try await client.maintenance.defragment() }
      case 17: try await client.auth.addUser(name, password: below(3) == 0 ? nil : "secret")
      case 18: try await client.auth.addRole(role)
      case 19: try await client.auth.grantRole(role, to: name)
      case 20:
        let keys = [KeyRange.key(key), .range(key, "z"), .from(key)][below(3)]
        try await client.auth.grant([.read, .write, .readwrite][below(3)], on: keys, to: role)
      case 21:
        if below(2) == 0 {
          try await client.auth.deleteUser(name)
        } else {
          try await client.auth.deleteRole(role)
        }
      case 22: try await client.auth.revokeRole(role, from: name)
      default:
        let (port, leaves) = (below(9) + 1, below(3) > 0)
        do throws(EtcdClientError) {
          let added = try await client.cluster.add(
            peerURLs: ["http://127.0.0.1:\(port)"], learner: true)
          guard let id = added.member?.id, leaves else { break }
          try await client.cluster.remove(id)
        } catch {
          // Go answers a change before raft knows that it was applied; raft drops a change that comes
          // in between, and nobody is told.
          guard !isOurs, case .deadlineExceeded = error else { throw error }
        }
      }
    } catch let error {
      // Refused for what is or is not there.
      guard case .refused = error else { throw error }
    }
  }

  private static func value(_ random: inout SeededGenerator) -> Bytes {
    let most = [0, 10, 300, 20_000][Int.random(in: 0..<4, using: &random)]
    let count = Int.random(in: 0...most, using: &random)
    return Bytes((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
  }

  private static func transaction(
    _ random: inout SeededGenerator, depth: Int
  ) -> Etcdserverpb.TxnRequest {
    func operation() -> Etcdserverpb.RequestOp {
      let key = Bytes("k\(Int.random(in: 0..<12, using: &random))")
      switch Int.random(in: 0..<(depth < 2 ? 4 : 3), using: &random) {
      case 0: return .init(request: .requestPut(.init(key: key, value: value(&random))))
      case 1: return .init(request: .requestDeleteRange(.init(key: key, prevKv: true)))
      case 2: return .init(request: .requestRange(.init(key: key, rangeEnd: "k9")))
      default: return .init(request: .requestTxn(transaction(&random, depth: depth + 1)))
      }
    }
    let compare = Etcdserverpb.Compare(
      result: .greater, target: .version, key: Bytes("k\(Int.random(in: 0..<12, using: &random))"),
      targetUnion: .version(Int64.random(in: 0..<3, using: &random)))
    return .init(
      compare: [compare],
      success: (0..<Int.random(in: 0..<4, using: &random)).map { _ in operation() },
      failure: (0..<Int.random(in: 0..<3, using: &random)).map { _ in operation() })
  }
}
