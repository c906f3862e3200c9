import Bytes
import Foundation

/// `etcd grpc-proxy` of each in front of one member of ours, so that the proxies are what differs.
extension Bench {
  func proxies() async throws {
    var works = [
      Work.range(try bodyFile(Bodies.range, "range"), "Range, through grpc-proxy"),
      Work.put(try bodyFile(Bodies.put, "put"), "Put, through grpc-proxy"),
    ]
    for index in works.indices { works[index].goal = .throughput(3) }
    for round in 1...options.runs {
      for server in pair {
        let cluster = try await cluster(ours)
        try await cluster.clients[0].put(Bodies.key, Bodies.value)
        let proxy = try await proxy(server, cluster)
        let load = Load(cluster: cluster, scratch: scratch.path, proxy: proxy)
        for work in works {
          let sample = try await load.measure(work, seconds: options.seconds)
          record(work, server, sample, isLast: round == options.runs)
        }
        proxy.end(SIGTERM)
        cluster.stop()
      }
    }
    for server in pair { try await watchersOfOneKey(server) }
  }

  /// Each put is an event for all of them, and one for the member behind the proxy.
  private func watchersOfOneKey(_ server: Server) async throws {
    let cluster = try await cluster(ours)
    let proxy = try await proxy(server, cluster)
    let watchers = scaled(10_000)
    let (perSecond, cpu) = try await events(
      to: watchers, watching: Self.watch("w1"), at: proxy.port, of: proxy.pid,
      writing: cluster.members[0].port)
    results.add(
      ResultLine(
        "Events to \(watchers) watchers of a key through grpc-proxy, puts of 256 B", .perSecond,
        .throughput(3, cpuShare: 0.33)), server, perSecond, cpu: cpu)
    proxy.end(SIGTERM)
    cluster.stop()
  }

  private func proxy(_ server: Server, _ cluster: Cluster) async throws -> RunningServer {
    let port = try freePorts(1)[0]
    let proxy = try RunningServer(
      server.path,
      [
        "grpc-proxy", "start", "--endpoints", "127.0.0.1:\(cluster.members[0].port)",
        "--listen-addr", "127.0.0.1:\(port)", "--advertise-client-url", "127.0.0.1:\(port)",
        "--data-dir", scratch.path + "/proxy",
      ], port: port, log: scratch.path + "/proxy.log")
    try await proxy.waitHealthy(loop).close()
    return proxy
  }
}
