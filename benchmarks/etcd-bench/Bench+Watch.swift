import Bytes
import EtcdAPI
import Foundation
import Protobuf

/// Watches: how many events, at what cost, how soon, and what those hold who wait.
extension Bench {
  private typealias API = Etcdserverpb
  private static let path = API.WatchService.watch.path

  func watches() async throws {
    for server in pair {
      try await fanOut(server)
      try await besideWatchers(server)
      for members in [1, 3] { try await putToEvent(server, members: members) }
      try await memory(server)
      try await catchUp(server)
      try await stalled(server)
    }
    try await million()
  }

  private static func create(_ key: Bytes, end: Bytes = Bytes(), from revision: Int64 = 0) -> Bytes
  {
    API.WatchRequest(
      requestUnion: .createRequest(
        API.WatchCreateRequest(key: key, rangeEnd: end, startRevision: revision))
    ).encoded()
  }

  private static func key(_ prefix: String, _ number: Int) -> Bytes {
    Bytes(prefix + String(format: "%012d", number))
  }

  /// Every put is an event for each of 1,000 watchers; as many puts are under way as are needed to keep the
  /// server busy.
  private func fanOut(_ server: Server) async throws {
    let cluster = try await cluster(server)
    let port = cluster.members[0].port
    let watchers = scaled(1_000)
    let (perSecond, cpu) = try await events(
      to: watchers, watching: Self.create("w", end: "x"), at: port, of: cluster.members[0].pid,
      writing: port)
    results.add(
      ResultLine(
        "Events to \(watchers) watchers of a prefix, puts of 256 B", .perSecond,
        .throughput(5, cpuShare: 0.2)), server, perSecond, cpu: cpu)
    cluster.stop()
  }

  /// What one watch of a single key asks for.
  static func watch(_ key: Bytes) -> Bytes { create(key) }

  /// Events a second that watchers get of puts to `w1`, and the processor time that one costs a process.
  /// - Parameters:
  ///   - port: where they watch.
  ///   - writer: where is written.
  func events(
    to watchers: Int, watching watch: Bytes, at port: Int, of pid: Int32, writing writer: Int
  ) async throws -> (perSecond: Double, cpu: Double) {
    let connections = Swift.min(50, watchers)
    let perConnection = watchers / connections
    let seconds = options.seconds
    return try await onThread {
      let readers = try StreamReaders(
        port: port, path: Self.path,
        requests: Array(
          repeating: Array(repeating: watch, count: perConnection), count: connections))
      let total = perConnection * connections
      try readers.wait("watchers") { readers.messages >= total }
      let writer = try RawConnection(port: writer, path: API.KVService.put.path)
      let put = API.PutRequest(key: "w1", value: Bodies.value).encoded()
      var sent = 0
      func burst(_ count: Int) throws {
        try writer.send(Array(repeating: put, count: count))
        sent += count
      }
      // Ten puts ahead of the slowest watcher, one after the other afterwards.
      try burst(10)
      try readers.wait("events") { readers.events >= total }
      let (begin, before, cpuBefore) = (now(), readers.events, try ProcessFacts.cpuSeconds(pid))
      while now() - begin < seconds {
        let delivered = readers.events / total
        if sent - delivered < 20 {
          try burst(20 - (sent - delivered))
          try writer.receive(until: Swift.max(0, delivered))
        } else {
          usleep(100)
        }
      }
      try readers.wait("the last events") { readers.events == sent * total }
      let (wall, events) = (now() - begin, readers.events - before)
      let spent = try ProcessFacts.cpuSeconds(pid) - cpuBefore
      readers.stop()
      return (Double(events) / wall, spent * 1e6 / Double(events))
    }
  }

