import CSplice
import EventLoops
import Platform

/// The connections through the gateway that a loop serves. What happens to their sockets is told by a poller of the
/// system that lies within the loop's own: it is asked to watch a socket once, and tells changes. Confined to its loop.
///
/// Unsafe: the poller fills an array.
final class RelayDesk: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `init`, `add` and `close`.

  let loop: EventLoop
  var carriers: CarrierPool
  private let poller: Int32
  private var watch: DescriptorWatch?
  private var pairs: [UInt64: SocketPair] = [:]
  private var nextToken: UInt64 = 0
  private var isClosed = false
  private var events = [splice_event](repeating: splice_event(), count: eventsPerTurn)

  /// Sockets that are looked at before others of the loop have their turn.
  private static let eventsPerTurn = 64

  /// - Parameter pipesMax: pipes at a time; further bytes wait in buffers.
  /// - Throws: what the system says.
  init(_ loop: EventLoop, pipesMax: Int) throws(SystemError) {
    loop.preconditionCurrent()
    self.loop = loop
    carriers = CarrierPool(pipesMax: pipesMax)
    poller = splice_poller()
    guard poller >= 0 else { throw .last }
    do throws(UVError) {
      watch = try DescriptorWatch(loop: loop, descriptor: poller) { [unowned self] in changes() }
    } catch {
      Descriptor.close(poller)
      throw SystemError(error.code)
    }
  }

  /// Connections that are open.
  var count: Int { pairs.count }

  /// Moves bytes between two sockets from now on.
  func add(_ client: DetachedSocket, _ server: DetachedSocket) {
    loop.preconditionCurrent()
    // A server may answer after the end.
    guard !isClosed else {
      client.close()
      return server.close()
    }
    nextToken &+= 1
    let token = nextToken
    let pair = SocketPair(client, server, token: token, desk: self)
    pairs[token] = pair
    let isWatched =
      splice_watch(poller, client.descriptor, token << 1) == 0
      && splice_watch(poller, server.descriptor, token << 1 | 1) == 0
    if isWatched { pair.pump() } else { pair.close() }
  }

  func closed(_ token: UInt64) { pairs[token] = nil }

  private func changes() {
    let count = events.withUnsafeMutableBufferPointer {
      Int(splice_wait(poller, $0.baseAddress, Int32($0.count)))
    }
    for event in events.prefix(count) {
      // One that was closed by an event before is not there any more.
      pairs[event.token >> 1]?.changed(
        Int(event.token & 1), isReadable: event.readable != 0, isWritable: event.writable != 0,
        isBroken: event.failed != 0)
    }
  }

  /// Ends all connections.
  func close() {
    loop.preconditionCurrent()
    isClosed = true
    for pair in pairs.values { pair.close() }
    watch?.cancel()
    watch = nil
    // libuv has forgotten it when the turn is over.
    loop.execute { [poller] in Descriptor.close(poller) }
  }
}
