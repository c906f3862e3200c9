import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// Connections spread over several loops: requests of all kinds, answered on the loop that asked.
@Suite(.serialized) struct ClientLoopsTests {
  typealias API = Etcdserverpb

  /// Clock ticks that each thread of a process has used, by name.
  private func threads(_ pid: Int32) -> [String: Int] {
    var found: [String: Int] = [:]
    let folder = "/proc/\(pid)/task"
    for task in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      let stat = (try? String(contentsOfFile: "\(folder)/\(task)/stat", encoding: .utf8)) ?? ""
      guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")") else {
        continue
      }
      let fields = stat[close...].split(separator: " ")
      guard fields.count > 13, let user = Int(fields[12]), let system = Int(fields[13]) else {
        continue
      }
      found[String(stat[stat.index(after: open)..<close]), default: 0] += user + system
    }
    return found
  }

  @Test func everyLoopServesItsOwnConnections() async throws {
    let cluster = Cluster(
      Array(repeating: Binaries.ours, count: 3), extra: ["--experimental-client-loops", "3"])
    try cluster.start()
    let member = cluster.members[0]
    let ports = cluster.members.map(\.clientPort)
    try await withLoop { loop in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<9 {
          group.addTask {
            let client = try await GRPCClient.connect(
              to: .tcp(host: "127.0.0.1", port: ports[number % 3]), loop: loop)
            let key = Bytes("key\(number)")
            func ask(_ path: String, _ request: Bytes) async throws -> Bytes {
              try await client.unary(path, request, timeout: .seconds(30)).message
            }
            let lease = Int64(number + 1)
            _ = try await ask(
              API.LeaseService.leaseGrant.path,
              API.LeaseGrantRequest(ttl: 600, id: lease).encoded())
            for round in 0..<60 {
              let put = API.PutRequest(key: key, value: Bytes("\(round)"), lease: lease)
              _ = try await ask(API.KVService.put.path, put.encoded())
              // Linearizable: what was just written, wherever it is read.
              let read = try API.RangeResponse.decode(
                try await ask(API.KVService.range.path, API.RangeRequest(key: key).encoded()))
              #expect(read.kvs.first?.value == Bytes("\(round)"), "\(key) round \(round)")
            }
            let times = try API.LeaseTimeToLiveResponse.decode(
              try await ask(
                API.LeaseService.leaseTimeToLive.path,
                API.LeaseTimeToLiveRequest(id: lease, keys: true).encoded()))
            #expect(times.keys == [key])
            client.abort()
          }
        }
        try await group.waitForAll()
      }
    }
    let busy = threads(member.pid).filter { $0.key.hasPrefix("etcd-client") }
    #expect(busy.count == 3, "\(busy)")
    #expect(member.isRunning)
    member.stop()
    #expect(!member.log.contains("Fatal"), "\(member.log.suffix(2000))")
  }
}
