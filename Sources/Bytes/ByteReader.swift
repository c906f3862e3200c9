/// Reads a `Bytes` front to back; slices it hands out share the storage.
///
/// Every read returns `nil` when too few bytes are left and then leaves the position unchanged.
public struct ByteReader: Sendable {
  /// What is read.
  public let bytes: Bytes
  /// Position of the next byte.
  public private(set) var position: Int = 0

  public init(_ bytes: Bytes) { self.bytes = bytes }

  /// Bytes not yet read.
  public var remaining: Int { bytes.count - position }

  public mutating func readByte() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  /// The next `count` bytes as a slice.
  public mutating func read(_ count: Int) -> Bytes? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return bytes[position..<(position + count)]
  }

  public mutating func skip(_ count: Int) -> Bool {
    guard count >= 0, count <= remaining else { return false }
    position += count
    return true
  }

  public mutating func readBigEndian<T: FixedWidthInteger>(_: T.Type = T.self) -> T? {
    readRaw(T.self).map { T(bigEndian: $0) }
  }

  public mutating func readLittleEndian<T: FixedWidthInteger>(_: T.Type = T.self) -> T? {
    readRaw(T.self).map { T(littleEndian: $0) }
  }

  private mutating func readRaw<T: FixedWidthInteger>(_: T.Type) -> T? {
    let size = MemoryLayout<T>.size
    guard size <= remaining else { return nil }
    let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: T.self) }
    position += size
    return value
  }

  /// Base-128 varint of at most 10 bytes; `nil` when cut off or too long.
  public mutating func readVarint() -> UInt64? {
    var value: UInt64 = 0
    var at = position
    var shift: UInt64 = 0
    while at < bytes.count, shift < 70 {
      let byte = bytes[at]
      at += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        if shift == 63 && byte > 1 { return nil }
        position = at
        return value
      }
      shift += 7
    }
    return nil
  }
}
