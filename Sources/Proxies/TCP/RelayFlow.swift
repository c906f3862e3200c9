/// What moving bytes came to.
enum Moved: Equatable {
  case bytes(Int)
  /// Nothing comes any more.
  case end
  /// The socket has, or takes, nothing at the moment.
  case blocked
  /// The connection is broken.
  case broken
}

/// One direction of a connection through the gateway: what is to be done next. A value; `SocketPair` does it and tells
/// how it went.
///
/// Bytes are taken only when those before have gone: what is under way is bounded, and whoever does not read holds up
/// the other side.
struct RelayFlow: Equatable {
  enum Step: Equatable {
    /// Take what the source has.
    case fill
    /// Give the sink what is held.
    case drain
    /// Tell the sink that nothing comes any more.
    case end
    case wait
    case done
  }

  /// Bytes that were taken and not given on.
  private(set) var held = 0
  private(set) var isDone = false
  // The system tells changes alone: at first both are tried.
  private var hasInput = true
  private var takesOutput = true
  private var hasEnded = false

  var next: Step {
    if isDone { return .done }
    if held > 0 { return takesOutput ? .drain : .wait }
    if hasEnded { return .end }
    return hasInput ? .fill : .wait
  }

  mutating func sourceIsReadable() { hasInput = true }
  mutating func sinkIsWritable() { takesOutput = true }

  /// How `fill` went.
  mutating func filled(_ moved: Moved) {
    switch moved {
    case .bytes(let count): held = count
    case .end: hasEnded = true
    case .blocked: hasInput = false
    case .broken: isDone = true
    }
  }

  /// How `drain` went.
  mutating func drained(_ moved: Moved) {
    switch moved {
    case .bytes(let count):
      precondition(count <= held, "\(count) bytes left of \(held)")
      held &-= count
    case .blocked: takesOutput = false
    case .end, .broken: isDone = true
    }
  }

  /// The sink knows that nothing more comes.
  mutating func ended() { isDone = true }
}
