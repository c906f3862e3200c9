import Bytes
import EventLoops

/// The open HTTP/1 server connections of some listeners, so that a server can end them gracefully. Any
/// thread; what becomes of one connection is `HTTP1Life`'s matter.
///
/// - Source: Go's `http.Server.Shutdown`, which etcd calls for client, metrics and peer listeners.
public final class HTTPConnections: Sendable {
  private let connections = OpenConnections<HTTP1ServerConnection>()

  public init() {}

  /// Open connections.
  public var count: Int { connections.count }

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
    connection.onClosed = { [weak self] in self?.connections.remove(id) }
    let (_, isLate) = connections.add(connection) { _, _ in true }
    if !initial.isEmpty { connection.channelRead(initial) }
    // Accepted just before the listeners closed: what it asks is answered, as for the others.
    if isLate { connection.drain() }
  }

  /// Closes idle connections, and others after their current answer; what is still open after `grace` is
  /// aborted. Returns when all are closed. The listeners should be closed before.
  public func shutDown(grace: Duration) async {
    await connections.drain { connection in
      let loop = connection.channel.loop
      loop.execute {
        connection.drain()
        guard !connection.channel.isClosed else { return }
        loop.schedule(after: grace) { connection.channel.abort() }
      }
    }
  }
}
