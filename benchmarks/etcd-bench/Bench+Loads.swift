/// Throughput and latency under h2load.
extension Bench {
  func oneMember() async throws {
    let (put, range) = (try bodyFile(Bodies.put, "put"), try bodyFile(Bodies.range, "range"))
    var works = [
      Work.range(range, "Range, 1 member"), Work.put(put, "Put, 1 member"),
      Work.txn(try bodyFile(Bodies.txn, "txn"), "Txn compare + put + get, 1 member"),
      alone(put, "One client, Put, 1 member"),
    ]
    works[0].goal = .throughput(5, cpu: 6)
    works[1].goal = .throughput(4, cpu: 10)
    works[2].goal = .throughput(4)
    let sync = machine.syncMedian / 1e6
    works[3].goal = .most(1.5 * sync + 100e-6, .microseconds)
    try await loads(works, everybody, members: 1)
  }

  func threeMembers() async throws {
    let (put, range) = (try bodyFile(Bodies.put, "put"), try bodyFile(Bodies.range, "range"))
    var works = [
      Work.put(put, "Put, 3 members"),
      Work.range(range, "Range linearizable, 3 members, leader"),
      Work.range(range, "Range linearizable, 3 members, follower"),
      alone(put, "One client, Put, 3 members"),
    ]
    works[0].goal = .throughput(4, cpu: 18)
    works[1].goal = .throughput(4)
    works[2].goal = .throughput(4)
    works[2].target = .follower
    works[3].goal = .share(0.5)
    try await loads(works, pair, members: 3)
  }

  private func alone(_ body: String, _ name: String) -> Work {
    Work.put(body, name).with(connections: 1, streams: 1, notesLatency: true)
  }

  /// - Parameter flags: of the members, besides.
  func loads(
    _ works: [Work], _ servers: [Server], members: Int, _ flags: [String] = []
  ) async throws {
    for round in 1...options.runs {
      for server in servers {
        let cluster = try await cluster(server, members: members, flags)
        try await cluster.clients[0].put(Bodies.key, Bodies.value)
        let load = Load(cluster: cluster, scratch: scratch.path)
        for work in works {
          let sample = try await load.measure(work, seconds: options.seconds)
          record(work, server, sample, isLast: round == options.runs)
        }
        cluster.stop()
      }
    }
  }

  func record(_ work: Work, _ server: Server, _ sample: LoadSample, isLast: Bool) {
    let cpu = sample.cpuMicroseconds
    if work.notesLatency {
      results.add(
        ResultLine(work.name + ", p50", .microseconds, work.goal), server, sample.p50, cpu: cpu)
      results.add(ResultLine(work.name + ", p99", .microseconds), server, sample.p99)
      return
    }
    results.add(
      ResultLine(work.name, .perSecond, work.goal), server, sample.perSecond, cpu: cpu)
    guard isLast, server == ours || server == reference else { return }
    let ceiling = sample.perSecond / Swift.max(sample.busiestShare, 0.01)
    results.addLimit(
      "\(work.name), \(server.shortName): \(fixed(sample.perSecond, 0))/s with h2load at "
        + "\(fixed(sample.loadShare * 100, 0)) % of a core and the server's busiest thread at "
        + "\(fixed(sample.busiestShare * 100, 0)) %; that thread alone would allow "
        + "\(fixed(ceiling, 0))/s")
  }
}
