import Bytes
import EventLoops
import TestSupport
import Testing

@testable import TLS

/// Handshakes and channels over memory: who gets in, what the others are told, and that nothing is lost,
/// however it is cut.
@Suite struct ChannelTests {
  @Test(arguments: [Int.max, 1, 7, 1_000])
  func bothSidesTalkHoweverBytesAreCut(_ step: Int) async throws {
    let texts = try await withLoop { loop in
      let hands = try Handshakes(
        loop, try Fixture.server(), try Fixture.client(), protocols: ["h2"])
      await hands.run(step: step)
      hands.clientChannel?.write(["hello ", "server"])
      hands.serverChannel?.write("hello client")
      await hands.run(step: step)
      return [hands.server.text, hands.client.text]
    }
    #expect(texts == ["hello server", "hello client"])
  }

  /// As in Go: the root that both trust is known to both.
  @Test func whatIsShownIsWhatTheFilesHold() async throws {
    let (byServer, byClient) = try await withLoop { loop in
      let all = try Fixture.all.get()
      let server = try Fixture.server {
        $0.trustedCAFile = all.authority.certificate
        $0.clientCertificateAuth = true
      }
      let hands = try Handshakes(loop, server, try Fixture.client(all.client))
      await hands.run()
      return (
        try #require(hands.clientChannel as? TLSChannel).session.peerSerials,
        try #require(hands.serverChannel as? TLSChannel).session.peerSerials
      )
    }
    #expect(Set(byServer).count == 1)
    #expect(Set(byClient).count == 1)
  }

