import Bytes

/// Encoded sizes of fields in bytes. `tag` is the size of the field's key.
///
/// The unmarked forms are for fields without presence and are 0 for the default value.
public enum WireSize {
  /// Bytes of a varint: 1 to 10.
  @inlinable
  @inline(__always)
  public static func of(_ value: UInt64) -> Int {
    // One byte per started group of 7 bits; 9/64 is 1/7 closely enough for 1...64 bits.
    ((64 - (value | 1).leadingZeroBitCount) * 9 + 64) >> 6
  }

  /// Length prefix and payload.
  @inlinable
  public static func delimited(_ count: Int) -> Int { of(UInt64(count)) + count }

  /// An integer, `Bool` or enum without presence.
  @inlinable
  public static func varint(_ value: some WireVarint, tag: Int) -> Int {
    let bits = value.wireVarint
    return bits == 0 ? 0 : tag + of(bits)
  }

  /// A field that is written whatever its value is.
  @inlinable
  public static func always(_ value: some WireVarint, tag: Int) -> Int {
    tag + of(value.wireVarint)
  }

  /// An integer, `Bool` or enum with presence.
  @inlinable
  public static func optional(_ value: (some WireVarint)?, tag: Int) -> Int {
    guard let value else { return 0 }
    return tag + of(value.wireVarint)
  }

  /// Payload of a packed field.
  @inlinable
  public static func payload(_ values: [some WireVarint]) -> Int {
    var size = 0
    for value in values { size += of(value.wireVarint) }
    return size
  }

  /// A repeated integer, `Bool` or enum under one key (proto3).
  @inlinable
  public static func packed(_ values: [some WireVarint], tag: Int) -> Int {
    values.isEmpty ? 0 : tag + delimited(payload(values))
  }

  /// A repeated integer, `Bool` or enum, each with its key (proto2).
  @inlinable
  public static func unpacked(_ values: [some WireVarint], tag: Int) -> Int {
    values.count * tag + payload(values)
  }

  /// A byte string without presence.
  @inlinable
  public static func bytes(_ value: Bytes, tag: Int) -> Int {
    value.isEmpty ? 0 : tag + delimited(value.count)
  }

  /// A field that is written whatever its value is.
  @inlinable
  public static func always(_ value: Bytes, tag: Int) -> Int { tag + delimited(value.count) }

  /// A repeated field, each element with its key.
  @inlinable
  public static func repeated(_ values: [Bytes], tag: Int) -> Int {
    var size = 0
    for value in values { size += tag + delimited(value.count) }
    return size
  }

  /// A string without presence.
  @inlinable
  public static func string(_ value: String, tag: Int) -> Int {
    value.isEmpty ? 0 : tag + delimited(value.utf8.count)
  }

  /// A field that is written whatever its value is.
  @inlinable
  public static func always(_ value: String, tag: Int) -> Int {
    tag + delimited(value.utf8.count)
  }

  /// A repeated field, each element with its key.
  @inlinable
  public static func repeated(_ values: [String], tag: Int) -> Int {
    var size = 0
    for value in values { size += tag + delimited(value.utf8.count) }
    return size
  }

  /// A message with presence.
  @inlinable
  public static func message(_ value: (some ProtobufMessage)?, tag: Int) -> Int {
    guard let value else { return 0 }
    return tag + delimited(value.encodedSize)
  }

  /// A field that is written whatever its value is.
  @inlinable
  public static func always(_ value: some ProtobufMessage, tag: Int) -> Int {
    tag + delimited(value.encodedSize)
  }

  /// A repeated field, each element with its key.
  @inlinable
  public static func repeated(_ values: [some ProtobufMessage], tag: Int) -> Int {
    var size = 0
    for value in values { size += tag + delimited(value.encodedSize) }
    return size
  }
}
