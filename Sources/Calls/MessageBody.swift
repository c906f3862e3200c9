import Bytes

/// A message to be sent.
public enum MessageBody {
  case bytes(Bytes)
  /// A message behind its prefix, as `framed` makes it.
  case framed(Bytes)
  /// Parts that make up one message, sent in order without joining them.
  case chunks([Bytes])
  /// A message of exactly `length` bytes, fetched as flow control allows: `next` returns at most
  /// the given number of bytes and at least one; `nil` breaks the stream off. Called on the loop.
  case pull(length: Int, next: (_ most: Int) -> Bytes?)

  /// One flag byte, four bytes of length.
  public static let prefixBytes = 5

  /// A message that is encoded right behind its prefix, without another copy.
  /// - Parameter size: bytes that `write` appends, exactly.
  public static func framed(_ size: Int, _ write: (inout ByteWriter) -> Void) -> MessageBody {
    var writer = ByteWriter(capacity: prefixBytes + size)
    writer.append(0)
    writer.appendBigEndian(UInt32(truncatingIfNeeded: size))
    write(&writer)
    precondition(writer.count == prefixBytes + size, "a message of another size than announced")
    return .framed(writer.finish())
  }

  /// A message that is written piece by piece as it leaves.
  /// - Parameters:
  ///   - length: bytes of the message, exactly.
  ///   - first: its beginning.
  ///   - next: the bytes that follow; called on the loop once those before have left.
  public static func pieces(
    length: Int, first: Bytes, _ next: @escaping () -> Bytes
  ) -> MessageBody {
    var piece = first
    return .pull(length: length) { most in
      if piece.isEmpty { piece = next() }
      let taken = piece[0..<Swift.min(most, piece.count)]
      piece = piece[taken.count..<piece.count]
      return taken
    }
  }

  /// Bytes of the message without its prefix.
  public var length: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .framed(let bytes): bytes.count - Self.prefixBytes
    case .chunks(let parts): parts.reduce(0) { $0 + $1.count }
    case .pull(let length, _): length
    }
  }
}
