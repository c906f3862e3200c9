import Bytes
import EventLoops
import Synchronization

/// The open HTTP/1 server connections of some listeners, so that a server can end them gracefully. Any
/// thread; what becomes of one connection is `HTTP1Life`'s matter.
///
/// - Source: Go's `http.Server.Shutdown`, which etcd calls for client, metrics and peer listeners.
public final class HTTPConnections: Sendable {
  private struct State {
    var open: [ObjectIdentifier: HTTP1ServerConnection] = [:]
    var isDraining = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  public init() {}

  /// Open connections.
  public var count: Int { state.withLock { $0.open.count } }

  /// Serves a channel, on its loop.
  /// - Parameters:
  ///   - initial: bytes that protocol detection has read.
  ///   - handler: called on the loop with each request.
  public func serve(
    _ channel: any ByteChannel, initial: Bytes = Bytes(),
    handler: @escaping (HTTPExchange) -> Void
  ) {
    channel.loop.preconditionCurrent()
    let connection = HTTP1ServerConnection(channel: channel, handler: handler)
    let id = ObjectIdentifier(connection)
    connection.onClosed = { [weak self] in self?.closed(id) }
    let isLate = state.withLock { state in
      state.open[id] = connection
      return state.isDraining
    }
    if !initial.isEmpty { connection.channelRead(initial) }
    // Accepted just before the listeners closed: what it asks is answered, as for the others.
    if isLate { connection.drain() }
  }

  private func closed(_ id: ObjectIdentifier) {
    let waiting = state.withLock { state in
      state.open[id] = nil
      guard state.open.isEmpty else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Closes idle connections, and others after their current answer; what is still open after `grace` is
  /// aborted. Returns when all are closed. The listeners should be closed before.
  public func shutDown(grace: Duration) async {
    await withCheckedContinuation { done in
      let open = state.withLock { state -> [HTTP1ServerConnection] in
        state.isDraining = true
        if !state.open.isEmpty { state.waiting.append(done) }
        return Array(state.open.values)
      }
      if open.isEmpty { done.resume() }
      for connection in open {
        let loop = connection.channel.loop
        loop.execute {
          connection.drain()
          guard !connection.channel.isClosed else { return }
          loop.schedule(after: grace) { connection.channel.abort() }
        }
      }
    }
  }
}
