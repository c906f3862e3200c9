/// Throughput and latency against the number of clients, each with one request at a time on a
/// connection of its own.
extension Bench {
  static let clientCounts = [1, 10, 50, 100, 300, 1000]

  func clientCounts() async throws {
    let (put, range) = (try bodyFile(Bodies.put, "put"), try bodyFile(Bodies.range, "range"))
    for server in pair {
      let cluster = try await cluster(server)
      try await cluster.clients[0].put(Bodies.key, Bodies.value)
      let load = Load(cluster: cluster, scratch: scratch.path)
      for work in [Work.put(put, "Put"), Work.range(range, "Range")] {
        for clients in Self.clientCounts {
          let sample = try await load.measure(
            work.with(connections: clients, streams: 1, notesLatency: true),
            seconds: Swift.min(1.5, options.seconds))
          curve.add(
            Curve.Point(
              clients: clients, perSecond: sample.perSecond, p50: sample.p50, p99: sample.p99),
            work.name, server)
          say("  \(work.name), \(clients) clients, \(server.name): \(fixed(sample.perSecond, 0))/s")
        }
      }
      cluster.stop()
    }
  }
}

/// The measured points, by kind of request and server.
struct Curve {
  struct Point {
    let clients: Int
    let perSecond: Double
    /// In seconds.
    let p50: Double
    let p99: Double
  }

  struct Series {
    let work: String
    let server: Server
    var points: [Point]
  }

  private(set) var series: [Series] = []

  mutating func add(_ point: Point, _ work: String, _ server: Server) {
    if let index = series.firstIndex(where: { $0.work == work && $0.server == server }) {
      series[index].points.append(point)
    } else {
      series.append(Series(work: work, server: server, points: [point]))
    }
  }

  /// All points in Markdown.
  func table() -> String {
    let rows = series.flatMap { series in
      series.points.map { point in
        [
          series.work, series.server.shortName, "\(point.clients)",
          Unit.perSecond.text(point.perSecond), Unit.microseconds.text(point.p50),
          Unit.microseconds.text(point.p99),
        ]
      }
    }
    return Results.markdown(["work", "server", "clients", "throughput", "p50", "p99"], rows)
  }
}
