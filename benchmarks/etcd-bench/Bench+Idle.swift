/// What members cost that have nothing to do, and connections that nobody uses.
extension Bench {
  /// All servers are idle at the same time.
  func idle() async throws {
    var clusters: [(Server, Cluster)] = []
    for server in everybody { clusters.append((server, try await cluster(server))) }
    try await Task.sleep(for: .seconds(2))
    func seconds(_ cluster: Cluster) -> Double {
      ProcessFacts.threadSeconds(cluster.members[0].pid).values.reduce(0, +)
    }
    let (begin, before) = (now(), clusters.map { seconds($0.1) })
    try await Task.sleep(for: .seconds(Swift.max(4, options.seconds * 4)))
    let wall = now() - begin
    for (index, (server, cluster)) in clusters.enumerated() {
      let share = (seconds(cluster) - before[index]) / wall
      let memory = try ProcessFacts.memory(cluster.members[0].pid)
      results.add(ResultLine("Idle member, CPU", .percent, .share(0.5)), server, share)
      results.add(
        ResultLine("Idle member, RSS", .mebibytes, .most(10 * 1_048_576, .mebibytes)), server,
        memory.resident)
      results.add(
        ResultLine("Idle member, anonymous RSS", .mebibytes), server, memory.anonymous)
      cluster.stop()
    }
  }

  func idleConnections() async throws {
    for server in pair {
      try await idleConnections(server, name: "HTTP/2 connection, idle", requests: 0)
      try await idleConnections(server, name: "HTTP/2 connection, idle after a Range", requests: 1)
    }
  }

  private func idleConnections(_ server: Server, name: String, requests: Int) async throws {
    let cluster = try await cluster(server)
    try await cluster.clients[0].put(Bodies.key, Bodies.value)
    // Whatever the first connections make for all that follow is no part of one.
    let first = try await connect(50, cluster, requests: requests)
    let before = try ProcessFacts.memory(cluster.members[0].pid).anonymous
    let count = scaled(5_000)
    let rest = try await connect(count, cluster, requests: requests)
    try await Task.sleep(for: .seconds(1))
    let after = try ProcessFacts.memory(cluster.members[0].pid).anonymous
    withExtendedLifetime((first, rest)) {
      results.add(
        ResultLine("\(name), bytes each of \(count)", .bytes, .most(8_192, .bytes)), server,
        Swift.max(0, (after - before) / Double(count)))
    }
    cluster.stop()
  }

  private func connect(
    _ count: Int, _ cluster: Cluster, requests: Int
  ) async throws -> [RawConnection] {
    let port = cluster.members[0].port
    let held = try await onThread {
      var held: [RawConnection] = []
      for _ in 0..<count {
        let connection = try RawConnection(port: port, path: Load.rangePath)
        for request in 0..<requests {
          try connection.send([Bodies.range])
          try connection.receive(until: request + 1)
        }
        held.append(connection)
      }
      return UncheckedBox(held)
    }
    return held.value
  }
}

/// Hands what a thread made over to its caller, which has it alone from then on.
struct UncheckedBox<Value>: @unchecked Sendable {
  // @unchecked: see above.
  let value: Value
  init(_ value: Value) { self.value = value }
}
