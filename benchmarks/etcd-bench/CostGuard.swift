import Bytes
import EtcdAPI
import EventLoops
import Foundation
import Protobuf

/// Counts the instructions and allocations of requests on the hot paths of a release build of the
/// server, and fails when they have grown: puts, linearizable ranges, transactions, renewals of leases,
/// puts that ten watchers see, and ranges over TLS.
///
/// The server runs under valgrind's callgrind, which counts every instruction of the process and
/// every call of the allocator: no clock, no hardware counter. Requests come in batches on one
/// connection, each batch in one write, the next one after all replies, so that the server's turns
/// are the same in every run. The counters start after a warm-up and are read when the last reply
/// has come. The least of several rounds counts: what else the server does, such as a commit of the
/// backend, falls into some of them only.
struct CostGuard {
  private var server = ""
  private var baseline = ""
  private var accepts = false

  /// Requests in a write; together less than what the server reads at once.
  private static let batch = 50
  private static let batches = 20
  private static let rounds = 6
  /// Growth that fails.
  private static let tolerance = 0.10

  init(_ arguments: [String]) throws(BenchError) {
    var rest = arguments[...]
    while let name = rest.popFirst() {
      switch name {
      case "--server": server = rest.popFirst() ?? ""
      case "--baseline": baseline = rest.popFirst() ?? ""
      case "--accept": accepts = true
      default: throw BenchError("unknown argument \(name)\n\(Options.usage)")
      }
    }
    guard !server.isEmpty, !baseline.isEmpty else { throw BenchError(Options.usage) }
  }

  func run() async throws {
    let loop = EventLoop(name: "cost")
    loop.start()
    defer { loop.stop() }
    let costs = CostTable(rows: try await measure(loop))
    if accepts {
      try costs.write(to: baseline)
      print("wrote \(baseline)")
      return
    }
    let accepted = try CostTable(file: baseline)
    let isWithin = costs.compare(with: accepted, tolerance: Self.tolerance)
    guard isWithin else {
      throw BenchError(
        "a request costs more than \(fixed(Self.tolerance * 100, 0)) % more than "
          + "\(baseline) says; if that is meant, `make cost ACCEPT=1` writes a new one")
    }
  }

  /// Costs of one request by its kind.
  private func measure(_ loop: EventLoop) async throws -> [String: Cost] {
    let scratch = try Scratch(in: NSTemporaryDirectory())
    let ports = try freePorts(3)
    let out = scratch.path + "/callgrind"
    let member = try start(scratch, ports, out: out)
    let client = try await member.waitHealthy(loop)
    _ = try await client.call(
      Etcdserverpb.LeaseService.leaseGrant,
      Etcdserverpb.LeaseGrantRequest(ttl: 36_000, id: Self.lease),
      Etcdserverpb.LeaseGrantResponse.self)
    // The transaction finds its key.
    _ = try await client.call(
      Etcdserverpb.KVService.put, Etcdserverpb.PutRequest(key: Bodies.key, value: Bodies.value),
      Etcdserverpb.PutResponse.self)
    client.close()
    let (pid, plain, tls) = (member.pid, ports[0], ports[2])
    let costs = try await onThread {
      let counter = Callgrind(pid: pid, out: out)
      var costs: [String: Cost] = [:]
      for (name, load) in Self.loads(plain: plain, tls: tls) {
        costs[name] = try Self.least(name, counter, load)
      }
      return costs
    }
    member.end(SIGTERM)
    return costs
  }

  private static let lease: Int64 = 7

