import Bytes
import EtcdAPI
import Foundation

/// What a client sees while the backend is made smaller, or committed.
extension Bench {
  func defragmentation() async throws {
    for server in pair {
      let cluster = try await cluster(server)
      let client = cluster.clients[0]
      try await makeHoles(server, client)
      sync()
      let load = try await PutLoad.start(
        port: cluster.members[0].port, clients: 1, interval: nil, loop: loop)
      let quiet = try await quietSeconds()
      var busy = Window(begin: now(), end: 0)
      try await client.defragment()
      busy.end = now()
      let elapsed = busy.seconds
      // What the call leaves for later belongs to it.
      busy.end += 1
      try await pause(until: busy.end)
      let times = try await load.stop()
      let before = try times.sorted(quiet)
      let during = try times.sorted(busy)
      let sizes = try await client.status()
      guard sizes.dbSize < Int64(scaled(400_000_000)) else {
        throw BenchError("\(server.name) has \(sizes.dbSize) bytes after a defragmentation")
      }
      let name = "defrag of \(scaled(490)) MB, \(scaled(290)) MB in use"
      results.add(ResultLine("Time of a \(name)", .milliseconds), server, elapsed)
      results.add(
        ResultLine("Longest put before a \(name)", .milliseconds), server, before[before.count - 1])
      results.add(
        ResultLine("Longest put during a \(name)", .milliseconds, .most(0.05, .milliseconds)),
        server, during[during.count - 1])
      cluster.stop()
    }
  }

  /// A file of 490 MB with 290 MB in use.
  private func makeHoles(_ server: Server, _ client: Client) async throws {
    let value = Bodies.noise(4_000)
    let (full, used) = (Int64(scaled(490_000_000)), Int64(scaled(290_000_000)))
    var next = 0
    while try await client.status().dbSize < full {
      try await client.fill(next..<(next + 4_000), perTransaction: 100, parallel: 8, value: value)
      next += 4_000
      // The size is that of the last commit, which may be a second away.
      if next * 5_000 > full { try await Task.sleep(for: .milliseconds(1_100)) }
    }
    // Keys are spread evenly over 64 bits.
    let share = 1 - Double(used) / Double(full)
    let bound = String(UInt64(share * Double(UInt64.max)), radix: 16)
    try await client.delete(below: Bytes(String(repeating: "0", count: 16 - bound.count) + bound))
    try await client.compact()
    let deadline = now() + 30
    while try await client.status().dbSizeInUse > used + used / 6 {
      guard now() < deadline else {
        let status = try await client.status()
        throw BenchError(
          "\(server.name) has \(status.dbSizeInUse) of \(status.dbSize) bytes in use")
      }
      // A commit that has something to write counts the pages that were set free before it.
      try await client.put(Bodies.key, Bodies.value)
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  /// Clients that put as fast as they can, for as long as several commits take.
  func commits() async throws {
    for server in pair {
      let cluster = try await cluster(server)
      let load = try await PutLoad.start(
        port: cluster.members[0].port, clients: 8, interval: nil, loop: loop)
      try await Task.sleep(for: .seconds(1))
      var window = Window(begin: now(), end: 0)
      try await pause(until: window.begin + Swift.max(1, options.seconds * 2))
      window.end = now()
      let times = try await load.stop().sorted(window)
      let name = "8 clients, puts with backend commits"
      results.add(ResultLine("\(name), p50", .milliseconds), server, quantile(times, 0.5))
      results.add(
        ResultLine("\(name), p99.9", .milliseconds, .share(1)), server, quantile(times, 0.999))
      results.add(ResultLine("\(name), longest", .milliseconds), server, times[times.count - 1])
      cluster.stop()
    }
  }
}
