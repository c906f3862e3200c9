import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

/// Attacks that want work, memory or disk of a real cluster, and what is left of them afterwards (CASES.md, S
/// rows). The bounds count bytes and the longest turns of loops, as the members measure them.
@Suite(.serialized) struct HostileLoadTests {
  typealias API = Etcdserverpb

  private static let loadGenerator = "/usr/bin/h2load"

  /// S5: messages of two kilobytes that become two megabytes, on two connections as fast as they are taken.
  @Test(.enabled(if: Binaries.isThere(loadGenerator)))
  func packedMessagesHoldNobodyUp() async throws {
    let victims = try Victims()
    let members = victims.cluster.members
    // Just small enough to be unpacked whole, and too large for a request.
    let put = API.PutRequest(
      key: "packed", value: Bytes([UInt8](repeating: 0, count: 2_000_000)))
    let packed = try #require(GzipCoding.compress([put.encoded()]))
    #expect(packed.count < 4_000)
    var frame = ByteWriter(capacity: packed.count + 5)
    frame.append(UInt8(1))
    frame.appendBigEndian(UInt32(packed.count))
    frame.append(packed)
    let body = victims.cluster.scratch.path + "/packed"
    try Data(Array(frame.finish())).write(to: URL(fileURLWithPath: body))
    for member in members { _ = member.longestTurn(loop: "etcd-peer") }

    let count = 600
    let port = members[0].clientPort
    let isOver = Mutex(false)
    let flood = Task.detached {
      defer { isOver.withLock { $0 = true } }
      return run(
        Self.loadGenerator,
        [
          "-n", "\(count)", "-c", "2", "-m", "20", "-d", body, "-H",
          "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-encoding: gzip",
          "http://127.0.0.1:\(port)/etcdserverpb.KV/Put",
        ], timeout: 120)
    }
    let (gap, served) = try await withLoop { loop in
      try await Self.longestGap(port, loop) { isOver.withLock { $0 } }
    }
    let answer = await flood.value
    #expect(served > 20)
    // Each was unpacked and refused by its size.
    #expect(answer.output.contains("\(count) succeeded, 0 failed"), "\(answer.output)")
    for member in members {
      #expect(member.longestTurn(loop: "etcd-peer") < 0.5, "peers waited for an inflation")
    }
    print("longest time without an answer: \(gap), \(served) served")
    #expect(gap < .seconds(3))
    try victims.check(memoryMax: 96 << 20)
    #expect(victims.cluster.ctl(["get", "packed"]).output.isEmpty)
  }