  /// Loads by name, each to be made anew for a round, in the order in which they run: puts fill the store.
  private static func loads(
    plain: Int, tls: Int
  ) -> [(name: String, load: () throws -> any CostLoad)] {
    typealias KV = Etcdserverpb.KVService
    let keys = (0..<(batch * batches)).map(Bodies.key)
    let puts = keys.map { Etcdserverpb.PutRequest(key: $0, value: Bodies.value).encoded() }
    let ranges = keys.map { Etcdserverpb.RangeRequest(key: $0).encoded() }
    let put = { try UnaryCost(KV.put.path, port: plain, replyBytesMin: 5, puts) }
    return [
      ("put", put),
      ("range", { try UnaryCost(KV.range.path, port: plain, replyBytesMin: 272, ranges) }),
      (
        "range-tls",
        { try UnaryCost(KV.range.path, port: tls, usesTLS: true, replyBytesMin: 272, ranges) }
      ),
      (
        "txn",
        {
          try UnaryCost(
            KV.txn.path, port: plain, replyBytesMin: 272,
            Array(repeating: Bodies.txn, count: batch * batches))
        }
      ),
      ("keep-alive", { try RenewalCost(port: plain, lease: lease) }),
      ("put-10-watchers", { try WatchedPutCost(port: plain, watchers: 10, put()) }),
    ]
  }

  private func start(
    _ scratch: Scratch, _ ports: [Int], out: String
  ) throws(BenchError) -> RunningServer {
    // valgrind 3.19 does not read the debug information of Swift's libraries.
    let program = scratch.path + "/etcd"
    try runProgram("strip", ["-g", "-o", program, server])
    let (client, peer) = ("http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
    let secure = "https://127.0.0.1:\(ports[2])"
    // Dictionaries place their keys alike in every run, and so does the kernel what it maps, where
    // it may be asked to.
    let isFixed = (try? runProgram("setarch", ["-R", "true"])) != nil
    let arguments =
      ["SWIFT_DETERMINISTIC_HASHING=1"] + (isFixed ? ["setarch", "-R"] : []) + [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=\(out)", "--", program, "--name", "m",
        "--data-dir", scratch.path + "/data", "--listen-client-urls",
        "\(client),\(secure)", "--auto-tls",
        "--advertise-client-urls", client, "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", peer, "--initial-cluster", "m=\(peer)",
        // Ticks are rare, and the backend is not committed: ranges read the same rows in every run.
        "--heartbeat-interval", "3000", "--election-timeout", "15000",
        "--backend-batch-interval", "1h",
      ]
    return try RunningServer(
      "/usr/bin/env", arguments, port: ports[0], log: scratch.path + "/log")
  }

  /// Measures rounds of batches, each round on connections of its own.
  private static func least(
    _ name: String, _ counter: Callgrind, _ make: () throws -> any CostLoad
  ) throws -> Cost {
    var least: Cost?
    for round in 0...rounds {
      let load = try make()
      try load.run(batch: 0..<batch)
      try counter.zero()
      for index in 0..<batches {
        try load.run(batch: (index * batch)..<((index + 1) * batch))
      }
      let count = batch * batches
      let cost = try counter.read().divided(by: Double(count))
      try load.check(count)
      // The first round fills the store.
      if round > 0 { least = least.map { $0.least(cost) } ?? cost }
    }
    guard let least else { throw BenchError("no round of \(name) was measured") }
    return least
  }
}

/// The counters of a process that runs under callgrind.
final class Callgrind {
  private let pid: Int32
  private let out: String
  private var dumps = 0

  /// - Parameter out: the file that callgrind was told to write; a dump has a number behind it.
  init(pid: Int32, out: String) {
    self.pid = pid
    self.out = out
  }

  func zero() throws(BenchError) { try runProgram("callgrind_control", ["-z", "\(pid)"]) }

  /// What was counted since the last call of either.
  func read() throws(BenchError) -> Cost {
    try runProgram("callgrind_control", ["-d", "\(pid)"])
    dumps += 1
    let path = "\(out).\(dumps)"
    let deadline = now() + 30
    // Written by the server itself, under another name first.
    while !FileManager.default.fileExists(atPath: path), now() < deadline { usleep(10_000) }
    return try Cost(callgrind: path)
  }
}
