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

/// Acknowledged writes: the largest sequence number of each key.
final class Ledger: Sendable {
  private let state = Mutex<(acknowledged: [String: Int], attempted: [String: Int], total: Int)>(
    ([:], [:], 0))
  func attempt(_ key: String, _ number: Int) { state.withLock { $0.attempted[key] = number } }
  func acknowledge(_ key: String, _ number: Int) {
    state.withLock {
      $0.acknowledged[key] = number
      $0.total += 1
    }
  }
  var all: (acknowledged: [String: Int], attempted: [String: Int], total: Int) {
    state.withLock { $0 }
  }

  /// Every member has every acknowledged write, and all have the same history.
  func check(_ members: [Member]) throws {
    let (acknowledged, attempted, _) = all
    let ctl = try #require(Binaries.ctl34 ?? Binaries.ctl35)
    for member in members {
      for (key, number) in acknowledged {
        let read = run(ctl, ["--endpoints", member.endpoint, "get", key, "--print-value-only"])
        let value = Int(read.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
        #expect(value >= number, "\(key) on \(member.name): \(value), acknowledged \(number)")
        #expect(value <= attempted[key] ?? 0)
      }
    }
    try expectEqualHashes(members)
  }
}

/// All members have the same history up to the newest revision of the first one.
func expectEqualHashes(_ members: [Member]) throws {
  let status = run(
    try #require(Binaries.ctl34 ?? Binaries.ctl35),
    ["--endpoints", members[0].endpoint, "get", "any", "-w", "json"] + members[0].security.ctl)
  let revision = try #require(
    status.output.firstMatch(of: /"revision":(\d+)/).flatMap { Int($0.1) }, "\(status)")
  let hashes = Dictionary(
    members.map { ($0.name, hashKV($0, revision: revision)) }, uniquingKeysWith: { $1 })
  #expect(Set(hashes.values).count == 1, "members disagree at \(revision): \(hashes)")
}

/// Puts increasing numbers into one key until told to stop; connects again when the member died.
func writeNumbers(
  _ key: String, to port: Int, _ loop: EventLoop, _ ledger: Ledger, _ stop: StopFlag
) async {
  var number = 0
  while !stop.isSet {
    guard
      let client = try? await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop)
    else {
      try? await Task.sleep(for: .milliseconds(20))
      continue
    }
    while !stop.isSet {
      number += 1
      ledger.attempt(key, number)
      let put = Etcdserverpb.PutRequest(key: Bytes(key), value: Bytes("\(number)"))
      do {
        _ = try await client.unary(
          Etcdserverpb.KVService.put.path, put.encoded(), timeout: .seconds(3))
        ledger.acknowledge(key, number)
      } catch { break }
    }
    client.abort()
  }
}

/// Tells tasks to end.
final class StopFlag: Sendable {
  private let flag = Mutex(false)
  var isSet: Bool { flag.withLock { $0 } }
  func set() { flag.withLock { $0 = true } }
}

/// Puts `key0`…`key99` round and round with values that count up, several at a time; the last ones
/// in order.
func putMany(_ count: Int, to member: Member) async throws {
  let loop = EventLoop(name: "put-many")
  loop.start()
  let client = try await GRPCClient.connect(
    to: .tcp(host: "127.0.0.1", port: member.clientPort), loop: loop)
  func put(_ number: Int) async throws {
    let request = Etcdserverpb.PutRequest(
      key: Bytes("key\(number % 100)"), value: Bytes("value\(number)"))
    _ = try await client.unary(
      Etcdserverpb.KVService.put.path, request.encoded(), timeout: .seconds(20))
  }
  for start in stride(from: 0, to: count, by: 100) {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in start..<min(start + 100, count) { group.addTask { try await put(number) } }
      try await group.waitForAll()
    }
  }
  client.abort()
  loop.stop()
}
