import Foundation
import Runtime

/// All measurements, servers taking turns.
struct Bench {
  let options: Options
  let ours: Server
  let references: [Server]
  private let loop = EventLoop(name: "bench")
  private let scratch: Scratch
  private(set) var results = Results()

  private var servers: [Server] { references + [ours] }

  init(_ options: Options) throws(BenchError) {
    self.options = options
    ours = try Server(path: options.ours, isOurs: true)
    references = try options.references.map { path throws(BenchError) in
      try Server(path: path, isOurs: false)
    }
    scratch = try Scratch(in: options.scratch)
  }

  mutating func run() async throws {
    loop.start()
    defer { loop.stop() }
    let bodies = ["put", "range", "txn"].map { scratch.path + "/" + $0 }
    try Bodies.write(Bodies.put, to: bodies[0])
    try Bodies.write(Bodies.range, to: bodies[1])
    try Bodies.write(Bodies.txn, to: bodies[2])
    if options.groups.contains(.one) {
      var (range, put) = (
        Work.range(bodies[1], "Range, 1 member"), Work.put(bodies[0], "Put, 1 member")
      )
      range.isGoal = true
      put.isGoal = true
      let txn = Work.txn(bodies[2], "Txn compare + put + get, 1 member")
      try await loads([range, put, txn, alone(bodies[0], "1 member")], members: 1)
    }
    if options.groups.contains(.three) {
      let put = Work.put(bodies[0], "Put, 3 members, to the leader")
      let near = Work.range(bodies[1], "Range linearizable, 3 members, leader")
      var far = Work.range(bodies[1], "Range linearizable, 3 members, follower")
      far.target = .follower
      try await loads([put, near, far, alone(bodies[0], "3 members")], members: 3)
    }
    if options.groups.contains(.keys) { for server in servers { try await keys(server) } }
    if options.groups.contains(.idle) { for server in servers { try await idle(server) } }
    for server in servers { try binarySize(server) }
  }

  private func alone(_ body: String, _ name: String) -> Work {
    var work = Work.put(body, "Put alone, \(name)")
    (work.connections, work.streams) = (1, 1)
    return work
  }

  // MARK: Load

  private mutating func loads(_ works: [Work], members: Int) async throws {
    for round in 1...options.runs {
      for server in servers {
        let cluster = try Cluster(
          server, members: members, options, loop: loop)
        try await cluster.start()
        try await cluster.clients[0].put(Bodies.key, Bodies.value)
        let load = Load(cluster: cluster, scratch: scratch.path)
        for work in works {
          let sample = try await load.measure(work, seconds: options.seconds)
          record(work, server, sample)
          say(
            "\(round)/\(options.runs) \(work.name), \(server.name): "
              + "\(fixed(sample.perSecond, 0))/s, CPU \(fixed(sample.cpuMicroseconds, 1)) µs")
        }
        cluster.stop()
      }
    }
  }

  private mutating func record(_ work: Work, _ server: Server, _ sample: LoadSample) {
    guard work.isLatency else {
      var line = ResultLine(work: work.name, unit: .perSecond)
      if work.isGoal { (line.goal, line.cpuGoal) = (2, 0.5) }
      results.add(line, server, sample.perSecond, cpu: sample.cpuMicroseconds)
      return
    }
    results.add(
      ResultLine(work: work.name + ", p50", unit: .microseconds), server, sample.p50Microseconds,
      cpu: sample.cpuMicroseconds)
    results.add(
      ResultLine(work: work.name + ", p99", unit: .microseconds), server, sample.p99Microseconds)
  }

  // MARK: Memory and start

  /// Memory with many keys, and the time from the start of the process to a linearizable read.
  private mutating func keys(_ server: Server) async throws {
    // The last keys go in one by one, so that what the log keeps in memory is small entries.
    let single = Swift.min(options.keys, 20_000)
    let extra = ["--snapshot-count", "10000", "--quota-backend-bytes", "8589934592"]
    let cluster = try Cluster(
      server, members: 1, options, loop: loop, extra: extra)
    try await cluster.start()
    let client = cluster.clients[0]
    try await client.fill(0..<(options.keys - single), perTransaction: 100, parallel: 32)
    try await client.fill(
      (options.keys - single)..<options.keys, perTransaction: 1, parallel: 256)
    let loaded = try ProcessFacts.anonymousBytes(cluster.members[0].pid)
    let name = "\(options.keys) keys"
    results.add(
      ResultLine(work: "Anonymous memory, \(name) loaded", unit: .mebibytes), server, loaded)
    for _ in 0..<options.runs {
      cluster.stop()
      let begin = now()
      try await cluster.start()
      let elapsed = now() - begin
      guard try await cluster.clients[0].keyCount() == options.keys else {
        throw BenchError("\(server.name) lost keys")
      }
      var restart = ResultLine(work: "Restart to first read, \(name)", unit: .milliseconds)
      restart.goal = 0.1
      var memory = ResultLine(work: "Anonymous memory, \(name) after restart", unit: .mebibytes)
      memory.goal = 0.25
      results.add(memory, server, try ProcessFacts.anonymousBytes(cluster.members[0].pid))
      results.add(restart, server, elapsed * 1000)
      say("\(name), \(server.name): restart \(fixed(elapsed * 1000, 0)) ms")
    }
    cluster.stop()
  }

  private mutating func idle(_ server: Server) async throws {
    let cluster = try Cluster(server, members: 1, options, loop: loop)
    try await cluster.start()
    try await Task.sleep(for: .seconds(1))
    let (begin, cpu) = (now(), try cluster.cpuSeconds())
    try await Task.sleep(for: .seconds(Swift.max(2, options.seconds * 2)))
    let share = (try cluster.cpuSeconds() - cpu) / (now() - begin)
    let memory = try ProcessFacts.anonymousBytes(cluster.members[0].pid)
    results.add(ResultLine(work: "Idle CPU, 1 member", unit: .percent), server, share * 100)
    results.add(
      ResultLine(work: "Idle anonymous memory, 1 member", unit: .mebibytes), server, memory)
    cluster.stop()
  }

  private mutating func binarySize(_ server: Server) throws {
    let stripped = scratch.path + "/stripped"
    try runProgram("strip", ["-o", stripped, server.path])
    let size = try FileManager.default.attributesOfItem(atPath: stripped)[.size] as? UInt64 ?? 0
    results.add(ResultLine(work: "Binary, stripped", unit: .mebibytes), server, Double(size))
  }
}

/// Progress, apart from the results.
func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
