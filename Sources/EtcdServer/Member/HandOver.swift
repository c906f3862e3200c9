import EventLoops
import Member
import Synchronization

/// Brings what turns of the core give to one loop, in the order of the turns (`TurnQueue`).
///
/// `EventLoop.execute` keeps the order of one thread only: work of the loop itself runs before work of
/// others. So everything goes through one queue, which whoever runs on the loop drains from the front.
final class HandOver<Piece: Sendable>: @unchecked Sendable {
  // @unchecked: `receipt` is confined to `loop`; `queue` has a lock; the rest is immutable.

  private let loop: EventLoop
  private let receive: (Piece) -> Void
  private let queue = Mutex(TurnQueue<Piece>())
  private var receipt = TurnReceipt()

  /// - Parameter receive: called on `loop`, a piece after the other.
  init(to loop: EventLoop, _ receive: @escaping (Piece) -> Void) {
    self.loop = loop
    self.receive = receive
  }

  /// Leaves a piece. Whoever calls holds the turn of the core, so that calls have an order.
  func leave(_ piece: Piece) {
    if queue.withLock({ $0.leave(piece) }) { loop.execute { self.drain() } }
  }

  private func drain() {
    for piece in receipt.take(queue.withLock { $0.drain() }) { receive(piece) }
  }
}
