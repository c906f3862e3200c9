import Bytes
import EventLoops
import Foundation
import Synchronization
import Testing

@testable import FaultRelay

/// The relay with sockets.
@Suite struct RelayTests {
  /// Collects what a channel gets.
  private final class Collector: ByteChannelHandler, @unchecked Sendable {
    // @unchecked: the loop writes, the test reads behind the mutex.
    let text = Mutex("")
    let isClosed = Mutex(false)
    let error = Mutex<ChannelError?>(nil)
    func channelRead(_ bytes: Bytes) { text.withLock { $0 += bytes.string } }
    func channelReadEnded() { isClosed.withLock { $0 = true } }
    func channelWritable() {}
    func channelClosed(_ error: ChannelError?) {
      self.error.withLock { $0 = error }
      isClosed.withLock { $0 = true }
    }
    /// Whether it ended as a broken connection does.
    var isBroken: Bool {
      error.withLock { error in
        guard case .system(_, let reason) = error else { return false }
        return reason.code == ECONNRESET
      }
    }
  }

  private final class Parts: @unchecked Sendable {
    // @unchecked: confined to the loop but for the collectors.
    var relay: Relay?
    var inner: Listener?
    var client: (any ByteChannel)?
    let server = Collector()
    let dialler = Collector()
    var port = 0
  }

  private func eventually(_ condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + .seconds(10)
    while !condition() {
      if ContinuousClock.now > end { return false }
      usleep(1_000)
    }
    return true
  }

  /// A client that says hello through a relay to an inner listener.
  private func connected(_ loop: EventLoop) -> Parts {
    let parts = Parts()
    loop.execute {
      let relay = Relay(loop: loop)
      parts.relay = relay
      parts.inner = try? Listener(
        loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0), policy: .plain
      ) { channel in
        channel.handler = parts.server
        channel.start()
      }
      let port = (try? relay.listen(0, for: "m1", inner: parts.inner?.address.port ?? 0)) ?? 0
      parts.port = port
      Connection.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop, policy: .plain, timeout: .seconds(5)
      ) { result in
        guard case .success(let channel) = result else { return }
        parts.client = channel
        channel.handler = parts.dialler
        channel.start()
        channel.write(Bytes("hello"))
      }
    }
    return parts
  }

  /// A loop, to be stopped, and on it such a client whose hello has arrived.
  private func greeted() -> (EventLoop, Parts) {
    let loop = EventLoop(name: "relay")
    loop.start()
    let parts = connected(loop)
    #expect(eventually { parts.server.text.withLock { $0 == "hello" } })
    return (loop, parts)
  }

  private func link() -> Link { Link(from: .clients, to: .member("m1")) }

  @Test func bytesPassAndAreHeldByDirection() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    let isCut = Mutex(false)
    loop.execute {
      parts.relay?.apply([link: LinkRule(cut: .hold)])
      parts.client?.write(Bytes(" there"))
      isCut.withLock { $0 = true }
    }
    #expect(eventually { isCut.withLock { $0 } })
    // Another round through the loop and the sockets, before it is healed.
    #expect(parts.server.text.withLock { $0 == "hello" })
    loop.execute { parts.relay?.apply([:]) }
    #expect(eventually { parts.server.text.withLock { $0 == "hello there" } })
  }

  @Test func swallowedStreamsAreClosedWhenTheyAreHealed() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    loop.execute {
      parts.relay?.apply([link: LinkRule(cut: .swallow)])
      parts.client?.write(Bytes("lost"))
      loop.schedule(after: .milliseconds(50)) { parts.relay?.apply([:]) }
    }
    #expect(eventually { parts.dialler.isClosed.withLock { $0 } })
    #expect(parts.server.text.withLock { $0 == "hello" })
  }

  @Test func refusedConnectionsAreClosed() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    loop.execute {
      parts.relay?.apply([link.reversed: LinkRule(cut: .refuse)])
    }
    #expect(eventually { parts.dialler.isBroken })
    #expect(eventually { parts.server.isBroken })
  }

  @Test func resetConnectionsAreBroken() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    loop.execute { parts.relay?.reset(link.reversed) }
    #expect(eventually { parts.dialler.isBroken && parts.server.isBroken })
  }

  /// One end goes while its link is held: the other hears of it when the cut ends, not before.
  @Test func whatIsHalfOpenStaysSo() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    let round = Mutex(false)
    loop.execute {
      parts.relay?.apply([link: LinkRule(cut: .hold)])
      parts.client?.abort()
      loop.schedule(after: .milliseconds(100)) { round.withLock { $0 = true } }
    }
    #expect(eventually { round.withLock { $0 } })
    #expect(!parts.server.isClosed.withLock { $0 })
    loop.execute { parts.relay?.apply([:]) }
    #expect(eventually { parts.server.isClosed.withLock { $0 } })
  }

  /// Behind a cut nobody sees that nobody listens; without one the connection is refused.
  @Test func whoIsGoneIsSilentBehindACut() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let link = link()
    let other = Collector()
    let round = Mutex(false)
    loop.execute {
      parts.inner?.close()
      parts.relay?.apply([link.reversed: LinkRule(cut: .swallow)])
      Connection.connect(
        to: .tcp(host: "127.0.0.1", port: parts.port), loop: loop, policy: .plain,
        timeout: .seconds(5)
      ) { result in
        guard case .success(let channel) = result else { return }
        channel.handler = other
        channel.start()
        channel.write(Bytes("anybody?"))
        loop.schedule(after: .milliseconds(100)) { round.withLock { $0 = true } }
      }
    }
    #expect(eventually { round.withLock { $0 } })
    #expect(!other.isClosed.withLock { $0 })
    loop.execute { parts.relay?.apply([:]) }
    #expect(eventually { other.isBroken })
  }

  /// This process dials: it is whom the relay takes for the member.
  @Test(.enabled(if: Relay.knowsOwners, "this system does not say who owns a socket"))
  func theDiallerIsTheOwnerOfTheSocket() {
    let (loop, parts) = greeted()
    defer { loop.stop() }
    let own = ProcessInfo.processInfo.processIdentifier
    loop.execute {
      parts.relay?.processes = ["m2": own]
      Connection.connect(
        to: .tcp(host: "127.0.0.1", port: parts.port), loop: loop, policy: .plain,
        timeout: .seconds(5)
      ) { _ in }
    }
    let members = Mutex(0)
    #expect(
      eventually {
        loop.execute { members.withLock { $0 = parts.relay?.accepted.members ?? 0 } }
        return members.withLock { $0 == 1 }
      })
  }
}