  /// S9: hashes of everything, beside a snapshot that goes to a member and one that comes from it.
  @Test(.enabled(if: Binaries.ctl35 != nil))
  func hashesBesideSnapshotsHoldNobodyUp() async throws {
    let victims = try Victims(
      extra: ["--snapshot-count", "20", "--experimental-snapshot-catchup-entries", "5"])
    let members = victims.cluster.members
    let leader = try #require(members.first { $0.name == victims.leader })
    let joiner = try #require(members.first { $0.name != victims.leader })
    let (sender, receiver) = (leader.clientPort, joiner.clientPort)
    joiner.stop()
    try await withLoop { loop in
      let client = try await GRPCClient.attack(sender, loop)
      defer { client.abort() }
      let value = Bytes([UInt8](repeating: 7, count: 500_000))
      for number in 0..<60 {
        let put = API.PutRequest(key: Bytes("big\(number)"), value: value)
        _ = try await client.unary(
          API.KVService.put.path, put.encoded(), timeout: .seconds(20))
      }
    }
    for member in members where member.isRunning { _ = member.longestTurn(loop: "etcd-peer") }
    joiner.start()
    // Who sends is asked at once, who receives as soon as it serves.
    let hashes = try await withLoop { loop in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<8 {
          group.addTask { try await Self.hashes(number % 2 == 0 ? sender : receiver, loop) }
        }
        return try await group.reduce(0, +)
      }
    }
    #expect(hashes == 80)
    try joiner.waitHealthy()
    for member in members {
      #expect(member.longestTurn(loop: "etcd-peer") < 0.5, "\(member.name): peers waited")
    }
    #expect(joiner.log.contains("applied snapshot"))
    #expect(Set(members.map { hashKV($0, revision: 60) }).count == 1)
    victims.forget(joiner)
    try victims.check()
  }

  /// S11: what streams without end and answers that nobody reads took is given back when they are gone.
  @Test func aFloodsMemoryIsGivenBack() async throws {
    let victims = try Victims(members: 1)
    let member = victims.cluster.members[0]
    let port = member.clientPort
    let pid = member.pid
    let before = Victims.residentBytes(pid)
    var most = try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      for _ in 0..<20_000 { _ = try await client.stream(API.WatchService.watch.path) }
      // Behind this answer all of them have arrived.
      _ = try await client.unary(
        API.KVService.range.path, API.RangeRequest(key: "k").encoded(), timeout: .seconds(60))
      defer { client.abort() }
      return Victims.residentBytes(pid)
    }
    #expect(most - before > 16 << 20, "20,000 streams took \((most - before) >> 10) KiB")
    let request = Array("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
    let block = Array(repeating: request, count: 500).flatMap { $0 }
    do {
      let attackers = try (0..<20).map { _ in try Attacker(port: port) }
      for _ in 0..<50 { for attacker in attackers { _ = attacker.pour(block) } }
      #expect(httpGet("\(member.endpoint)/version") != nil)
      most = max(most, Victims.residentBytes(member.pid))
    }
    try eventually("the memory", seconds: 10) {
      Victims.residentBytes(member.pid) - before < 32 << 20
    }
    print(
      "before \(before >> 20), most \(most >> 20), after \(Victims.residentBytes(member.pid) >> 20) MiB"
    )
    try victims.check(memoryMax: 32 << 20)
  }

  /// S12: three members take large puts at once; what each knows to be under way counts, and one alarm is
  /// raised for all that is refused.
  @Test func theQuotaBoundsTheFilesOfAll() async throws {
    let quota = 16 << 20
    let victims = try Victims(extra: ["--quota-backend-bytes", "\(quota)"])
    let members = victims.cluster.members
    let ports = members.map(\.clientPort)
    let refused = try await withLoop { loop in
      var clients: [GRPCClient] = []
      for port in ports { clients.append(try await GRPCClient.attack(port, loop)) }
      defer { for client in clients { client.abort() } }
      return await putsRefusedForRoom(90, by: clients)
    }
    print("\(refused) of 90 were refused")
    #expect(refused > 30)
    try victims.check(isServing: false)
    for member in members {
      let file = member.directory + "/member/snap/db"
      let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
      // Each counts what it proposes itself, and learns of the others' puts as they are applied.
      #expect(size < quota + (32 << 20), "\(member.name): \(size >> 20) MiB")
      let lines = member.log.split(separator: "\n").filter { $0.contains("alarm raised") }
      #expect(lines.count <= 3, "\(lines.count) lines about one alarm")
    }
  }

  /// Asks a member for ten hashes, from when it serves.
  private static func hashes(_ port: Int, _ loop: EventLoop) async throws -> Int {
    var done = 0
    for _ in 0..<600 where done < 10 {
      do {
        let hasher = try await GRPCClient.attack(port, loop)
        defer { hasher.abort() }
        while done < 10 {
          _ = try await hasher.unary(
            API.MaintenanceService.hashKV.path, API.HashKVRequest().encoded(),
            timeout: .seconds(30))
          done += 1
        }
      } catch { try await Task.sleep(for: .milliseconds(20)) }
    }
    return done
  }

  /// The longest time that a client waits for a small answer until `isOver`, and how many it got.
  private static func longestGap(
    _ port: Int, _ loop: EventLoop, until isOver: () -> Bool
  ) async throws -> (Duration, served: Int) {
    let client = try await GRPCClient.attack(port, loop)
    defer { client.abort() }
    var longest = Duration.zero
    var served = 0
    while !isOver() {
      let start = ContinuousClock.now
      _ = try await client.unary(
        API.KVService.range.path, API.RangeRequest(key: "k").encoded(), timeout: .seconds(30))
      longest = max(longest, ContinuousClock.now - start)
      served += 1
    }
    return (longest, served)
  }
}