  /// Watchers of keys that nobody writes must cost writers nothing.
  private func besideWatchers(_ server: Server) async throws {
    let cluster = try await cluster(server)
    let port = cluster.members[0].port
    let load = Load(cluster: cluster, scratch: scratch.path)
    let work = Work.put(try bodyFile(Bodies.put, "put"), "Put")
    let alone = try await load.measure(work, seconds: options.seconds).perSecond
    let count = scaled(10_000)
    let readers = try await onThread { try Self.watchKeys(count, port: port, connections: 10) }
    let beside = try await load.measure(work, seconds: options.seconds).perSecond
    readers.stop()
    results.add(
      ResultLine(
        "Put beside \(count) watchers of other keys, of Put without", .percent,
        .least(0.95, .percent)), server, beside / alone)
    cluster.stop()
  }

  /// Watches keys that differ. - Returns: once all are acknowledged.
  private static func watchKeys(
    _ count: Int, port: Int, connections: Int
  ) throws -> StreamReaders {
    let perConnection = count / connections
    let readers = try StreamReaders(
      port: port, path: path,
      requests: (0..<connections).map { connection in
        (0..<perConnection).map { create(key("idle", connection * perConnection + $0)) }
      })
    try readers.wait("watchers") { readers.messages >= perConnection * connections }
    return readers
  }

  /// From the put's first byte to the event's arrival, one put at a time.
  private func putToEvent(_ server: Server, members: Int) async throws {
    let cluster = try await cluster(server, members: members)
    let port = cluster.members[cluster.leader].port
    let count = scaled(2_000)
    let times = try await onThread {
      let watcher = try RawConnection(port: port, path: Self.path)
      let writer = try RawConnection(port: port, path: API.KVService.put.path)
      var counter = MessageCounter()
      watcher.onData { counter.feed($0, $1) }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
      defer { buffer.deallocate() }
      _ = try watcher.open(Self.create("w", end: "x"))
      while counter.messages == 0 { try watcher.readOnce(into: buffer) }
      let put = API.PutRequest(key: "w1", value: Bodies.value).encoded()
      var times: [Double] = []
      for number in 1...count {
        let begin = now()
        try writer.send([put])
        while counter.events < number { try watcher.readOnce(into: buffer) }
        times.append(now() - begin)
        try writer.receive(until: number)
      }
      return times.sorted()
    }
    let name = "Put to event, \(members) member\(members == 1 ? "" : "s")"
    results.add(
      ResultLine(name + ", p50", .microseconds, .share(0.7)), server, quantile(times, 0.5))
    results.add(
      ResultLine(name + ", p99", .microseconds, .share(0.5)), server, quantile(times, 0.99))
    cluster.stop()
  }

  private func memory(_ server: Server) async throws {
    let cluster = try await cluster(server)
    let port = cluster.members[0].port
    let pid = cluster.members[0].pid
    // Whatever the first ones make for all that follow is no part of one.
    let first = try await onThread { try Self.watchKeys(1_000, port: port, connections: 10) }
    let before = try ProcessFacts.memory(pid).anonymous
    let count = scaled(100_000)
    let rest = try await onThread { try Self.watchKeys(count, port: port, connections: 10) }
    try await Task.sleep(for: .seconds(1))
    let after = try ProcessFacts.memory(pid).anonymous
    results.add(
      ResultLine("Idle watcher, bytes each of \(count)", .bytes, .most(175, .bytes)), server,
      (after - before) / Double(count))
    for readers in [first, rest] { readers.stop() }
    cluster.stop()
    try await streams(server)
  }

  /// Streams without a watcher, on few connections.
  private func streams(_ server: Server) async throws {
    let cluster = try await cluster(server)
    let port = cluster.members[0].port
    let pid = cluster.members[0].pid
    let count = scaled(5_000)
    func open(_ count: Int) async throws -> UncheckedBox<[RawConnection]> {
      try await onThread {
        let held = try (0..<10).map { _ in try RawConnection(port: port, path: Self.path) }
        for number in 0..<count {
          _ = try held[number % 10].open(
            API.WatchRequest(requestUnion: .progressRequest(.init())).encoded())
        }
        return UncheckedBox(held)
      }
    }
    let first = try await open(50)
    try await Task.sleep(for: .seconds(1))
    let before = try ProcessFacts.memory(pid).anonymous
    let rest = try await open(count)
    try await Task.sleep(for: .seconds(1))
    let after = try ProcessFacts.memory(pid).anonymous
    withExtendedLifetime((first, rest)) {
      results.add(
        ResultLine("Idle watch stream, bytes each of \(count)", .bytes, .most(9_000, .bytes)),
        server, (after - before) / Double(count))
    }
    cluster.stop()
  }

