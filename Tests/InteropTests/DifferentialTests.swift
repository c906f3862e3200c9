import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// The same random requests to the real server and to ours: every field of every answer is equal.
@Suite(.serialized) struct DifferentialTests {
  /// `SEED`, or a fresh one; for whoever prints it.
  static func seed() -> UInt64 {
    ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) }
      ?? UInt64.random(in: 0...UInt64.max)
  }

  static let requests = Int(ProcessInfo.processInfo.environment["REQUESTS"] ?? "") ?? 15_000

  /// Random requests of all key-value methods over few keys, valid or not.
  struct Generator {
    var random: SeededGenerator
    /// Revision that the servers should be at, roughly.
    var revision: Int64 = 1

    mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

    mutating func key() -> Bytes {
      if chance(60) { return Bytes() }
      if chance(40) { return Bytes([0]) }
      if chance(20) { return Bytes("a rather long key, longer than a node of the index holds") }
      return Bytes("k\(Int.random(in: 0..<12, using: &random))")
    }

    mutating func end(_ key: Bytes) -> Bytes {
      switch Int.random(in: 0..<8, using: &random) {
      case 0: return Bytes([0])
      case 1: return Bytes("k5")
      case 2: return Bytes("z")
      case 3: return key
      default: return Bytes()
      }
    }

    mutating func someRevision() -> Int64 {
      switch Int.random(in: 0..<12, using: &random) {
      case 0: return -1
      case 1: return revision + 5
      case 2: return Int64.max
      case 3: return 1
      case 4...7: return Int64.random(in: 0...max(revision, 1), using: &random)
      default: return 0
      }
    }

    /// At the newest revision, a little behind it, far behind it, or none that may be compacted.
    mutating func compactRevision() -> Int64 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0: return revision
      case 1...2: return max(revision - Int64.random(in: 0...20, using: &random), 0)
      case 3: return max(revision - Int64.random(in: 0...2000, using: &random), 0)
      default: return someRevision()
      }
    }

    mutating func range() -> Etcdserverpb.RangeRequest {
      let key = key()
      var request = Etcdserverpb.RangeRequest(key: key, rangeEnd: end(key))
      if chance(3) { request.limit = Int64.random(in: -1...4, using: &random) }
      if chance(3) { request.revision = someRevision() }
      if chance(3) { request.sortOrder = .init(rawValue: Int32.random(in: 0...2, using: &random)) }
      if chance(3) { request.sortTarget = .init(rawValue: Int32.random(in: 0...4, using: &random)) }
      // Go sorts equal elements in no particular order, so a limit could cut anywhere among them.
      if request.sortTarget != .key { request.limit = 0 }
      request.serializable = chance(4)
      request.keysOnly = chance(6)
      request.countOnly = chance(8)
      if chance(8) { request.minModRevision = someRevision() }
      if chance(8) { request.maxModRevision = someRevision() }
      if chance(8) { request.minCreateRevision = someRevision() }
      if chance(8) { request.maxCreateRevision = someRevision() }
      return request
    }

    mutating func put() -> Etcdserverpb.PutRequest {
      var request = Etcdserverpb.PutRequest(key: key())
      if !chance(6) { request.value = Bytes("v\(Int.random(in: 0..<6, using: &random))") }
      request.prevKv = chance(3)
      request.ignoreValue = chance(10)
      request.ignoreLease = chance(10)
      if chance(30) { request.lease = Int64.random(in: 1...3, using: &random) }
      return request
    }

    mutating func delete() -> Etcdserverpb.DeleteRangeRequest {
      let key = key()
      var request = Etcdserverpb.DeleteRangeRequest(
        key: key, rangeEnd: chance(2) ? end(key) : Bytes())
      // Deleting everything each time would leave nothing to look at.
      if request.rangeEnd == Bytes([0]), !chance(5) { request.rangeEnd = Bytes("k3") }
      request.prevKv = chance(2)
      return request
    }

    mutating func comparison() -> Etcdserverpb.Compare {
      let key = key()
      var compare = Etcdserverpb.Compare(
        result: .init(rawValue: Int32.random(in: 0...3, using: &random)),
        target: .init(rawValue: Int32.random(in: 0...4, using: &random)), key: key)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: compare.targetUnion = .version(Int64.random(in: 0...3, using: &random))
      case 1: compare.targetUnion = .createRevision(someRevision())
      case 2: compare.targetUnion = .modRevision(someRevision())
      case 3: compare.targetUnion = .value(Bytes("v\(Int.random(in: 0..<6, using: &random))"))
      case 4: compare.targetUnion = .lease(Int64.random(in: 0...2, using: &random))
      default: break
      }
      if chance(4) { compare.rangeEnd = end(key) }
      return compare
    }

    mutating func operations(depth: Int) -> [Etcdserverpb.RequestOp] {
      (0..<Int.random(in: 0...3, using: &random)).map { _ in
        switch Int.random(in: 0..<(depth > 0 ? 9 : 8), using: &random) {
        case 0...2: return .init(request: .requestPut(put()))
        case 3...5: return .init(request: .requestRange(range()))
        case 6:
          // Go etcd ends when a put keeps what a deletion without an end took before it.
          var range = delete()
          if range.rangeEnd == Bytes([0]) { range.rangeEnd = Bytes("zz") }
          return .init(request: .requestDeleteRange(range))
        case 7: return chance(8) ? .init() : .init(request: .requestPut(put()))
        default: return .init(request: .requestTxn(txn(depth: depth - 1)))
        }
      }
    }

    mutating func txn(depth: Int = 2) -> Etcdserverpb.TxnRequest {
      Etcdserverpb.TxnRequest(
        compare: (0..<Int.random(in: 0...2, using: &random)).map { _ in comparison() },
        success: operations(depth: depth), failure: operations(depth: depth))
    }

    /// Leases that last longer than the test.
    mutating func lease() -> (method: MethodDescriptor, request: Bytes) {
      typealias Lease = Etcdserverpb.LeaseService
      let id = Int64.random(in: 1...3, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0...4:
        let ttl = chance(9) ? 9_000_000_001 : Int64.random(in: 1000...2000, using: &random)
        return (Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: ttl, id: id).encoded())
      case 5:
        return (Lease.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: id).encoded())
      case 6: return (Lease.leaseLeases, Bytes())
      default:
        return (
          Lease.leaseTimeToLive,
          Etcdserverpb.LeaseTimeToLiveRequest(id: id, keys: chance(2)).encoded()
        )
      }
    }

    mutating func next() -> (method: MethodDescriptor, request: Bytes) {
      typealias KV = Etcdserverpb.KVService
      switch Int.random(in: 0..<210, using: &random) {
      case 200...: return lease()
      case 0...69: return (KV.put, put().encoded())
      case 70...129: return (KV.range, range().encoded())
      case 130...149: return (KV.deleteRange, delete().encoded())
      case 150...197: return (KV.txn, txn().encoded())
      default:
        return (
          KV.compact,
          Etcdserverpb.CompactionRequest(revision: compactRevision(), physical: chance(2)).encoded()
        )
      }
    }
  }

  /// An answer without what must differ: ids and terms.
  static func answer(
    _ client: GRPCClient, _ method: MethodDescriptor, _ request: Bytes
  ) async -> String {
    do {
      let reply = try await client.unary(method.path, request, timeout: .seconds(20)).message
      switch method.name {
      case "Put":
        var message = try Etcdserverpb.PutResponse.decode(reply)
        message.header = strip(message.header)
        return message.json().string
      case "Range":
        var message = try Etcdserverpb.RangeResponse.decode(reply)
        message.header = strip(message.header)
        let order = sortedBy(try Etcdserverpb.RangeRequest.decode(request), message.kvs)
        message.kvs.sort { $0.key < $1.key }
        return message.json().string + order
      case "DeleteRange":
        var message = try Etcdserverpb.DeleteRangeResponse.decode(reply)
        message.header = strip(message.header)
        return message.json().string
      case "Txn":
        var message = try Etcdserverpb.TxnResponse.decode(reply)
        message.header = strip(message.header)
        message.responses = message.responses.map(sortRanges)
        return message.json().string
      case "LeaseGrant":
        var message = try Etcdserverpb.LeaseGrantResponse.decode(reply)
        message.header = strip(message.header)
        return message.json().string
      case "LeaseRevoke":
        var message = try Etcdserverpb.LeaseRevokeResponse.decode(reply)
        message.header = strip(message.header)
        return message.json().string
      case "LeaseTimeToLive":
        var message = try Etcdserverpb.LeaseTimeToLiveResponse.decode(reply)
        message.header = strip(message.header)
        // Time passes between the two answers; Go lists keys in no order.
        message.ttl = message.ttl > 0 ? 1 : message.ttl
        message.keys.sort()
        return message.json().string
      case "LeaseLeases":
        var message = try Etcdserverpb.LeaseLeasesResponse.decode(reply)
        message.header = strip(message.header)
        message.leases.sort { $0.id < $1.id }
        return message.json().string
      default:
        var message = try Etcdserverpb.CompactionResponse.decode(reply)
        message.header = strip(message.header)
        return message.json().string
      }
    } catch { return "\(error)" }
  }

  /// The values that a range was sorted by, in the order of the answer.
  static func sortedBy(
    _ request: Etcdserverpb.RangeRequest, _ pairs: [Mvccpb.KeyValue]
  ) -> String {
    switch request.sortTarget {
    case .version: "\(pairs.map(\.version))"
    case .create: "\(pairs.map(\.createRevision))"
    case .mod: "\(pairs.map(\.modRevision))"
    case .value: "\(request.keysOnly ? [] : pairs.map(\.value))"
    default: "\(pairs.map(\.key))"
    }
  }

  static func sortRanges(_ operation: Etcdserverpb.ResponseOp) -> Etcdserverpb.ResponseOp {
    switch operation.response {
    case .responseRange(var range):
      range.kvs.sort { $0.key < $1.key }
      return .init(response: .responseRange(range))
    case .responseTxn(var txn):
      txn.responses = txn.responses.map(sortRanges)
      return .init(response: .responseTxn(txn))
    default: return operation
    }
  }

  static func strip(
    _ header: Etcdserverpb.ResponseHeader?
  ) -> Etcdserverpb.ResponseHeader? {
    header.map { Etcdserverpb.ResponseHeader(revision: $0.revision) }
  }

  static func revision(in answer: String) -> Int64? {
    answer.firstMatch(of: /"revision":"(\d+)"/).flatMap { Int64($0.1) }
  }

  /// Two single members, Go's and ours, and a connection to each.
  @MainActor final class Pair {
    let clusters: [Cluster]
    let loop = EventLoop(name: "differential")
    private(set) var clients: [GRPCClient] = []

    init(_ official: String) async throws {
      // Answers are compared here, not durability: without fsync ten times as many fit.
      clusters = [official, Binaries.ours].map { Cluster([$0], extra: ["--unsafe-no-fsync"]) }
      for cluster in clusters { try cluster.start() }
      loop.start()
      try await connect()
    }

    func close() {
      for client in clients { client.abort() }
      loop.stop()
    }

    private func connect() async throws {
      for client in clients { client.abort() }
      clients = []
      for cluster in clusters {
        clients.append(
          try await GRPCClient.connect(
            to: .tcp(host: "127.0.0.1", port: cluster.members[0].clientPort), loop: loop))
      }
    }

    func restart() async throws {
      for cluster in clusters {
        cluster.members[0].stop()
        cluster.members[0].start()
        try cluster.members[0].waitHealthy()
      }
      try await connect()
    }

    /// HashKV at a revision, or the error's text.
    func hashes(at revision: Int64) async -> [String] {
      let request = Etcdserverpb.HashKVRequest(revision: revision).encoded()
      var found: [String] = []
      for client in clients {
        do {
          let reply = try await client.unary(
            Etcdserverpb.MaintenanceService.hashKV.path, request, timeout: .seconds(20))
          let hash = try Etcdserverpb.HashKVResponse.decode(reply.message)
          found.append("\(hash.hash) \(hash.compactRevision) \(hash.header?.revision ?? 0)")
        } catch { found.append("\(error)") }
      }
      return found
    }
  }

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func everyAnswerIsEqual() async throws {
    let official = try #require(Binaries.go35)
    let seed = DifferentialTests.seed()
    print("seed \(seed), \(Self.requests) requests")
    let pair = try await Pair(official)
    var generator = Generator(random: SeededGenerator(state: seed))
    var differences: [String] = []
    var compactions: Set<Int64> = []
    for number in 1...Self.requests where differences.count < 5 {
      let (method, request) = generator.next()
      let clients = pair.clients
      async let real = Self.answer(clients[0], method, request)
      async let ours = Self.answer(clients[1], method, request)
      let answers = await (real, ours)
      if answers.0 != answers.1 {
        differences.append(
          "\(number) \(method.name) \(Self.text(method, request))\n  real: \(answers.0)\n"
            + "  ours: \(answers.1)")
      }
      if let revision = Self.revision(in: answers.1) { generator.revision = revision }
      if method.name == Etcdserverpb.KVService.compact.name {
        compactions.insert(try Etcdserverpb.CompactionRequest.decode(request).revision)
      }
      // Compactions that are under way in either must not show in the history at any revision.
      if number % 500 == 0 {
        let revision = generator.chance(2) ? 0 : generator.someRevision()
        // Since 3.5.5, etcd answers with the hash that a compaction left, 3.5.1 hashes again.
        if compactions.contains(revision) { continue }
        var hashes = await pair.hashes(at: revision)
        if hashes[0] != hashes[1] {
          // Where no key is left, Go's counts what its compaction is about to remove.
          try await Task.sleep(for: .milliseconds(500))
          hashes = [hashes[1], await pair.hashes(at: revision)[0]]
        }
        if hashes[0] != hashes[1] { differences.append("\(number) HashKV(\(revision)): \(hashes)") }
      }
      if number % (Self.requests / 3) == 0, differences.isEmpty { try await pair.restart() }
    }
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    #expect(generator.revision > 1)
    // Rows that a range no longer shows count too.
    let hashes = await pair.hashes(at: 0)
    #expect(hashes[0] == hashes[1])
    #expect(!hashes[0].contains("rror"), "\(hashes)")
    pair.close()
  }

  static func text(_ method: MethodDescriptor, _ request: Bytes) -> String {
    do {
      switch method.name {
      case "Txn": return "\(try Etcdserverpb.TxnRequest.decode(request).json())"
      case "Range": return "\(try Etcdserverpb.RangeRequest.decode(request).json())"
      case "Compact": return "\(try Etcdserverpb.CompactionRequest.decode(request).json())"
      case "DeleteRange": return "\(try Etcdserverpb.DeleteRangeRequest.decode(request).json())"
      default: return "\(try Etcdserverpb.PutRequest.decode(request).json())"
      }
    } catch { return "\(request)" }
  }
}
