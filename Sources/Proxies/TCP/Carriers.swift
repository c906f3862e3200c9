import CSplice

/// Bytes on their way from one socket to another: in a pipe of the kernel, from which and into which they are moved
/// without a copy (splice(2)), or in a buffer where the system has no such thing or no pipe left.
///
/// Unsafe: owns what C made.
struct Carrier: ~Copyable {
  private let raw: OpaquePointer

  init(usesPipe: Bool) { raw = splice_carrier_new(usesPipe ? 1 : 0) }
  deinit { splice_carrier_free(raw) }

  var isPipe: Bool { splice_carrier_is_pipe(raw) == 1 }

  /// Takes what the source has, at most `limit` bytes, into a carrier that is empty.
  func fill(from socket: Int32, limit: Int) -> Moved {
    let result = splice_carrier_fill(raw, socket, limit)
    return result == 0 ? .end : Self.moved(result)
  }

  /// Gives the sink what it takes of the bytes held.
  func drain(to socket: Int32, held: Int) -> Moved {
    let result = splice_carrier_drain(raw, socket, held)
    // Zero is never the answer to a write of some bytes.
    return result == 0 ? .blocked : Self.moved(result)
  }

  private static func moved(_ result: Int) -> Moved {
    if result > 0 { return .bytes(result) }
    // EAGAIN is the same as EWOULDBLOCK on all systems that this is for.
    return -result == Int(splice_blocked) ? .blocked : .broken
  }
}

/// Carriers that nothing lies in, for whoever has bytes to move: an idle connection needs none. Confined to a loop.
struct CarrierPool: ~Copyable {
  /// Pipes at a time, whose descriptors were kept free for this.
  private let pipesMax: Int
  private var pipes = 0
  private var idle: [CarrierBox] = []

  /// Kept for the next.
  private static let idleMax = 8

  init(pipesMax: Int) { self.pipesMax = pipesMax }

  mutating func take() -> CarrierBox {
    if let box = idle.popLast() { return box }
    let box = CarrierBox(Carrier(usesPipe: pipes < pipesMax))
    if box.carrier.isPipe { pipes &+= 1 }
    return box
  }

  /// Gives one back.
  /// - Parameter isEmpty: whether all that was in it has left.
  mutating func give(_ box: CarrierBox, isEmpty: Bool) {
    if isEmpty, idle.count < Self.idleMax, box.carrier.isPipe || pipes >= pipesMax {
      idle.append(box)
    } else if box.carrier.isPipe {
      pipes &-= 1
    }
  }
}

/// A carrier that can be kept in collections.
final class CarrierBox {
  let carrier: Carrier
  init(_ carrier: consuming Carrier) { self.carrier = carrier }
}
