import EventLoops

/// The handshakes that servers of one loop have under way: how many at a time, and how many steps a turn, so
/// that clients who are in are served meanwhile. Confined to its loop.
///
/// A handshake costs the server a signature as soon as a client has said hello; a client that says nothing costs
/// a place, which those who wait longest give up first.
final class HandshakeDesk: NextTurnHandler {
  /// Handshakes under way at once on a loop.
  static let handshakesMax = 512
  /// Steps of handshakes in one turn; one takes about a millisecond.
  static let stepsPerTurnMax = 8

  private let loop: EventLoop
  private var underWay: [Int: TLSHandshake] = [:]
  private var oldest = 0
  private var newest = 0
  private var waiting = FIFO<TLSHandshake>()
  private var isScheduled = false

  init(loop: EventLoop) { self.loop = loop }

  var count: Int { underWay.count }

  /// Takes a handshake in. One beyond the limit costs the longest under way its place.
  /// - Returns: its number, for `leave`.
  func enter(_ handshake: TLSHandshake) -> Int {
    while underWay.count >= Self.handshakesMax {
      let first = underWay.removeValue(forKey: oldest)
      oldest &+= 1
      first?.fail(.timedOut)
    }
    newest &+= 1
    underWay[newest] = handshake
    if underWay.count == 1 { oldest = newest }
    handshake.onInput = { [weak self] in self?.post($0) }
    return newest
  }

  func leave(_ number: Int) { underWay[number] = nil }

  private func post(_ handshake: TLSHandshake) {
    waiting.append(handshake)
    guard !isScheduled else { return }
    isScheduled = true
    loop.atNextTurn(self)
  }

  func nextTurn() {
    isScheduled = false
    var left = Self.stepsPerTurnMax
    while left > 0, let handshake = waiting.popFirst() {
      left -= 1
      handshake.step()
    }
    guard !waiting.isEmpty, !isScheduled else { return }
    isScheduled = true
    loop.atNextTurn(self)
  }
}
