import Bytes
import Calls
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// Nothing that a stranger sends ends the server, and what it opened is closed again.
@Suite(.serialized) struct BadInputTests {
  /// A plain TCP connection.
  final class Socket {
    let descriptor: Int32
    init(port: Int) throws {
      descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      try #require(result == 0, "connect to \(port): errno \(errno)")
      var timeout = timeval(tv_sec: 5, tv_usec: 0)
      setsockopt(
        descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }
    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
      _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
    func send(_ text: String) { send(Array(text.utf8)) }

    /// What comes until the other side closes or five seconds pass.
    func receive(_ limit: Int = 65536) -> String {
      var all: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      while all.count < limit {
        let n = recv(descriptor, &buffer, buffer.count, 0)
        if n <= 0 { break }
        all += buffer[..<n]
        if String(decoding: all, as: UTF8.self).contains("\r\n\r\n") { break }
      }
      return String(decoding: all, as: UTF8.self)
    }
  }

  static func openFiles(_ pid: Int32) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? -1
  }

  @Test func strangersOnBothPorts() async throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let before = Self.openFiles(member.pid)
    for port in [member.clientPort, member.peerPort] {
      #expect(try request(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").contains("404"))
      #expect(
        try request(port, "POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
          .contains("405"))
      #expect(
        try request(
          port,
          "GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ).contains("400"))
      #expect(try request(port, "NONSENSE\r\n\r\n").contains("400"))
      #expect(
        try request(port, "GET /" + String(repeating: "a", count: 200_000) + " HTTP/1.1\r\n\r\n")
          .contains("HTTP/1.1 4"))
      // After the preface: frames that are none, a frame larger than allowed, silence.
      for _ in 0..<40 {
        let socket = try Socket(port: port)
        if Bool.random(using: &random) { socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }
        let count = Int.random(in: 1..<3000, using: &random)
        socket.send((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
      }
      for _ in 0..<20 { _ = try Socket(port: port) }
      let halfOpen = try Socket(port: port)
      halfOpen.send("GET /health HTT")
    }
    #expect(member.isRunning)
    #expect(httpGet("\(member.endpoint)/health")?.contains("true") == true)
    // Every connection of this test is closed here; the server must let go of its ends too.
    let deadline = Date().addingTimeInterval(20)
    while Self.openFiles(member.pid) > before + 1, Date() < deadline { usleep(50_000) }
    #expect(Self.openFiles(member.pid) <= before + 1)
  }

  private func request(_ port: Int, _ text: String) throws -> String {
    let socket = try Socket(port: port)
    socket.send(text)
    return socket.receive()
  }

  /// Random bytes and boundary values to every unary method; the answer is a status.
  @Test func malformedMessages() async throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let loop = EventLoop(name: "bad-input")
    loop.start()
    let client = try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: member.clientPort), loop: loop)
    typealias Maintenance = Etcdserverpb.MaintenanceService
    let methods =
      Etcdserverpb.KVService.methods
      + [Maintenance.alarm, Maintenance.hashKV, Maintenance.moveLeader, Maintenance.status]
      + [Etcdserverpb.ClusterService.memberList]
    for method in methods where !method.serverStreaming {
      for round in 0..<40 {
        var bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        if round % 2 == 0 {
          // A field of each number with the largest and smallest values.
          bytes = []
          for field in 1...13 where Bool.random(using: &random) {
            bytes += [UInt8(field << 3)] + [UInt8](repeating: 0xff, count: 9) + [1]
          }
        }
        do { _ = try await client.unary(method.path, Bytes(bytes), timeout: .seconds(5)) } catch {
          #expect(error is GRPCStatus)
        }
      }
    }
    do {
      _ = try await client.unary("/etcdserverpb.KV/Nothing", Bytes())
      Issue.record("an unknown method was served")
    } catch let status as GRPCStatus {
      #expect(
        status == GRPCStatus(.unimplemented, "unknown method Nothing for service etcdserverpb.KV"))
    }
    // Larger than a request may be, and larger than a message may be.
    for size in [1_600_000, 3_000_000] {
      let put = Etcdserverpb.PutRequest(key: "k", value: Bytes(repeatElement(7, count: size)))
      do {
        _ = try await client.unary(Etcdserverpb.KVService.put.path, put.encoded())
        Issue.record("\(size) bytes were taken")
      } catch let status as GRPCStatus {
        let message = status.message
        #expect(
          message == "etcdserver: request is too large"
            || message.contains("larger than max"), "\(message)")
      }
    }
    client.abort()
    loop.stop()
    #expect(member.isRunning)
    #expect(httpGet("\(member.endpoint)/health")?.contains("true") == true)
  }
}
