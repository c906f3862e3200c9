import EtcdAPI
import Foundation
import Protobuf

/// A kind of request under load.
struct Work {
  enum Target { case leader, follower }
  let name: String
  let body: String
  let path: String
  let isWrite: Bool
  /// Bytes that each reply has at least; a refused request has fewer.
  let replyBytesMin: Int
  var target = Target.leader
  var connections = 20
  var streams = 50
  var goal: Goal?
  /// Whether single latencies are noted; h2load writes a line for each request then.
  var notesLatency = false

  func with(connections: Int, streams: Int, notesLatency: Bool) -> Work {
    var work = self
    (work.connections, work.streams) = (connections, streams)
    work.notesLatency = notesLatency
    return work
  }

  static func put(_ body: String, _ name: String) -> Work {
    Work(
      name: name, body: body, path: Etcdserverpb.KVService.put.path, isWrite: true,
      replyBytesMin: 5)
  }

  static func range(_ body: String, _ name: String) -> Work {
    Work(
      name: name, body: body, path: Etcdserverpb.KVService.range.path, isWrite: false,
      replyBytesMin: 5 + 16 + 256)
  }

  static func txn(_ body: String, _ name: String) -> Work {
    Work(
      name: name, body: body, path: Etcdserverpb.KVService.txn.path, isWrite: true,
      replyBytesMin: 5 + 16 + 256)
  }
}

/// What one load gave.
struct LoadSample {
  var perSecond = 0.0
  /// User and system time of all members, or of the proxy, per request.
  var cpuMicroseconds = 0.0
  /// In seconds.
  var p50 = 0.0
  var p99 = 0.0
  /// Share of one core that h2load took.
  var loadShare = 0.0
  /// Share of one core that the busiest thread of the member under load took.
  var busiestShare = 0.0
}

/// Runs h2load against a cluster.
struct Load {
  static let rangePath = Etcdserverpb.KVService.range.path
  let cluster: Cluster
  let scratch: String
  /// Who stands in front of the one member, gets the load, and is measured instead of it.
  var proxy: RunningServer?

  /// A load of about `seconds`, after a shorter one that warms up and tells how many requests fit.
  /// - Throws: `BenchError` when a request failed or a write is missing from the store.
  func measure(_ work: Work, seconds: Double) async throws -> LoadSample {
    let window = work.connections * work.streams
    let trial = try await run(work, requests: window * 8)
    let warm = try await run(
      work, requests: Swift.max(window, Int(trial.perSecond * seconds * 0.2)))
    return try await run(work, requests: Swift.max(window, Int(warm.perSecond * seconds)))
  }

  /// One request on each connection.
  func once(_ work: Work) async throws -> LoadSample {
    try await run(work, requests: work.connections)
  }

  private func cpuSeconds() throws -> Double {
    try proxy.map { proxy throws(BenchError) in try ProcessFacts.cpuSeconds(proxy.pid) }
      ?? cluster.cpuSeconds()
  }

  private func run(_ work: Work, requests: Int) async throws -> LoadSample {
    let member = cluster.leader
    let index = work.target == .leader ? member : (member + 1) % cluster.members.count
    let front = proxy ?? cluster.members[index]
    let log = scratch + "/latency"
    var arguments = [
      "-n", "\(requests)", "-c", "\(work.connections)", "-m", "\(work.streams)", "-t", "1",
      "-d", work.body, "-H", "content-type: application/grpc", "-H", "te: trailers",
      // Over TLS servers may take HTTP/1.1 from those who offer both.
      "--npn-list=h2",
    ]
    if work.notesLatency {
      try? FileManager.default.removeItem(atPath: log)
      arguments.append("--log-file=" + log)
    }
    arguments.append(front.loadURL + work.path)
    let revision = try await cluster.clients[index].revision()
    let cpu = try cpuSeconds()
    let threads = ProcessFacts.threadSeconds(front.pid)
    let (begin, children) = (now(), ProcessFacts.childrenSeconds())
    let report = try H2LoadReport(runProgram("h2load", arguments))
    let wall = now() - begin
    let spent = try cpuSeconds() - cpu
    let busiest =
      ProcessFacts.threadSeconds(front.pid)
      .map { $0.value - (threads[$0.key] ?? 0) }.max() ?? 0
    let load = ProcessFacts.childrenSeconds() - children
    let written = try await cluster.clients[index].revision() - revision
    try report.check(work, requests: requests, written: written)
    var sample = LoadSample(
      perSecond: report.perSecond, cpuMicroseconds: spent * 1e6 / Double(requests))
    (sample.loadShare, sample.busiestShare) = (load / wall, busiest / wall)
    if work.notesLatency {
      let times = try latencies(log)
      sample.p50 = quantile(times, 0.5)
      sample.p99 = quantile(times, 0.99)
    }
    return sample
  }

  /// Sorted seconds from h2load's log: start, status and microseconds of each request.
  private func latencies(_ path: String) throws -> [Double] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw BenchError("h2load wrote no \(path)")
    }
    var times: [Double] = []
    var (column, number) = (0, 0)
    for byte in data {
      switch byte {
      case UInt8(ascii: "\t"): column += 1
      case UInt8(ascii: "\n"):
        times.append(Double(number) / 1e6)
        (column, number) = (0, 0)
      case UInt8(ascii: "0")...UInt8(ascii: "9") where column == 2:
        number = number * 10 + Int(byte - UInt8(ascii: "0"))
      default: break
      }
    }
    return times.sorted()
  }
}

/// The numbers in the text that h2load prints.
struct H2LoadReport {
  let perSecond: Double
  let succeeded: Int
  /// Bytes of all reply messages with their prefixes.
  let dataBytes: Int
  private let text: String

  init(_ text: String) throws(BenchError) {
    self.text = text
    guard
      let rate = text.firstMatch(of: /finished in [^,]*, ([0-9.]+) req\/s/),
      let done = text.firstMatch(of: /([0-9]+) succeeded/),
      let data = text.firstMatch(of: /\(([0-9]+)\) data/),
      let perSecond = Double(rate.1), let succeeded = Int(done.1), let bytes = Int(data.1)
    else { throw BenchError("h2load printed: \(text)") }
    (self.perSecond, self.succeeded, dataBytes) = (perSecond, succeeded, bytes)
  }

  /// A gRPC error has HTTP status 200 too: the size of the replies and the revision tell.
  func check(_ work: Work, requests: Int, written: Int64) throws(BenchError) {
    guard
      succeeded == requests, dataBytes >= requests * work.replyBytesMin,
      written == (work.isWrite ? Int64(requests) : 0)
    else {
      throw BenchError("\(work.name): \(written) of \(requests) requests written\n\(text)")
    }
  }
}
