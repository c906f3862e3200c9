import CSplice
import EventLoops

/// A connection through the gateway: two sockets, and a flow each way. An end of one is passed on, the other direction
/// stays open; a broken connection breaks the other. Confined to its loop.
final class SocketPair: NextTurnHandler {
  /// That of the client, and that of the server.
  private let sockets: [DetachedSocket]
  /// What comes from each of them.
  private var flows = [RelayFlow(), RelayFlow()]
  /// Where bytes of a flow lie that its sink did not take.
  private var carriers: [CarrierBox?] = [nil, nil]
  private unowned let desk: RelayDesk
  private let token: UInt64
  private var isContinued = false
  private(set) var isClosed = false

  /// Bytes that one connection moves before others have their turn.
  static let bytesPerTurnMax = 1 << 20

  init(_ client: DetachedSocket, _ server: DetachedSocket, token: UInt64, desk: RelayDesk) {
    sockets = [client, server]
    self.token = token
    self.desk = desk
  }

  /// Something happened to a socket.
  func changed(_ side: Int, isReadable: Bool, isWritable: Bool, isBroken: Bool) {
    guard !isClosed else { return }
    if isReadable { flows[side].sourceIsReadable() }
    if isWritable { flows[1 - side].sinkIsWritable() }
    pump()
    if isBroken { breakOff() }
  }

  func nextTurn() {
    isContinued = false
    pump()
  }

  /// Moves what can be moved.
  func pump() {
    guard !isClosed, !isContinued else { return }
    var budget = Self.bytesPerTurnMax
    for side in 0...1 where !isClosed { pump(side, &budget) }
    guard !isClosed else { return }
    if flows[0].isDone, flows[1].isDone { return close() }
    if budget <= 0 {
      isContinued = true
      desk.loop.atNextTurn(self)
    }
  }

  private func pump(_ side: Int, _ budget: inout Int) {
    let source = sockets[side].descriptor
    let sink = sockets[1 - side].descriptor
    while budget > 0 {
      switch flows[side].next {
      case .fill:
        let box = carriers[side] ?? desk.carriers.take()
        carriers[side] = box
        let moved = box.carrier.fill(from: source, limit: budget)
        flows[side].filled(moved)
        if case .bytes(let count) = moved { budget -= count }
        if moved == .broken { return breakOff() }
      case .drain:
        guard let box = carriers[side] else { preconditionFailure("bytes are held nowhere") }
        let moved = box.carrier.drain(to: sink, held: flows[side].held)
        flows[side].drained(moved)
        if moved == .broken { return breakOff() }
      case .end:
        splice_end_output(sink)
        flows[side].ended()
      case .wait, .done:
        return release(side)
      }
    }
    release(side)
  }

  /// A flow that holds nothing needs no carrier.
  private func release(_ side: Int) {
    guard flows[side].held == 0, let box = carriers[side] else { return }
    carriers[side] = nil
    desk.carriers.give(box, isEmpty: true)
  }

  /// Both ends see a broken connection.
  private func breakOff() {
    guard !isClosed else { return }
    for socket in sockets { splice_break_at_close(socket.descriptor) }
    close()
  }

  /// Gives everything back.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    for side in 0...1 {
      if let box = carriers[side] { desk.carriers.give(box, isEmpty: flows[side].held == 0) }
      carriers[side] = nil
    }
    for socket in sockets { socket.close() }
    desk.closed(token)
  }
}
