import Foundation

/// A store of many small keys: memory, restart, and a compaction under load.
extension Bench {
  private static let arguments = [
    "--snapshot-count", "10000", "--quota-backend-bytes", "8589934592",
  ]

  func manyKeys() async throws {
    for server in options.scale < 1 ? pair : everybody { try await manyKeys(server) }
  }

  private func manyKeys(_ server: Server) async throws {
    // The last keys go in one by one, so that what the log keeps in memory is small entries.
    let single = Swift.min(options.keys, 20_000)
    let cluster = try await cluster(server, Self.arguments)
    try await cluster.clients[0].fill(
      0..<(options.keys - single), perTransaction: 100, parallel: 32)
    try await cluster.clients[0].fill(
      (options.keys - single)..<options.keys, perTransaction: 1, parallel: 256)
    let name = "\(options.keys) keys of 16 + 256 B"
    let loaded = try ProcessFacts.memory(cluster.members[0].pid).anonymous
    results.add(ResultLine("Anonymous RSS, \(name)", .mebibytes, .share(0.25)), server, loaded)
    for _ in 0..<(server == ours ? 3 : 1) {
      cluster.stop()
      let begin = now()
      try await cluster.start()
      let elapsed = now() - begin
      guard try await cluster.clients[0].keyCount() == options.keys else {
        throw BenchError("\(server.name) lost keys")
      }
      let memory = try ProcessFacts.memory(cluster.members[0].pid).anonymous
      results.add(
        ResultLine("Anonymous RSS, \(name), after a restart", .mebibytes, .share(0.25)), server,
        memory)
      results.add(
        ResultLine("Restart to first read, \(name)", .milliseconds, .most(0.4, .milliseconds)),
        server, elapsed)
    }
    if server == ours || server == reference { try await compaction(server, cluster) }
    cluster.stop()
  }

  /// Gives every key a second revision and drops the first ones while clients put.
  private func compaction(_ server: Server, _ cluster: Cluster) async throws {
    let client = cluster.clients[0]
    try await client.fill(0..<options.keys, perTransaction: 100, parallel: 32)
    try await compactUnderLoad(server, cluster)
  }

  private func compactUnderLoad(_ server: Server, _ cluster: Cluster) async throws {
    let load = try await startPuts(cluster)
    let quiet = try await quietSeconds()
    let busy = try await compactionTime(cluster.clients[0])
    let name = "compaction of \(options.keys) revisions"
    results.add(ResultLine("Time of a \(name)", .milliseconds), server, busy.seconds)
    // A short one is judged with what follows it as well.
    let judged = Window(begin: busy.begin, end: Swift.max(busy.end, busy.begin + 1))
    try await pause(until: judged.end)
    try await addPuts(load, server, quiet: quiet, busy: judged, during: name)
  }

  @inline(never)
  private func compactionTime(_ client: Client) async throws -> Window {
    let begin = now()
    try await client.compact()
    return Window(begin: begin, end: now())
  }

  // MARK: Puts beside other work
  // Not inlined: the compiler fails to split callers into coroutines otherwise (Swift 6.3.1).

  /// Eight clients that start 2,000 puts a second together.
  @inline(never)
  func startPuts(_ cluster: Cluster) async throws -> PutLoad {
    // What was written before reaches the disk first.
    sync()
    return try await PutLoad.start(
      port: cluster.members[cluster.leader].port, clients: 8, interval: 0.004, loop: loop)
  }

  /// A few seconds in which the server has nothing else to do.
  @inline(never)
  func quietSeconds() async throws -> Window {
    try await Task.sleep(for: .seconds(1))
    let begin = now()
    try await Task.sleep(for: .seconds(3))
    return Window(begin: begin, end: now())
  }

  @inline(never)
  func pause(until time: Double) async throws {
    try await Task.sleep(for: .seconds(Swift.max(0, time - now())))
  }

  /// Ends the load and adds its p99 without and with the work.
  @inline(never)
  func addPuts(
    _ load: PutLoad, _ server: Server, quiet: Window, busy: Window, during work: String
  ) async throws {
    let times = try await load.stop()
    let (before, with) = (try times.sorted(quiet), try times.sorted(busy))
    let without = "Put p99 before a \(work)"
    results.add(ResultLine(without, .milliseconds), server, quantile(before, 0.99))
    results.add(
      ResultLine(
        "Put p99 during a \(work)", .milliseconds, .most(2, of: without, "without")), server,
      quantile(with, 0.99))
    results.add(
      ResultLine("Longest put during a \(work)", .milliseconds), server, with[with.count - 1])
  }
}
