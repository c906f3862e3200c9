import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import Glibc
import HTTP
import Protobuf
import TestSupport
import Testing

/// A real cluster of three that is attacked, and what must hold of it afterwards: every process lives, the
/// leader is the one it was, every member serves, and memory stays within a bound.
final class Victims {
  let cluster: Cluster
  private let scratch = Scratch()
  private var processes: [Int32]
  /// The leader's name before the attack.
  let leader: String
  private let memory: [Int]

  /// - Parameters:
  ///   - each: flags of a member by its number.
  ///   - descriptors: limit of open files of each member.
  init(
    members: Int = 3, extra: [String] = [], each: (Int) -> [String] = { _ in [] },
    descriptors: Int? = nil
  ) throws {
    var binary = Binaries.ours
    if let descriptors {
      // The shell becomes the member, which keeps its process id.
      binary = scratch.path + "/limited"
      try "#!/bin/sh\nulimit -n \(descriptors)\nexec '\(Binaries.ours)' \"$@\"\n"
        .write(toFile: binary, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: binary)
    }
    // Quick hashing and the usual clock: a debug build on a busy machine must not lose its leader alone.
    cluster = Cluster(
      Array(repeating: binary, count: members),
      extra: ["--bcrypt-cost", "4", "--election-timeout", "3000", "--heartbeat-interval", "100"]
        + extra, each: each)
    try cluster.start()
    processes = cluster.members.map(\.pid)
    leader = Self.leader(cluster)
    memory = cluster.members.map { Self.residentBytes($0.pid) }
    #expect(!leader.isEmpty)
  }

  private static func leader(_ cluster: Cluster) -> String {
    cluster.members.first {
      httpGet("\($0.endpoint)/metrics")?.contains("\netcd_server_is_leader 1\n") == true
    }?.name ?? ""
  }

  static func residentBytes(_ pid: Int32) -> Int {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) * 1024
  }

  /// A member was started again on purpose: its process is another.
  func forget(_ member: Member) {
    for (at, other) in cluster.members.enumerated() where other === member {
      processes[at] = other.pid
    }
  }

  /// Checks that nobody died, lost the leadership, or stopped to serve.
  /// - Parameters:
  ///   - memoryMax: bytes that each member may have grown by.
  ///   - isServing: whether writes are possible; not with an alarm.
  func check(
    memoryMax: Int? = nil, isServing: Bool = true, _ location: SourceLocation = #_sourceLocation
  ) throws {
    for (member, pid) in zip(cluster.members, processes) {
      #expect(
        member.isRunning && member.pid == pid, "\(member.name) ended: \(member.log.suffix(1500))",
        sourceLocation: location)
      #expect(
        httpGet("\(member.endpoint)/health")?.contains("\"health\":\"\(isServing)\"") == true,
        "\(member.name) does not serve", sourceLocation: location)
    }
    #expect(Self.leader(cluster) == leader, "the leader changed", sourceLocation: location)
    guard let memoryMax else { return }
    for (member, before) in zip(cluster.members, memory) {
      let grown = Self.residentBytes(member.pid) - before
      #expect(
        grown < memoryMax, "\(member.name) grew by \(grown >> 20) MiB", sourceLocation: location)
    }
  }
}

/// A plain TCP connection, for bytes that no client would send. Blocking; every wait has a limit.
final class Attacker {
  private let descriptor: Int32

  /// - Throws: when nobody listens.
  init(port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var wait = timeval(tv_sec: 5, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, size)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw NotHealthy(description: "port \(port) refuses: \(errno)") }
  }

  deinit { close(descriptor) }

  /// Sends as much as the other side takes without waiting. - Returns: bytes taken.
  func pour(_ bytes: [UInt8]) -> Int {
    let sent = Glibc.send(
      descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    return max(sent, 0)
  }

  /// Sends everything, or less when the other side stops to read or closes.
  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// What comes within the limit; empty at the end.
  func receive() -> String {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
  }

  /// At most so many bytes that come within the limit; none at the end.
  func bytes(_ most: Int) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: most)
    let count = recv(descriptor, &buffer, most, 0)
    return count > 0 ? Array(buffer[..<count]) : []
  }

  /// Everything until the other side closes, or sends nothing within the limit.
  func receiveAll() -> String {
    var text = ""
    while true {
      let piece = receive()
      if piece.isEmpty { return text }
      text += piece
    }
  }
}

extension GRPCClient {
  /// Connects to a port of a test member.
  static func attack(_ port: Int, _ loop: EventLoop) async throws -> GRPCClient {
    try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop)
  }

  /// Puts `k00000000` and on, a hundred a transaction.
  func fill(keys: Int, lease: Int64 = 0) async throws {
    for start in stride(from: 0, to: keys, by: 100) {
      let puts = (start..<min(start + 100, keys)).map { number in
        let digits = String(number)
        let key = "k" + String(repeating: "0", count: 8 - digits.count) + digits
        return Etcdserverpb.RequestOp(
          request: .requestPut(
            Etcdserverpb.PutRequest(
              key: Bytes(key), value: Bytes("\(number &* 7919 % 10_007)"), lease: lease)))
      }
      _ = try await unary(
        Etcdserverpb.KVService.txn.path, Etcdserverpb.TxnRequest(success: puts).encoded(),
        timeout: .seconds(60))
    }
  }
}

/// Puts values of a mebibyte, all at once, the clients in turn.
/// - Returns: how many were refused for want of room.
func putsRefusedForRoom(_ count: Int, by clients: [GRPCClient]) async -> Int {
  let value = Bytes([UInt8](repeating: 7, count: 1 << 20))
  return await withTaskGroup(of: Bool.self) { group in
    for number in 0..<count {
      let client = clients[number % clients.count]
      group.addTask {
        let put = Etcdserverpb.PutRequest(key: Bytes("big\(number)"), value: value)
        do {
          _ = try await client.unary(
            Etcdserverpb.KVService.put.path, put.encoded(), timeout: .seconds(60))
          return false
        } catch { return "\(error)".contains("database space exceeded") }
      }
    }
    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
  }
}

extension Member {
  /// Seconds of the longest turn of a loop since the page was asked for last.
  func longestTurn(loop: String) -> Double {
    Self.longestTurns(httpGet("\(endpoint)/metrics") ?? "")[loop] ?? 99
  }

  /// Seconds of the longest turns by loop, as a page of metrics says them.
  static func longestTurns(_ page: String) -> [String: Double] {
    let line = /etcd_debugging_loop_longest_turn_seconds\{loop="([^"]+)"\} (\S+)/
    return Dictionary(
      page.matches(of: line).map { (String($0.1), Double($0.2) ?? 99) }, uniquingKeysWith: max)
  }
}

/// Waits until something holds.
/// - Throws: after `seconds`.
func eventually(_ what: String, seconds: TimeInterval = 20, _ holds: () throws -> Bool) throws {
  let deadline = Date().addingTimeInterval(seconds)
  while try !holds() {
    guard Date() < deadline else { throw NotHealthy(description: "\(what) does not come") }
    usleep(20_000)
  }
}
