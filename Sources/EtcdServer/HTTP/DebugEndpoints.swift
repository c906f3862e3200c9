import Bytes
import EtcdAPI
import EventLoops
import HTTP
import JSON
import Member
import Platform
import Protobuf

/// `/debug/vars`, and below `/debug/pprof/` what a member can tell of itself.
///
/// - Source: etcd `etcdhttp/base.go` `serveVars`, `pkg/debugutil/pprof.go`; Go's `expvar` and
///   `runtime.MemStats` for the names.
struct DebugEndpoints: Sendable {
  static let profilePath = ProcessPages.path
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
    ProcessPages().register(in: &router)
    DebugProfile(member: member).register(in: &router)
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
