import Foundation
import TestSupport
import Testing

/// What the flags of keepalive change at both sides of `etcd grpc-proxy`, seen by the frames of HTTP/2 alone; beside Go's
/// proxy, as far as that has the flags.
@Suite(.serialized) struct GRPCProxyKeepaliveTests {
  private typealias Process = GRPCProxyProcessTests

  private static let proxies = [Binaries.ours, Binaries.go35].compactMap { $0 }

  private let cluster: Cluster

  init() throws {
    cluster = Cluster([Binaries.ours])
    try cluster.start()
  }

  private func proxy(
    _ flags: [String], _ program: String = Binaries.ours
  ) throws -> (process: ServerProcess, port: Int) {
    let (process, address) = try Process.proxy(
      cluster.scratch, cluster.members[0].endpoint, flags, program: program)
    return (process, try #require(Int(address.split(separator: ":")[1])))
  }

  /// A client of HTTP/2 that does nothing by itself.
  private struct RawClient {
    enum Event: Equatable {
      case ping
      case goAway(String)
      case other(UInt8)
      case ended
      /// Nothing came for 5 s.
      case silence
    }

    private let socket: Attacker
    private var buffer: [UInt8] = []

    init(port: Int) throws {
      socket = try Attacker(port: port)
      socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
      frame(4, 0, [])
    }

    /// - Parameter stream: 0 for the connection.
    func frame(_ type: UInt8, _ flags: UInt8, _ payload: [UInt8], stream: UInt8 = 0) {
      socket.send([0, 0, UInt8(payload.count), type, flags, 0, 0, 0, stream] + payload)
    }

    /// A call of Watch that has sent nothing yet.
    /// - Source: RFC 7541 §6.2.2 for literal fields, RFC 9113 §8.3.1 for what must be there.
    func openWatch() {
      var block: [UInt8] = [0x83, 0x86]
      for (name, value) in [
        (":path", "/etcdserverpb.Watch/Watch"), (":authority", "x"),
        ("content-type", "application/grpc"), ("te", "trailers"),
      ] {
        block += [0, UInt8(name.utf8.count)] + Array(name.utf8)
        block += [UInt8(value.utf8.count)] + Array(value.utf8)
      }
      frame(1, 4, block, stream: 1)
    }

    func ping() { frame(6, 0, [UInt8](repeating: 7, count: 8)) }

    /// - Parameter acknowledges: whether pings are answered.
    mutating func next(acknowledges: Bool) -> Event {
      while true {
        if buffer.count >= 9 {
          let length = Int(buffer[0]) << 16 | Int(buffer[1]) << 8 | Int(buffer[2])
          if buffer.count >= 9 + length {
            let (type, flags) = (buffer[3], buffer[4])
            let payload = Array(buffer[9..<9 + length])
            buffer.removeFirst(9 + length)
            switch type {
            case 6 where flags & 1 == 0:
              if acknowledges { frame(6, 1, payload) }
              return .ping
            case 7: return .goAway(String(decoding: payload.dropFirst(8), as: UTF8.self))
            default: return .other(type)
            }
          }
        }
        let start = ContinuousClock.now
        let more = socket.bytes(65_536)
        if more.isEmpty { return start.duration(to: .now) > .seconds(4) ? .silence : .ended }
        buffer += more
      }
    }

    /// All until the connection is over, is silent, or `count` pings have come.
    mutating func events(acknowledges: Bool, pings count: Int = .max) -> [Event] {
      var events: [Event] = []
      while events.last != .ended, events.last != .silence,
        events.count(where: { $0 == .ping }) < count
      {
        events.append(next(acknowledges: acknowledges))
      }
      return events.filter { if case .other = $0 { false } else { true } }
    }
  }

  /// `--grpc-keepalive-interval` and `--grpc-keepalive-timeout`: silent clients are asked, and given up.
  @Test(arguments: proxies) func silentClientsAreGivenUp(_ program: String) throws {
    let asking = try proxy(
      ["--grpc-keepalive-interval=1s", "--grpc-keepalive-timeout=1s"], program)
    let start = ContinuousClock.now
    var silent = try RawClient(port: asking.port)
    let events = silent.events(acknowledges: false)
    let time = start.duration(to: .now)
    #expect(events.first == .ping && events.last == .ended, "\(events)")
    #expect(time >= .seconds(1.5) && time < .seconds(10), "\(time)")
    // Who answers stays.
    var alive = try RawClient(port: asking.port)
    #expect(alive.events(acknowledges: true, pings: 4) == [.ping, .ping, .ping, .ping])
    asking.process.end()
    // With a long timeout a silent one stays, too, and by default nobody is asked.
    let patient = try proxy(
      ["--grpc-keepalive-interval=1s", "--grpc-keepalive-timeout=1h"], program)
    var waiting = try RawClient(port: patient.port)
    #expect(waiting.events(acknowledges: false).last == .silence)
    patient.process.end()
    let plain = try proxy([], program)
    var quiet = try RawClient(port: plain.port)
    #expect(quiet.events(acknowledges: false) == [.silence])
    plain.process.end()
  }

  /// `--grpc-keepalive-min-time`: clients that ping more often are sent away.
  @Test(arguments: proxies) func hastyClientsAreSentAway(_ program: String) throws {
    // A watch that goes on, for without a call every ping is one too many.
    func pinging(_ flags: [String]) throws -> [RawClient.Event] {
      let (process, port) = try proxy(flags, program)
      defer { process.end() }
      var client = try RawClient(port: port)
      client.openWatch()
      for _ in 0..<8 {
        client.ping()
        usleep(100_000)
      }
      return client.events(acknowledges: true)
    }
    let strict = try pinging(["--grpc-keepalive-min-time=1m"])
    #expect(strict == [.goAway("too_many_pings"), .ended], "\(strict)")
    #expect(try pinging(["--grpc-keepalive-min-time=1ms"]) == [.silence])
  }

  /// A member that takes connections and says nothing: each ping that comes is a line.
  private static let member = """
    import socket, sys, threading
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("ready", flush=True)
    def serve(connection):
      data = b""
      connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
      def need(count):
        nonlocal data
        while len(data) < count:
          more = connection.recv(65536)
          if not more: sys.exit()
          data += more
        found, data = data[:count], data[count:]
        return found
      need(24)
      while True:
        head = need(9)
        body = need(int.from_bytes(head[:3], "big"))
        if head[3] == 4 and not head[4] & 1: connection.sendall(bytes([0, 0, 0, 4, 1, 0, 0, 0, 0]))
        if head[3] == 6 and not head[4] & 1:
          print("ping", flush=True)
          connection.sendall(bytes([0, 0, 8, 6, 1, 0, 0, 0, 0]) + body)
        if head[3] == 1: print("call", flush=True)
        if head[3] == 3: print("reset", flush=True)
    while True:
      connection, _ = listener.accept()
      threading.Thread(target=serve, args=(connection,), daemon=True).start()
    """

  /// `--permit-without-stream`: members are asked whether they are there while nobody calls, too.
  @Test func membersAreAskedWithoutCalls() throws {
    func lines(_ running: Running, _ word: String) -> Int {
      running.output.split(separator: "\n").count { $0 == word }
    }
    var fakes: [(member: Running, proxy: ServerProcess)] = []
    for flags in [[], ["--permit-without-stream"]] {
      let port = freePorts(1)[0]
      let member = try Running("/usr/bin/python3", ["-c", Self.member, "\(port)"], [:])
      try member.wait(for: "ready")
      let (process, address) = try Process.proxy(
        cluster.scratch, "127.0.0.1:\(port)", ["--dial-keepalive-time=10s"] + flags)
      let given = run(
        Binaries.ourCtl, ["--endpoints=\(address)", "--command-timeout=1s", "get", "k"])
      #expect(given.status != 0)
      try member.wait(for: "call")
      try member.wait(for: "reset")
      fakes.append((member, process))
    }
    // gRPC pings every ten seconds at most; the one beside it says when.
    try eventually("pings come", seconds: 40) { lines(fakes[1].member, "ping") >= 2 }
    #expect(lines(fakes[0].member, "ping") == 0)
    for fake in fakes { fake.proxy.end() }
  }
}
