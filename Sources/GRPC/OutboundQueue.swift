import Bytes
import Calls

/// What waits to leave on one stream, in order. Pure.
struct OutboundQueue {
  enum Segment {
    case bytes(Bytes)
    case pull(left: Int, next: (Int) -> Bytes?)

    var count: Int {
      switch self {
      case .bytes(let bytes): bytes.count
      case .pull(let left, _): left
      }
    }
  }

  /// The segment at the front; the usual reply is this one alone, without an array.
  private var front: Segment?
  private var rest: [Segment] = []
  private var nextInRest = 0
  /// Bytes that are in memory, waiting.
  private(set) var queuedBytes = 0
  /// Bytes that can be sent, including those still to be fetched.
  private(set) var available = 0

  var isEmpty: Bool { available == 0 }

  /// Adds a message with its prefix: one flag byte, four bytes of length.
  mutating func append(_ body: MessageBody, compressed: Bool = false) {
    if case .framed(let bytes) = body { return push(bytes) }
    let length = body.length
    // A small message is joined with its prefix: one segment, one copy of a few bytes.
    if case .bytes(let bytes) = body, length <= 1_024 {
      var joined = ByteWriter(capacity: length + 5)
      joined.append(compressed ? 1 : 0)
      joined.appendBigEndian(UInt32(truncatingIfNeeded: length))
      joined.append(bytes)
      push(joined.finish())
      return
    }
    var prefix = ByteWriter(capacity: 16)
    prefix.append(compressed ? 1 : 0)
    prefix.appendBigEndian(UInt32(truncatingIfNeeded: length))
    push(prefix.finish())
    switch body {
    case .bytes(let bytes): push(bytes)
    case .framed: break  // Queued above.
    case .chunks(let parts): for part in parts { push(part) }
    case .pull(let length, let next):
      guard length > 0 else { return }
      push(.pull(left: length, next: next))
    }
  }

  private mutating func push(_ bytes: Bytes) {
    guard bytes.count > 0 else { return }
    queuedBytes += bytes.count
    push(.bytes(bytes))
  }

  private mutating func push(_ segment: Segment) {
    available += segment.count
    if front == nil { front = segment } else { rest.append(segment) }
  }

  /// Hands exactly `count` of the available bytes to `body` in pieces.
  /// - Returns: `false` when a fetch failed; the stream cannot go on then.
  mutating func take(_ count: Int, _ body: (Bytes) -> Void) -> Bool {
    precondition(count <= available, "more taken than queued")
    var left = count
    while left > 0 {
      switch front {
      case nil: preconditionFailure("the queue counts bytes it does not have")
      case .bytes(let bytes):
        let size = min(bytes.count, left)
        body(bytes[0..<size])
        queuedBytes -= size
        advance(size, size == bytes.count ? nil : .bytes(bytes[size..<bytes.count]))
        left -= size
      case .pull(let rest, let next):
        guard let piece = next(min(rest, left)), piece.count > 0, piece.count <= min(rest, left)
        else { return false }
        body(piece)
        let after = rest - piece.count
        advance(piece.count, after == 0 ? nil : .pull(left: after, next: next))
        left -= piece.count
      }
    }
    return true
  }

  private mutating func advance(_ count: Int, _ left: Segment?) {
    available -= count
    if left != nil {
      front = left
    } else if nextInRest == rest.count {
      front = nil
    } else {
      front = rest[nextInRest]
      rest[nextInRest] = .bytes(Bytes())
      nextInRest += 1
      compact()
    }
  }

  private mutating func compact() {
    if nextInRest == rest.count {
      rest.removeAll(keepingCapacity: true)
      nextInRest = 0
    } else if nextInRest > 64 && nextInRest > rest.count / 2 {
      rest.removeFirst(nextInRest)
      nextInRest = 0
    }
  }

  mutating func removeAll() {
    front = nil
    rest.removeAll()
    nextInRest = 0
    queuedBytes = 0
    available = 0
  }
}
