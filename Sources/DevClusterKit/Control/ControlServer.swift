import EventLoops
import JSON

/// The control sockets, in the directory and where this user's clusters are listed: turns what other processes
/// ask into requests with a ticket each, and answers them. Confined to its loop.
final class ControlServer: @unchecked Sendable {
  // @unchecked: confined to its loop, which runs the listeners' calls.
  private let onRequest: (ControlRequest, FleetLife.Ticket) -> Void
  private var listeners: [Listener] = []
  private var connections: [FleetLife.Ticket: ControlConnection] = [:]
  private var lastTicket = 0

  /// - Parameters:
  ///   - paths: of the sockets.
  ///   - onRequest: gets each request; `answer` is called for it later, or at once.
  /// - Throws: `ChannelError` when a socket cannot be bound.
  init(
    loop: EventLoop, paths: [String],
    onRequest: @escaping (ControlRequest, FleetLife.Ticket) -> Void
  ) throws(ChannelError) {
    self.onRequest = onRequest
    for path in paths {
      listeners.append(
        try Listener(loop: loop, endpoint: .unix(path: path), policy: .plain) {
          [weak self] connection in self?.accept(connection)
        })
    }
  }

  private func accept(_ connection: any ByteChannel) {
    lastTicket += 1
    let ticket = lastTicket
    connections[ticket] = ControlConnection(
      connection, onRequest: { [weak self] request in self?.onRequest(request, ticket) },
      onClose: { [weak self] in self?.connections[ticket] = nil })
  }

  /// Nothing happens when who asked is gone.
  func answer(_ ticket: FleetLife.Ticket, _ answer: JSONObject) {
    connections[ticket]?.send(answer)
  }

  /// No further requests; answers still leave.
  func close() {
    for listener in listeners { listener.close() }
    listeners = []
  }
}
