import EventLoops
import Glibc
import GoText
import TestSupport
import Testing

@testable import Proxies

/// The gateway with sockets: once with pipes, once with buffers.
@Suite(.serialized) struct GatewayTests {
  private static func eventually(_ condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(20)
    while !condition() {
      if ContinuousClock.now > end { return false }
      usleep(1_000)
    }
    return true
  }

  /// A gateway in front of servers on these ports.
  private static func gateway(
    _ ports: [Int], usesPipes: Bool = true, interval: Duration = .seconds(60)
  ) throws -> (gateway: Gateway, port: Int) {
    let gateway = Gateway(
      ports.map { Remote(host: "127.0.0.1", port: UInt16($0)) }, interval: interval,
      logger: .disabled, loops: 2,
      capacity: usesPipes ? nil : GatewayCapacity(connections: 512, pipesPerLoop: 0))
    try gateway.start(try #require(HostPort("127.0.0.1:0")))
    gateway.open()
    return (gateway, try #require(gateway.address?.port))
  }

  /// A client and the server's end of its connection.
  private static func joined(
    usesPipes: Bool, _ body: (_ client: RawSocket, _ server: RawSocket) throws -> Void
  ) throws {
    let listener = RawSocket.listening()
    let (gateway, port) = try gateway([listener.port], usesPipes: usesPipes)
    defer { gateway.stop() }
    let client = RawSocket.connected(to: port)
    try body(client, listener.accepted())
  }

  @Test(arguments: [true, false]) func anEndIsPassedOnAndTheOtherDirectionStaysOpen(
    _ usesPipes: Bool
  ) throws {
    try Self.joined(usesPipes: usesPipes) { client, server in
      client.send("question")
      #expect(server.receive().text == "question")
      client.endOutput()
      #expect(server.receive() == .end)
      server.send("answer")
      #expect(client.receive().text == "answer")
      server.endOutput()
      #expect(client.receive() == .end)
    }
    try Self.joined(usesPipes: usesPipes) { client, server in
      server.endOutput()
      #expect(client.receive() == .end)
      client.send("more")
      #expect(server.receive().text == "more")
      client.endOutput()
      #expect(server.receive() == .end)
    }
  }

  @Test(arguments: [true, false]) func aBrokenConnectionBreaksTheOther(_ usesPipes: Bool) throws {
    for breaker in ["client", "server"] {
      let listener = RawSocket.listening()
      let (gateway, port) = try Self.gateway([listener.port], usesPipes: usesPipes)
      defer { gateway.stop() }
      var client: RawSocket? = .connected(to: port)
      var server: RawSocket? = listener.accepted()
      client?.send("x")
      #expect(server?.receive().text == "x")
      if breaker == "client" {
        client?.breakAtEnd()
        client = nil
        #expect(server?.receive() == .broken)
      } else {
        server?.breakAtEnd()
        server = nil
        #expect(client?.receive() == .broken)
      }
      #expect(Self.eventually { gateway.connections == 0 })
    }
  }

  /// Broken after one side has ended: nobody would write there any more and find it out.
  @Test func aBrokenConnectionIsSeenBehindAnEnd() throws {
    let listener = RawSocket.listening()
    let (gateway, port) = try Self.gateway([listener.port])
    defer { gateway.stop() }
    var client: RawSocket? = .connected(to: port)
    let server = listener.accepted()
    client?.endOutput()
    #expect(server.receive() == .end)
    client?.breakAtEnd()
    client = nil
    #expect(Self.eventually { gateway.connections == 0 })
    #expect(server.receiveAll().how == .end || !server.send("x") || !server.send("y"))
  }

  @Test(arguments: [true, false]) func whoeverDoesNotReadHoldsUpTheOther(_ usesPipes: Bool) throws {
    try Self.joined(usesPipes: usesPipes) { client, server in
      let piece = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      var sent: [UInt8] = []
      var silence = 0
      // Until nothing was taken for a while.
      while silence < 300, sent.count < 256 << 20 {
        let count = client.sendWhatFits(piece)
        if count > 0 {
          sent += piece.prefix(count)
          silence = 0
        } else {
          silence += 1
          usleep(1_000)
        }
      }
      #expect(sent.count < 64 << 20, "so much was taken for a server that does not read")
      client.endOutput()
      let (received, how) = server.receiveAll()
      #expect(how == .end && received == sent)
    }
  }

  @Test(arguments: [true, false]) func bytesPassInBothDirectionsAtOnce(_ usesPipes: Bool) throws {
    try Self.joined(usesPipes: usesPipes) { client, server in
      var random = SeededGenerator(state: 7)
      let bytes = (0..<(8 << 20)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let other = Array(bytes.reversed())
      inParallelThreads([
        {
          #expect(client.send(bytes))
          client.endOutput()
        },
        {
          #expect(server.send(other))
          server.endOutput()
        },
        { #expect(server.receiveAll().bytes == bytes) },
        { #expect(client.receiveAll().bytes == other) },
      ])
    }
  }

  @Test func whatIsClosedGivesEverythingBack() throws {
    let listener = RawSocket.listening()
    let (gateway, port) = try Self.gateway([listener.port])
    let before = RawSocket.openCount
    for round in 0..<3 {
      var pairs = (0..<100).map { _ in (RawSocket.connected(to: port), listener.accepted()) }
      #expect(Self.eventually { gateway.connections == 100 })
      // Bytes that nobody reads lie in pipes of their own.
      let piece = [UInt8](repeating: 1, count: 1 << 20)
      for pair in pairs where round == 1 { while pair.0.sendWhatFits(piece) > 0 {} }
      pairs = []
      #expect(Self.eventually { gateway.connections == 0 })
    }
    // A few empty pipes stay for the next.
    #expect(RawSocket.openCount <= before + 2 * 2 * 8)
    gateway.stop()
    #expect(RawSocket.openCount <= before)
  }

  @Test func aServerThatDoesNotAnswerIsTriedAgainLater() throws {
    let listener = RawSocket.listening()
    var dead: RawSocket? = .listening()
    let deadPort = try #require(dead?.port)
    dead = nil
    let (gateway, port) = try Self.gateway(
      [deadPort, listener.port], interval: .milliseconds(50))
    defer { gateway.stop() }
    for _ in 0..<4 {
      let client = RawSocket.connected(to: port)
      client.send("x")
      #expect(listener.accepted().receive().text == "x")
    }
    let revived = RawSocket.listening(deadPort)
    // The gateway's own look at it.
    _ = revived.accepted()
    #expect(
      Self.eventually {
        let client = RawSocket.connected(to: port)
        var entry = pollfd(fd: revived.descriptor, events: Int16(POLLIN), revents: 0)
        defer { withExtendedLifetime(client) {} }
        return poll(&entry, 1, 50) == 1
      })
  }

  @Test func withoutAServerTheConnectionCloses() throws {
    let (gateway, port) = try Self.gateway([1])
    defer { gateway.stop() }
    #expect(RawSocket.connected(to: port).receive() == .end)
    #expect(RawSocket.connected(to: port).receive() == .end)
  }

  @Test func aStopEndsConnections() throws {
    let listener = RawSocket.listening()
    let (gateway, port) = try Self.gateway([listener.port])
    let client = RawSocket.connected(to: port)
    let server = listener.accepted()
    client.send("x")
    #expect(server.receive().text == "x")
    gateway.stop()
    #expect(client.receive() == .end && server.receive() == .end)
  }

  @Test func aTakenPortIsRefusedInGosWords() throws {
    let taken = RawSocket.listening()
    let gateway = Gateway(
      [Remote(host: "127.0.0.1", port: 1)], interval: .seconds(1), logger: .disabled)
    let listen = try #require(HostPort("127.0.0.1:\(taken.port)"))
    #expect(
      throws: GatewayRefusal(
        error: "listen tcp 127.0.0.1:\(taken.port): bind: address already in use\n")
    ) { try gateway.start(listen) }
  }
}

/// Runs each on a thread of its own and waits for all.
private func inParallelThreads(_ bodies: [@Sendable () -> Void]) {
  inParallel(bodies.count) { bodies[$0]() }
}
