import Bytes
import EtcdAPI
import Protobuf

/// Large replies: ranges of half a GB and a snapshot of one.
extension Bench {
  private static let arguments = [
    "--quota-backend-bytes", "8589934592", "--snapshot-count", "1000",
  ]
  private static let valueBytes = 100_000

  func largeReplies() async throws {
    for server in pair {
      let cluster = try await cluster(server, Self.arguments)
      let half = scaled(5_000)
      let value = Bodies.noise(Self.valueBytes)
      try await cluster.clients[0].fill(
        0..<half, perTransaction: 1, parallel: 16, value: value)
      try await Task.sleep(for: .seconds(2))
      let name = "unary Range of \(half * Self.valueBytes / 1_000_000) MB"
      try await grow("RSS growth, \(name)", server, cluster, readers: 1)
      try await grow("RSS growth, 4 at once, \(name)", server, cluster, readers: 4)
      try await grow(
        "RSS growth, 4 slow readers, \(name)", server, cluster, readers: 4, bytesPerSecond: 20e6)
      try await cluster.clients[0].fill(
        half..<(2 * half), perTransaction: 1, parallel: 16, value: value)
      try await snapshot(server, cluster)
      cluster.stop()
    }
  }

  /// Slow readers are watched for a few seconds and then leave.
  private func grow(
    _ work: String, _ server: Server, _ cluster: Cluster, readers: Int,
    bytesPerSecond: Double? = nil
  ) async throws {
    let sampler = try MemorySampler(cluster.members[0].pid)
    let request = Etcdserverpb.RangeRequest(key: Bytes([0]), rangeEnd: Bytes([0])).encoded()
    let (port, half) = (cluster.members[0].port, scaled(5_000))
    let begin = now()
    let deadline = bytesPerSecond == nil ? Double.infinity : begin + 5
    let sizes = try await onThreads(readers) { _ in
      let reader = try RawConnection(port: port, path: Load.rangePath)
      try reader.send([request])
      try reader.receive(until: 1, bytesPerSecond: bytesPerSecond, deadline: deadline)
      return reader.dataBytes
    }
    let elapsed = now() - begin
    let growth = sampler.stop()
    guard bytesPerSecond != nil || sizes.allSatisfy({ $0 > half * Self.valueBytes }) else {
      throw BenchError("\(server.name) answered with \(sizes) bytes")
    }
    let goal = Goal.most(64 * 1_048_576, .mebibytes)
    results.add(ResultLine(work + ", anonymous", .mebibytes, goal), server, growth.anonymous)
    results.add(
      ResultLine(work + ", with mapped file pages", .mebibytes), server, growth.resident)
    if bytesPerSecond == nil {
      let total = Double(sizes.reduce(0, +))
      results.add(
        ResultLine(work.replacing("RSS growth", with: "Throughput"), .bytesPerSecond), server,
        total / elapsed)
    }
    try await Task.sleep(for: .seconds(1))
  }

  private func snapshot(_ server: Server, _ cluster: Cluster) async throws {
    let load = try await startPuts(cluster)
    let quiet = try await quietSeconds()
    let port = cluster.members[0].port
    var busy = Window(begin: now(), end: 0)
    let size = try await onThread {
      let reader = try RawConnection(
        port: port, path: Etcdserverpb.MaintenanceService.snapshot.path)
      try reader.send([Etcdserverpb.SnapshotRequest().encoded()])
      try reader.receive(until: 1)
      return reader.dataBytes
    }
    busy.end = now()
    guard size > 2 * scaled(5_000) * Self.valueBytes else {
      throw BenchError("\(server.name) sent a snapshot of \(size) bytes")
    }
    let name = "snapshot of \(2 * scaled(5_000) * Self.valueBytes / 1_000_000) MB"
    let speed = [
      machine.diskBytesPerSecond, machine.loopbackBytesPerSecond, machine.hashBytesPerSecond,
    ].min()!
    results.add(
      ResultLine("Speed of a \(name)", .bytesPerSecond, .least(speed, .bytesPerSecond)), server,
      Double(size) / busy.seconds)
    try await addPuts(load, server, quiet: quiet, busy: busy, during: name)
  }
}
