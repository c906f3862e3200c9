import Bytes
import EventLoops
import HTTP
import Platform

/// Below `/debug/pprof/`, what a process without Go's runtime can tell of itself.
///
/// - Source: etcd `pkg/debugutil/pprof.go`.
package struct ProcessPages: Sendable {
  package static let path = "/debug/pprof"
  /// Seconds that a profile may take, and takes when nobody says; Go's default is the same.
  private static let longest = 120
  private static let usual = 30

  package init() {}

  /// Adds the pages to a router.
  package func register(in router: inout HTTPRouter) {
    router.add(nil, "\(Self.path)/") { exchange, asked in
      guard asked == Self.path + "/" else {
        return exchange.refuse(404, "Unknown profile")
      }
      exchange.respond(
        status: 200, headers: ["Content-Type": "text/html; charset=utf-8"], body: Self.index)
    }
    router.add(nil, "\(Self.path)/cmdline") { exchange, _ in
      exchange.respond(status: 200, text: Swift.CommandLine.arguments.joined(separator: "\0"))
    }
    // No names can be looked up; the answer is what pprof takes for that.
    router.add(nil, "\(Self.path)/symbol") { exchange, _ in
      exchange.respond(status: 200, text: "num_symbols: 0\n")
    }
    router.add(nil, "\(Self.path)/heap") { exchange, _ in
      exchange.respond(status: 200, text: Self.heap)
    }
    for name in ["threadcreate", "goroutine"] {
      router.add(nil, "\(Self.path)/\(name)") { exchange, _ in
        exchange.respond(status: 200, text: ProcessFacts.threads.map { "\($0)\n" }.joined())
      }
    }
    router.add(nil, "\(Self.path)/profile") { exchange, _ in ProcessPages.profile(exchange) }
    for name in ["trace", "block", "mutex"] {
      router.add(nil, "\(Self.path)/\(name)") { exchange, _ in
        exchange.refuse(
          501,
          "this process records no \(name) of its own; use perf record -g -p \(Program.id)")
      }
    }
  }

  private static var index: Bytes {
    let names = [
      ("cmdline", "The command line of the process"),
      ("goroutine", "The threads of the process, with the processor time that each has had"),
      ("heap", "Memory of the process, as the allocator counts it"),
      ("profile?seconds=5", "The processor time of each thread during so many seconds"),
      ("threadcreate", "The same as goroutine"),
      (
        "times",
        "Of members: what log and backend have waited for, and processor time by thread, as JSON"
      ),
    ]
    let rows = names.map { "<li><a href='\($0)'>\($0)</a>: \($1)</li>\n" }.joined()
    return Bytes(
      "<html>\n<head><title>\(path)/</title></head>\n<body>\n\(path)/<br>\n<ul>\n"
        + "\(rows)</ul>\n</body>\n</html>\n")
  }

  private static var heap: String {
    let memory = ProcessFacts.memory
    return """
      # bytes
      resident = \(memory.resident)
      HeapAlloc = \(memory.allocated)
      HeapSys = \(memory.fromSystem)
      HeapIdle = \(memory.idle)

      """
  }

  private static func profile(_ exchange: HTTPExchange) {
    let asked = HTTPQuery(exchange.request.query).all("seconds").first
    guard let seconds = asked.map({ Int($0) }) ?? Self.usual, (1...Self.longest).contains(seconds)
    else {
      return exchange.refuse(400, "seconds has to be a number from 1 to \(Self.longest)")
    }
    let before = ProcessFacts.threadTimes
    let timer = exchange.loop.schedule(after: .seconds(seconds)) {
      exchange.onDisconnect = nil
      exchange.respond(
        status: 200, text: Self.difference(before, ProcessFacts.threadTimes, seconds: seconds))
    }
    exchange.onDisconnect = { timer.cancel() }
  }

  /// Lines of per cent of a processor and name, the busiest first.
  static func difference(
    _ before: [ProcessFacts.ThreadTime], _ after: [ProcessFacts.ThreadTime], seconds: Int
  ) -> String {
    let earlier = Dictionary(
      before.map { ($0.number, $0.user &+ $0.system) }, uniquingKeysWith: { $1 })
    let whole = Double(seconds) * Double(Machine.clockTicks)
    let shares = after.map { thread in
      (
        share: Double(thread.user &+ thread.system &- (earlier[thread.number] ?? 0)) * 100 / whole,
        name: thread.name
      )
    }
    return "# per cent of a processor by thread, in \(seconds) s; for functions: perf record -g -p"
      + " \(Program.id)\n"
      + shares.sorted { $0.share > $1.share }.map {
        "\(Double(Int($0.share * 10)) / 10) \($0.name)\n"
      }.joined()
  }
}
