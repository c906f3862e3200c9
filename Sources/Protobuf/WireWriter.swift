import Bytes

/// Writes fields back to front into memory of exactly the encoded size.
///
/// Writing backwards makes the length of a nested message known when its prefix is written, so a
/// message is measured once however deep it is nested.
///
/// Unsafe: writes go through a raw pointer into memory reserved by `ByteWriter`; `claim` checks
/// every one of them against the space left.
public struct WireWriter: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  /// Start of what is written; counts down to 0.
  @usableFromInline var position: Int

  @usableFromInline
  init(_ memory: UnsafeMutableRawBufferPointer) {
    base = memory.baseAddress!
    position = memory.count
  }

  /// Checks that the measured size was used up.
  @usableFromInline
  func finish() { precondition(position == 0, "message smaller than its encodedSize") }

  @inlinable
  @inline(__always)
  mutating func claim(_ count: Int) -> UnsafeMutableRawPointer {
    precondition(count <= position, "message larger than its encodedSize")
    position -= count
    return base + position
  }

  @inlinable
  mutating func raw(_ value: UInt64) {
    if value < 0x80 {
      claim(1).storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
      return
    }
    var target = claim(WireSize.of(value))
    var rest = value
    while rest >= 0x80 {
      target.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      target += 1
      rest >>= 7
    }
    target.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
  }

  @inlinable
  mutating func key(_ field: UInt32, _ wireType: UInt32) { raw(UInt64(field << 3 | wireType)) }

  @inlinable
  mutating func copy(_ memory: UnsafeRawBufferPointer) {
    guard memory.count > 0 else { return }
    claim(memory.count).copyMemory(from: memory.baseAddress!, byteCount: memory.count)
  }
}

// The unmarked forms are for fields without presence and write nothing for the default value.
extension WireWriter {
  /// An integer, `Bool` or enum without presence.
  @inlinable
  public mutating func varint(_ field: UInt32, _ value: some WireVarint) {
    let bits = value.wireVarint
    guard bits != 0 else { return }
    raw(bits)
    key(field, 0)
  }

  /// A field that is written whatever its value is.
  @inlinable
  public mutating func always(_ field: UInt32, _ value: some WireVarint) {
    raw(value.wireVarint)
    key(field, 0)
  }

  /// An integer, `Bool` or enum with presence.
  @inlinable
  public mutating func optional(_ field: UInt32, _ value: (some WireVarint)?) {
    if let value { always(field, value) }
  }

  /// A repeated integer, `Bool` or enum under one key (proto3).
  @inlinable
  public mutating func packed(_ field: UInt32, _ values: [some WireVarint]) {
    guard !values.isEmpty else { return }
    let end = position
    for value in values.reversed() { raw(value.wireVarint) }
    raw(UInt64(end - position))
    key(field, 2)
  }

  /// A repeated integer, `Bool` or enum, each with its key (proto2).
  @inlinable
  public mutating func unpacked(_ field: UInt32, _ values: [some WireVarint]) {
    var index = values.count
    while index > 0 {
      index -= 1
      always(field, values[index])
    }
  }

  /// A byte string without presence.
  @inlinable
  public mutating func bytes(_ field: UInt32, _ value: Bytes) {
    if !value.isEmpty { always(field, value) }
  }

  /// A field that is written whatever its value is.
  @inlinable
  public mutating func always(_ field: UInt32, _ value: Bytes) {
    value.withUnsafeBytes { copy($0) }
    raw(UInt64(value.count))
    key(field, 2)
  }

  /// A repeated field, each element with its key.
  @inlinable
  public mutating func repeated(_ field: UInt32, _ values: [Bytes]) {
    var index = values.count
    while index > 0 {
      index -= 1
      always(field, values[index])
    }
  }

  /// A string without presence.
  @inlinable
  public mutating func string(_ field: UInt32, _ value: String) {
    if !value.isEmpty { always(field, value) }
  }

  /// A field that is written whatever its value is.
  @inlinable
  public mutating func always(_ field: UInt32, _ value: String) {
    var value = value
    value.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    raw(UInt64(value.utf8.count))
    key(field, 2)
  }

  /// A repeated field, each element with its key.
  @inlinable
  public mutating func repeated(_ field: UInt32, _ values: [String]) {
    var index = values.count
    while index > 0 {
      index -= 1
      always(field, values[index])
    }
  }

  /// A message with presence.
  @inlinable
  public mutating func message(_ field: UInt32, _ value: (some ProtobufMessage)?) {
    if let value { always(field, value) }
  }

  /// A field that is written whatever its value is.
  @inlinable
  public mutating func always(_ field: UInt32, _ value: some ProtobufMessage) {
    let end = position
    value.write(to: &self)
    raw(UInt64(end - position))
    key(field, 2)
  }

  /// A repeated field, each element with its key.
  @inlinable
  public mutating func repeated(_ field: UInt32, _ values: [some ProtobufMessage]) {
    var index = values.count
    while index > 0 {
      index -= 1
      always(field, values[index])
    }
  }
}
