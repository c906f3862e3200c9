import EventLoops
import JSON

/// The control socket: turns what other processes ask into requests with a ticket each, and answers them.
/// Confined to its loop.
final class ControlServer: @unchecked Sendable {
  // @unchecked: confined to its loop, which runs the listener's calls.
  private let onRequest: (ControlRequest, FleetLife.Ticket) -> Void
  private var listener: Listener?
  private var connections: [FleetLife.Ticket: ControlConnection] = [:]
  /// Guardians, told of every change.
  private var watchers: Set<FleetLife.Ticket> = []
  private var lastTicket = 0

  /// - Parameter onRequest: gets each request; `answer` is called for it later, or at once.
  /// - Throws: `ChannelError` when the socket cannot be bound.
  init(
    loop: EventLoop, onRequest: @escaping (ControlRequest, FleetLife.Ticket) -> Void
  ) throws(ChannelError) {
    self.onRequest = onRequest
    listener = try Listener(
      loop: loop, endpoint: .unix(path: RunDirectory.controlSocket), policy: .plain
    ) { [weak self] connection in self?.accept(connection) }
  }

  private func accept(_ connection: any ByteChannel) {
    lastTicket += 1
    let ticket = lastTicket
    connections[ticket] = ControlConnection(
      connection,
      onRequest: { [weak self] request, _ in self?.onRequest(request, ticket) },
      onClose: { [weak self] _ in
        self?.connections[ticket] = nil
        self?.watchers.remove(ticket)
      })
  }

  /// Nothing happens when who asked is gone.
  func answer(_ ticket: FleetLife.Ticket, _ answer: FleetLife.Answer) {
    guard let connection = connections[ticket] else { return }
    switch answer {
    case .done: connection.send([:])
    case .note(let text): connection.send(["note": .string(text)])
    case .refused(let text): connection.send(["error": .string(text)])
    case .members(let reports): connection.send(["members": .array(reports.map(\.json))])
    case .watching(let pids):
      watchers.insert(ticket)
      connection.send(Self.line(pids), isLast: false)
    }
  }

  /// Tells guardians whom to kill when this process is gone.
  func tell(pids: [Int32]) {
    for ticket in watchers { connections[ticket]?.send(Self.line(pids), isLast: false) }
  }

  private static func line(_ pids: [Int32]) -> JSONObject {
    ["pids": .array(pids.map { .integer($0) })]
  }

  /// No further requests; guardians learn that there is nobody to kill, and answers still leave.
  func close() {
    listener?.close()
    listener = nil
    for ticket in watchers { connections[ticket]?.send(["pids": []]) }
  }
}
