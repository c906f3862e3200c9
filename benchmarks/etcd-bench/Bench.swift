import Bytes
import EventLoops
import Foundation

/// All measurements, servers taking turns. Each kind of work is an extension in a file of its own.
final class Bench {
  let options: Options
  let ours: Server
  let references: [Server]
  let loop = EventLoop(name: "bench")
  let scratch: Scratch
  let machine: MachineFacts
  var results = Results()
  var curve = Curve()

  /// The reference for what takes long.
  var reference: Server { references.last ?? ours }
  var everybody: [Server] { references + [ours] }
  var pair: [Server] { references.suffix(1) + [ours] }

  init(_ options: Options) async throws {
    self.options = options
    ours = try Server(path: options.ours, isOurs: true)
    references = try options.references.map { path throws(BenchError) in
      try Server(path: path, isOurs: false)
    }
    scratch = try Scratch(in: options.scratch)
    machine = try await MachineFacts(directory: options.scratch)
  }

  func run() async throws {
    loop.start()
    defer { loop.stop() }
    for group in Options.Group.allCases where options.groups.contains(group) {
      let begin = now()
      say("\(group.rawValue):")
      do { try await run(group) } catch {
        results.addFailure("\(group.rawValue): \(error)")
        say("\(group.rawValue) failed: \(error)")
      }
      say("\(group.rawValue) took \(fixed(now() - begin, 0)) s")
    }
  }

  private func run(_ group: Options.Group) async throws {
    switch group {
    case .one: try await oneMember()
    case .three: try await threeMembers()
    case .curve: try await clientCounts()
    case .keys: try await manyKeys()
    case .idle: try await idle()
    case .large: try await largeReplies()
    case .connections: try await idleConnections()
    case .defrag: try await defragmentation()
    case .commits: try await commits()
    case .recovery: try await recovery()
    case .watch: try await watches()
    case .lease: try await leases()
    case .tls: try await secure()
    case .proxy: try await proxies()
    case .size: for server in everybody { try binarySize(server) }
    }
  }

  /// A cluster of fresh members.
  func cluster(
    _ server: Server, members: Int = 1, _ extra: [String] = []
  ) async throws -> Cluster {
    let cluster = try Cluster(server, members: members, options, loop: loop, extra: extra)
    try await cluster.start()
    return cluster
  }

  /// A size of the issue, or less of it in a quick run.
  func scaled(_ count: Int) -> Int { Swift.max(1, Int(Double(count) * options.scale)) }

  /// A file with a request for h2load.
  func bodyFile(_ message: Bytes, _ name: String) throws(BenchError) -> String {
    let path = scratch.path + "/" + name
    try Bodies.write(message, to: path)
    return path
  }

  private func binarySize(_ server: Server) throws {
    let stripped = scratch.path + "/stripped"
    try runProgram("strip", ["-o", stripped, server.path])
    let size = try FileManager.default.attributesOfItem(atPath: stripped)[.size] as? UInt64 ?? 0
    let goal = Goal.most(15 * 1_048_576, .mebibytes)
    results.add(
      ResultLine("Release binary, stripped", .mebibytes, goal), server, Double(size))
  }
}

/// Progress, apart from the results.
func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
