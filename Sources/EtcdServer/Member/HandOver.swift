import Member
import Runtime
import Synchronization

/// Brings what turns of the core give to one loop, in the order of the turns.
///
/// A turn runs on whichever thread brings events, and `EventLoop.execute` keeps the order of one thread
/// only: work of the loop itself runs before work of others. So everything goes through one queue, which
/// whoever runs on the loop drains from the front. Pieces are numbered where they are left and the
/// numbers checked where they arrive.
final class HandOver<Piece: Sendable>: @unchecked Sendable {
  // @unchecked: `received` is confined to `loop`; `queue` has a lock; the rest is immutable.

  private struct Queue {
    var pieces: [Piece] = []
    /// Pieces left since the start.
    var left: UInt64 = 0
  }

  private let loop: EventLoop
  private let receive: (Piece) -> Void
  private let queue = Mutex(Queue())
  /// Pieces received since the start.
  private var received: UInt64 = 0

  /// - Parameter receive: called on `loop`, a piece after the other.
  init(to loop: EventLoop, _ receive: @escaping (Piece) -> Void) {
    self.loop = loop
    self.receive = receive
  }

  /// Leaves a piece. Whoever calls holds the turn of the core, so that calls have an order.
  func leave(_ piece: Piece) {
    let isFirst = queue.withLock { queue in
      queue.pieces.append(piece)
      queue.left += 1
      return queue.pieces.count == 1
    }
    if isFirst { loop.execute { self.drain() } }
  }

  private func drain() {
    let (pieces, left) = queue.withLock { (exchange(&$0.pieces, with: []), $0.left) }
    precondition(
      received + UInt64(pieces.count) == left, "turns overtook each other: \(received) of \(left)")
    received = left
    for piece in pieces { receive(piece) }
  }
}
