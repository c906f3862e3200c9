import Bytes

/// Standard input, by lines or whole.
struct Input {
  private let read: @Sendable (Int) -> Bytes
  private var buffer: [UInt8] = []

  init(_ read: @escaping @Sendable (Int) -> Bytes) { self.read = read }

  private static let pieceBytes = 1 << 16

  /// The first word of a line that stands before everything else read here. Nothing behind the byte that
  /// ends it is taken: that belongs to whoever reads next, and may never come.
  func word() -> String {
    var word: [UInt8] = []
    while let byte = read(1).first, byte != UInt8(ascii: "\n") {
      let isBlank = byte == UInt8(ascii: " ") || (9...13).contains(byte)
      if !isBlank { word.append(byte) } else if !word.isEmpty { break }
    }
    return Bytes(word).string
  }

  /// Everything that is left.
  func all() -> Bytes {
    var out = ByteWriter(capacity: 1 << 16)
    out.append(Bytes(buffer))
    while true {
      let piece = read(Self.pieceBytes)
      if piece.isEmpty { return out.finish() }
      out.append(piece)
    }
  }

  /// The next line without its end; `nil` when the input ends inside of it or before it.
  mutating func line() -> String? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = EtcdCtl.argument(Array(buffer[..<end]))
        buffer.removeSubrange(...end)
        return line
      }
      let piece = read(Self.pieceBytes)
      if piece.isEmpty { return nil }
      buffer += piece
    }
  }
}
