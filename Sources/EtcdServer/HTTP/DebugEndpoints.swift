import Bytes
import EtcdAPI
import EventLoops
import HTTP
import JSON
import Member
import Platform
import Protobuf

/// `/debug/vars`, and below `/debug/pprof/` what a process without Go's runtime can tell of itself.
///
/// - Source: etcd `etcdhttp/base.go` `serveVars`, `pkg/debugutil/pprof.go`; Go's `expvar` and
///   `runtime.MemStats` for the names.
struct DebugEndpoints: Sendable {
  static let profilePath = "/debug/pprof"
  let member: RunningMember

  func registerVariables(in router: inout HTTPRouter) {
    router.add(nil, "/debug/vars") { exchange, _ in
      guard exchange.requireMethod("GET") else { return }
      exchange.respond(
        status: 200, headers: ["Content-Type": "application/json; charset=utf-8"],
        body: variables())
    }
  }

  func registerProfiles(in router: inout HTTPRouter) {
    router.add(nil, "\(Self.profilePath)/") { exchange, path in
      guard path == Self.profilePath + "/" else {
        return exchange.refuse(404, "Unknown profile")
      }
      exchange.respond(
        status: 200, headers: ["Content-Type": "text/html; charset=utf-8"], body: Self.index)
    }
    router.add(nil, "\(Self.profilePath)/cmdline") { exchange, _ in
      exchange.respond(status: 200, text: Swift.CommandLine.arguments.joined(separator: "\0"))
    }
    // No names can be looked up; the answer is what pprof takes for that.
    router.add(nil, "\(Self.profilePath)/symbol") { exchange, _ in
      exchange.respond(status: 200, text: "num_symbols: 0\n")
    }
    router.add(nil, "\(Self.profilePath)/heap") { exchange, _ in
      exchange.respond(status: 200, text: Self.heap)
    }
    for name in ["threadcreate", "goroutine"] {
      router.add(nil, "\(Self.profilePath)/\(name)") { exchange, _ in
        exchange.respond(status: 200, text: ProcessFacts.threads.map { "\($0)\n" }.joined())
      }
    }
    DebugProfile(member: member).register(in: &router)
    for name in ["trace", "block", "mutex"] {
      router.add(nil, "\(Self.profilePath)/\(name)") { exchange, _ in
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
      ("times", "What log and backend have waited for, and processor time by thread, as JSON"),
    ]
    let rows = names.map { "<li><a href='\($0)'>\($0)</a>: \($1)</li>\n" }.joined()
    return Bytes(
      "<html>\n<head><title>\(profilePath)/</title></head>\n<body>\n\(profilePath)/<br>\n<ul>\n"
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

  /// One object, its members in the order of their names.
  private func variables() -> Bytes {
    let memory = ProcessFacts.memory
    let statistics: JSONValue = [
      "Alloc": .number("\(memory.allocated)"), "Sys": .number("\(memory.fromSystem)"),
      "HeapAlloc": .number("\(memory.allocated)"), "HeapSys": .number("\(memory.fromSystem)"),
      "HeapIdle": .number("\(memory.idle)"), "HeapInuse": .number("\(memory.allocated)"),
      "NumGC": .number("0"), "PauseTotalNs": .number("0"),
    ]
    let arguments = Swift.CommandLine.arguments.map { JSONValue.string($0) }
    var writer = ByteWriter(capacity: 1024)
    writer.append("{\n\"cmdline\": ")
    writer.append(JSONValue.array(arguments).encoded())
    writer.append(
      ",\n\"file_descriptor_limit\": \(descriptorLimit.map { UInt64(clamping: $0) } ?? .max)")
    writer.append(",\n\"memstats\": ")
    writer.append(statistics.encoded())
    writer.append(",\n\"raft.status\": ")
    writer.append(raftStatus.encoded())
    writer.append("\n}\n")
    return writer.finish()
  }

  private var raftStatus: JSONValue {
    let status = member.host.status
    return [
      "id": .string(member.host.memberID.hex), "term": .number("\(status.term)"),
      "commit": .number("\(status.commitIndex)"),
      "lead": .string(status.leader.hex), "raftState": .string("\(status.role)"),
      "applied": .number("\(status.appliedIndex)"),
    ]
  }
}