  /// A million watchers of different keys, and a put that reaches its one.
  private func million() async throws {
    let cluster = try await cluster(ours)
    let port = cluster.members[0].port
    let count = scaled(1_000_000)
    let begin = now()
    let readers = try await onThread { try Self.watchKeys(count, port: port, connections: 20) }
    let perSecond = Double(count) / (now() - begin)
    try await cluster.clients[0].put(Self.key("idle", count / 2), Bodies.value)
    try await onThread { try readers.wait("the event") { readers.events == 1 } }
    results.add(ResultLine("Watches created, of \(count)", .perSecond), ours, perSecond)
    results.add(
      ResultLine("Anonymous RSS with \(count) watchers", .mebibytes), ours,
      try ProcessFacts.memory(cluster.members[0].pid).anonymous)
    readers.stop()
    cluster.stop()
  }

  /// Everything from the first revision on, of a store of many revisions.
  private func catchUp(_ server: Server) async throws {
    let cluster = try await cluster(server, ["--quota-backend-bytes", "8589934592"])
    let port = cluster.members[0].port
    let count = scaled(1_000_000)
    try await cluster.clients[0].fill(0..<count, perTransaction: 100, parallel: 32)
    let megabytes = try await onThread {
      let begin = now()
      let readers = try StreamReaders(
        port: port, path: Self.path,
        requests: [[Self.create(Bytes([0]), end: Bytes([0]), from: 1)]])
      try readers.wait("history") { readers.events >= count }
      let seconds = now() - begin
      readers.stop()
      return Double(count) * 272 / seconds
    }
    results.add(
      ResultLine(
        "Catch-up over \(count) events of 16 + 256 B", .bytesPerSecond, .times(3)), server,
      megabytes)
    cluster.stop()
  }

  /// Watchers that never read, under a full load of writes.
  private func stalled(_ server: Server) async throws {
    let cluster = try await cluster(server, ["--quota-backend-bytes", "8589934592"])
    let port = cluster.members[0].port
    let pid = cluster.members[0].pid
    func load(_ seconds: Double) async throws -> (p99: Double, growth: Double) {
      let sampler = try MemorySampler(pid)
      let puts = try await PutLoad.start(port: port, clients: 200, interval: nil, loop: loop)
      let begin = now()
      try await Task.sleep(for: .seconds(seconds))
      let times = try await puts.stop()
      let sorted = try times.sorted(Window(begin: begin, end: now()))
      return (quantile(sorted, 0.99), sampler.stop().anonymous)
    }
    let seconds = Swift.max(3, 30 * options.scale)
    // The store's own growth is the same in both runs.
    let alone = try await load(seconds)
    let watchers = try await onThread {
      UncheckedBox(
        try (0..<100).map { _ in
          let connection = try RawConnection(port: port, path: Self.path, hasLargeWindows: false)
          _ = try connection.open(Self.create(Bytes([0]), end: Bytes([0])))
          return connection
        })
    }
    let beside = try await load(seconds)
    withExtendedLifetime(watchers) {
      results.add(
        ResultLine(
          "Memory growth in \(fixed(seconds, 0)) s of puts beside 100 stalled watchers", .mebibytes,
          .most(64 * 1_048_576, .mebibytes)), server, beside.growth)
      results.add(
        ResultLine(
          "Put p99 beside 100 stalled watchers, of that without", .percent, .most(1.2, .percent)),
        server, beside.p99 / alone.p99)
    }
    cluster.stop()
  }
}
