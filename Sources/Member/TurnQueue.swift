/// What turns of the core left for one receiver, in the order of the turns. A value: the host keeps it
/// behind a mutex, the simulation drives it by hand.
///
/// A turn runs on whichever thread brings events, and a loop runs its own work before work of other
/// threads, so whatever is handed to the loop piece by piece is seen out of order. Here only the call
/// to drain the queue goes to the loop: whoever comes first takes everything from the front.
///
/// Guarantees, as long as all leave and all drain through one queue:
/// 1. A receiver sees every piece once, in the order in which they were left.
/// 2. Whoever leaves the first piece of a batch is told to call the receiver, and nobody else.
/// 3. A batch that is received out of turn traps in `TurnReceipt`, rather than showing old state.
public struct TurnQueue<Piece: Sendable>: Sendable {
  /// Pieces that left the queue together, and how many were drained before them.
  public struct Batch: Sendable {
    public let pieces: [Piece]
    let before: UInt64
  }

  private var pieces: [Piece] = []
  /// Pieces drained since the start.
  private var drained: UInt64 = 0

  public init() {}

  /// Leaves a piece. Whoever calls holds the turn of the core, so that calls have an order.
  /// - Returns: whether the receiver is to be called: nobody else has called it for what waits.
  public mutating func leave(_ piece: Piece) -> Bool {
    pieces.append(piece)
    return pieces.count == 1
  }

  /// Takes everything that waits.
  public mutating func drain() -> Batch {
    let batch = Batch(pieces: exchange(&pieces, with: []), before: drained)
    drained += UInt64(batch.pieces.count)
    return batch
  }
}

/// How far the receiver of a `TurnQueue` has come. Confined to the receiver.
public struct TurnReceipt: Sendable {
  private var received: UInt64 = 0

  public init() {}

  /// Checks that the batch follows the one before.
  /// - Returns: its pieces.
  /// - Traps: when batches overtook each other.
  public mutating func take<Piece>(_ batch: TurnQueue<Piece>.Batch) -> [Piece] {
    precondition(
      received == batch.before, "turns overtook each other: \(received) of \(batch.before)")
    received += UInt64(batch.pieces.count)
    return batch.pieces
  }
}