  @Test func oneSideTakesItsTimeAndTheOtherWaits() async throws {
    let (delivered, atMost, whole, isWritable) = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await hands.run()
      let channel = try #require(hands.clientChannel)
      let part = Bytes(Array(repeating: UInt8(ascii: "x"), count: 3_000_000))
      channel.write(part)
      channel.write("end")
      await hands.turn()
      await hands.turn()
      let atMost = hands.clientEnd.pendingWriteBytes
      #expect(!channel.isWritable && hands.client.writable == 0)
      hands.serverChannel?.pauseReading()
      for _ in 0..<8 {
        hands.clientEnd.deliver(65_536)
        await hands.turn()
      }
      let delivered = hands.server.count
      hands.serverChannel?.resumeReading()
      await hands.run(step: 65_536)
      return (delivered, atMost, hands.server.count, hands.client.writable)
    }
    #expect(delivered == 0, "a paused channel got something")
    #expect(atMost < 700_000, "\(atMost) bytes were encrypted ahead")
    #expect(whole == 3_000_003)
    #expect(isWritable == 1)
  }

  @Test func aCloseIsToldAndALostConnectionIsNot() async throws {
    let (orderly, lost, cut) = try await withLoop { loop in
      let first = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await first.run()
      first.serverChannel?.write("bye")
      first.serverChannel?.closeAfterFlush()
      await first.run()
      let second = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await second.run()
      // The socket ends without a word of TLS.
      second.serverEnd.closeAfterFlush()
      await second.run()
      let third = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await third.run()
      third.serverChannel?.write("whole")
      await third.turn()
      third.serverEnd.deliver(10)
      third.serverEnd.closeAfterFlush()
      third.clientEnd.handler?.channelReadEnded()
      await third.run()
      return (
        "\(first.client.text) \(first.client.isEnded) \(first.client.isClosed)",
        second.client.error.map { "\($0)" }, third.client.error.map { "\($0)" }
      )
    }
    #expect(orderly == "bye true false")
    #expect(lost == "unexpected EOF" && cut == "unexpected EOF")
  }

  @Test func aChangedRecordEndsTheConnection() async throws {
    let (error, text) = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await hands.run()
      // A record of application data with a length and rubbish.
      hands.clientEnd.inject(Bytes([23, 3, 3, 0, 32] + Array(repeating: 7, count: 32)))
      await hands.run()
      return (hands.server.error.map { "\($0)" }, hands.clientError)
    }
    #expect(error == "local error: tls: bad record MAC")
    #expect(text == "remote error: tls: bad record MAC")
  }

  @Test func aRecordLongerThanAllowedEndsTheConnection() async throws {
    let error = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await hands.run()
      hands.clientEnd.inject([23, 3, 3, 255, 255])
      hands.clientEnd.inject(Bytes(Array(repeating: 7, count: 65_535)))
      await hands.run()
      return hands.server.error
    }
    #expect(error != nil)
  }

  @Test func halfAHandshakeIsNotWaitedForForEver() async throws {
    let rejection = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), nil)
      hands.clientEnd.inject([22, 3, 1, 1, 0, 1])
      hands.clientEnd.deliver()
      hands.clientEnd.closeAfterFlush()
      await hands.run()
      return hands.rejection
    }
    #expect(rejection?.reason == "EOF" && rejection?.isQuiet == true)
  }

  /// - Source: etcd GHSA-6vch-q96h-7gc3.
  @Test func aSilentClientIsGivenUp() async throws {
    let failure = try await withLoop { loop in
      let session = try TLSSession(
        try TLSMaterial(try Fixture.server()).current, .server, now: 0)
      let failure: TLSHandshake.Failure? = await withCheckedContinuation { continuation in
        var isOver = false
        func end(_ failure: TLSHandshake.Failure?) {
          if !isOver { continuation.resume(returning: failure) }
          isOver = true
        }
        let handshake = TLSHandshake(MemoryChannel(loop), session, timeout: .milliseconds(20)) {
          if case .failure(let error) = $0 { end(error.failure) }
        }
        handshake.begin()
        loop.schedule(after: .seconds(20)) {
          _ = handshake
          end(nil)
        }
      }
      return failure
    }
    #expect(failure == .timedOut)
  }

  @Test func aSilentClientLosesItsPlaceToALaterOne() async throws {
    let (count, isFirstClosed) = try await withLoop { loop in
      let desk = HandshakeDesk(loop: loop)
      let material = try TLSMaterial(try Fixture.server())
      var ends: [MemoryChannel] = []
      for _ in 0...HandshakeDesk.handshakesMax {
        let end = MemoryChannel(loop)
        ends.append(end)
        let handshake = TLSHandshake(
          end, try TLSSession(material.current, .server, now: 0), timeout: .seconds(60)
        ) { _ in }
        _ = desk.enter(handshake)
        handshake.begin()
      }
      return (desk.count, ends.map(\.isClosing))
    }
    #expect(count == HandshakeDesk.handshakesMax)
    #expect(isFirstClosed[0] && !isFirstClosed.dropFirst().contains(true))
  }

  @Test(arguments: ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "abc"])
  func plainTextIsToldSo(_ text: String) async throws {
    let (answer, rejection) = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), nil)
      hands.clientEnd.handler = hands.client
      hands.clientEnd.start()
      hands.clientEnd.inject(Bytes(text))
      await hands.run()
      return (hands.client.text, hands.rejection)
    }
    #expect(rejection?.reason == "tls: first record does not look like a TLS handshake")
    #expect(
      answer.contains("Client sent an HTTP request to an HTTPS server.") == text.hasPrefix("GET"))
  }

  @Test func aMovedChannelGoesOn() async throws {
    let text = try await withLoop { loop in
      let hands = try Handshakes(loop, try Fixture.server(), try Fixture.client())
      await hands.run()
      let kept = LoopConfined(hands)
      hands.clientChannel?.write("before")
      await hands.run()
      hands.serverChannel?.move(to: loop) { moved in
        moved.handler = kept.value.server
        moved.start()
      }
      hands.clientChannel?.write(" after")
      await hands.run()
      return hands.server.text
    }
    #expect(text == "before after")
  }
}
