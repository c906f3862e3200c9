import Foundation
import Glibc
import TestSupport
import Testing

/// What a client of the JSON gateway may try: the member lives, refuses cleanly, and keeps its memory.
@Suite(.serialized) struct HostileGatewayTests {
  private static let memoryMax = 96 << 20

  private func head(_ path: String, _ fields: String) -> String {
    "POST \(path) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n"
  }

  private func withVictim(_ body: (Int) throws -> Void) throws {
    let victims = try Victims(members: 1)
    try body(victims.cluster.members[0].clientPort)
    try victims.check(memoryMax: Self.memoryMax)
  }

  /// Pours until the other side closes, or for five seconds. - Returns: whether it closed.
  private func pour(_ attacker: Attacker, _ piece: [UInt8]) -> Bool {
    let end = Date().addingTimeInterval(5)
    while Date() < end {
      if !attacker.send(piece) { return true }
    }
    return false
  }

  /// What comes behind the limit is thrown away for a moment, and then the connection ends.
  @Test func aBodyOfAGibibyte() throws {
    try withVictim { port in
      let value = Array(repeating: UInt8(ascii: "A"), count: 1 << 20)
      for path in ["/v3/kv/put", "/v3/watch", "/v3/lease/keepalive", "/v3/election/observe"] {
        for fields in ["Content-Length: 1073741824000", "Transfer-Encoding: chunked"] {
          let attacker = try Attacker(port: port)
          attacker.send(head(path, fields))
          if fields.hasPrefix("T") { attacker.send("7000000000\r\n") }
          attacker.send(#"{"key":""#)
          #expect(pour(attacker, value), "\(path) \(fields)")
        }
      }
    }
  }

  /// Refusals say what is wrong as long as somebody listens.
  @Test func refusalsAreTold() throws {
    try withVictim { port in
      let announced = try Attacker(port: port)
      announced.send(head("/v3/kv/put", "Content-Length: 1073741824"))
      #expect(announced.receive().contains("429 Too Many Requests"))
      let deep = String(repeating: "[", count: 100_000)
      for path in ["/v3/kv/put", "/v3/watch"] {
        let attacker = try Attacker(port: port)
        attacker.send(head(path, "Content-Length: \(deep.count)") + deep)
        #expect(attacker.receive().contains("JSON nested too deep"))
      }
      let text = Array(#"{"name":""#.utf8) + [0xff, 0xfe] + Array(#""}"#.utf8)
      let attacker = try Attacker(port: port)
      attacker.send(head("/v3/auth/user/get", "Content-Length: \(text.count)"))
      attacker.send(text)
      #expect(attacker.receive().contains("400 Bad Request"))
    }
  }

  /// Requests of a stream that come for ever, and whose answers nobody reads.
  @Test func aStreamThatNeverEnds() throws {
    try withVictim { port in
      let request = Array(#"{"ID":"1"} "#.utf8)
      let many = Array(repeating: request, count: 5_000).flatMap { $0 }
      let chunk = Array("\(String(many.count, radix: 16))\r\n".utf8) + many + Array("\r\n".utf8)
      let spaces =
        Array("4000\r\n".utf8) + Array(repeating: 0x20, count: 0x4000) + Array("\r\n".utf8)
      let nothing = Array(repeating: Array("{}".utf8), count: 8_192).flatMap { $0 }
      let nothings = Array("4000\r\n".utf8) + nothing + Array("\r\n".utf8)
      for (path, piece) in [
        ("/v3/lease/keepalive", chunk), ("/v3/watch", spaces), ("/v3/lease/keepalive", nothings),
      ] {
        let attacker = try Attacker(port: port)
        attacker.send(head(path, "Transfer-Encoding: chunked"))
        let end = Date().addingTimeInterval(3)
        var sent = 0
        while Date() < end {
          let count = attacker.pour(piece)
          // A part of a chunk would break the coding.
          if count > 0, count < piece.count { attacker.send(Array(piece[count...])) }
          if count == 0 { usleep(10_000) }
          sent += count
        }
        #expect(sent > 0)
      }
    }
  }

  /// Ten thousand watches on one stream.
  @Test func manyWatchesOnAStream() throws {
    try withVictim { port in
      let attacker = try Attacker(port: port)
      let request = #"{"create_request":{"key":"YQ=="}}"#
      let body = String(repeating: request, count: 10_000)
      attacker.send(head("/v3/watch", "Content-Length: \(body.utf8.count)"))
      // The other side waits when nobody reads, so both go on at a time.
      let bytes = Array(body.utf8)
      var sent = 0
      var answers = 0
      let end = Date().addingTimeInterval(20)
      while answers < 10_000, Date() < end {
        if sent < bytes.count { sent += attacker.pour(Array(bytes[sent...].prefix(65_536))) }
        answers += attacker.receive().matches(of: #/"created":true/#).count
      }
      #expect(answers > 9_900)
    }
  }

  @Test func websocketsThatLie() throws {
    try withVictim { port in
      let mask: [UInt8] = [0, 0, 0, 0]
      let lies: [([UInt8], Int)] = [
        // A message of 2^62 bytes, one of a gibibyte, a negative one.
        ([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0] + mask, 1009),
        ([0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0] + mask, 1009),
        ([0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0] + mask, 1002),
        // No mask, reserved bits, no such kind, a long ping, a continuation of nothing.
        ([0x81, 0x01, 0x7b], 1002), ([0xf1, 0x81] + mask + [0x7b], 1002),
        ([0x85, 0x81] + mask + [0x7b], 1002), ([0x89, 0xfe, 1, 0] + mask, 1002),
        ([0x80, 0x81] + mask + [0x7b], 1002),
      ]
      for (bytes, status) in lies {
        let socket = try TestWebSocket(port: port, path: "/v3/watch")
        socket.pour(bytes)
        #expect(try socket.end() == status, "\(bytes)")
      }
      // Parts without end.
      let socket = try TestWebSocket(port: port, path: "/v3/watch")
      let part = [UInt8](repeating: 0x20, count: 60_000)
      socket.write(0x01, Array("{".utf8))
      for _ in 0..<200 { socket.write(0x00, part) }
      #expect(try socket.end() == 1009)
      // Pings whose pongs nobody reads, and a message that does not go on.
      let silent = try Attacker(port: port)
      silent.send(
        "GET /v3/watch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
      silent.send("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n")
      let ping = [0x89, 0xfd] + mask + [UInt8](repeating: 7, count: 125)
      let pings = Array(repeating: ping, count: 1_000).flatMap { $0 }
      let end = Date().addingTimeInterval(3)
      while Date() < end { if silent.pour(pings) == 0 { usleep(1_000) } }
      silent.send([0x81, 0xfe, 0xff])
    }
  }

  /// Bodies that begin and do not end share what all may have.
  @Test func manyBodiesThatDoNotEnd() throws {
    let victims = try Victims(members: 1)
    let member = victims.cluster.members[0]
    let attackers = try (0..<300).map { _ in try Attacker(port: member.clientPort) }
    for attacker in attackers {
      attacker.send(head("/v3/kv/put", "Content-Length: 2000000"))
    }
    let piece = [UInt8](repeating: 0x20, count: 100_000)
    var poured = 0
    for _ in 0..<19 { for attacker in attackers { poured += attacker.pour(piece) } }
    #expect(poured > 300 << 20, "\(poured >> 20) MiB were taken by the system or the member")
    // 256 MiB are what bodies may have; somebody else is served beside them.
    try victims.check(memoryMax: (256 + 96) << 20)
  }

  /// Clients that leave in the middle, without a word, take their descriptors with them.
  @Test func whoLeavesLeavesNothing() throws {
    let victims = try Victims(members: 1, descriptors: 300)
    let member = victims.cluster.members[0]
    let port = member.clientPort
    // Just above what the loop reads by itself (Gateway.inlineBytesMax): threads read this one.
    let large = #"{"key":""# + String(repeating: "QUFB", count: 17_000) + #""}"#
    let ways = [
      // A body that is cut, a large one that is whole and whose sender does not wait, a websocket.
      head("/v3/kv/put", "Content-Length: 100") + "{",
      head("/v3/kv/range", "Content-Length: \(large.utf8.count)") + large,
      "GET /v3/watch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
      head("/v3/watch", "Transfer-Encoding: chunked") + "1\r\n{\r\n",
    ]
    for way in ways {
      for _ in 0..<3 {
        // Fewer at a time than the member takes, and more in all.
        let attackers = try (0..<80).map { _ in try Attacker(port: port) }
        for attacker in attackers { #expect(attacker.send(way)) }
        if way.hasPrefix("GET") {
          for attacker in attackers { #expect(attacker.receive().contains("101 Switching")) }
        }
      }
      let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(member.pid)/fd")
      print("\(open.count) descriptors")
      // What was sent whole is read whole: a debug build takes long for it.
      try eventually("room for clients", seconds: 90) {
        httpGet("\(member.endpoint)/version") != nil
      }
    }
    try eventually("the end of all") {
      try FileManager.default.contentsOfDirectory(atPath: "/proc/\(member.pid)/fd").count < 80
    }
    try victims.check(memoryMax: Self.memoryMax)
  }

  /// Large values on a stream are read by threads: other clients of the loop do not wait for them.
  @Test func largeValuesOfAStreamHoldNobodyUp() throws {
    let victims = try Victims(members: 1)
    let member = victims.cluster.members[0]
    let attacker = try Attacker(port: member.clientPort)
    let numbers = String(repeating: "1,", count: 400_000)
    let value = #"{"create_request":{"key":["# + numbers + "1]}}"
    attacker.send(head("/v3/watch", "Content-Length: \(value.utf8.count * 3)"))
    _ = member.longestTurn(loop: "etcd-peer")
    for _ in 0..<3 { attacker.send(value) }
    #expect(attacker.receive().contains("200 OK"))
    let turns = Member.longestTurns(httpGet("\(member.endpoint)/metrics") ?? "")
    let longest = turns.filter { $0.key.hasPrefix("etcd-client") }.values.max()
    #expect(longest ?? 99 < 1, "\(turns)")
    try victims.check(memoryMax: Self.memoryMax)
  }
}
