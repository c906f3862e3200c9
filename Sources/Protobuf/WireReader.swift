import Bytes

/// Reads fields of one message after the other; nested messages narrow the window.
///
/// Unsafe: reads go through a raw pointer, because a checked subscript per byte is what decoding
/// would spend its time on. The pointer is valid while `WireDecodable.decode` runs, which is the
/// only place that makes a reader, and every access is preceded by a comparison with `end`.
public struct WireReader: ~Copyable {
  /// Deepest nesting of messages (and, counted apart, groups) that is read.
  public static let depthLimit = 100

  @usableFromInline let source: Bytes
  @usableFromInline let base: UnsafeRawPointer
  @usableFromInline var position = 0
  @usableFromInline var end: Int
  @usableFromInline var depth = 0
  /// Key of the field being read: number and wire type.
  @usableFromInline var key: UInt32 = 0

  @usableFromInline
  init(_ source: Bytes, _ memory: UnsafeRawBufferPointer) {
    self.source = source
    self.base = memory.baseAddress!
    self.end = memory.count
  }

  @usableFromInline var number: UInt32 {
    @inline(__always) get { key >> 3 }
  }

  /// Reads fields until the window ends.
  @inlinable
  mutating func merge<M: WireDecodable>(into message: inout M) throws(ProtobufError) {
    while position < end {
      try readKey()
      try message.merge(field: number, from: &self)
    }
  }

  @inlinable
  mutating func readKey() throws(ProtobufError) {
    let raw = try readVarint()
    guard raw <= UInt64(UInt32.max), raw >= 8, raw & 7 <= 5 else {
      throw ProtobufError.invalidKey
    }
    key = UInt32(truncatingIfNeeded: raw)
  }

  @inlinable
  @inline(__always)
  mutating func readVarint() throws(ProtobufError) -> UInt64 {
    guard position < end else { throw ProtobufError.truncated }
    let byte = base.load(fromByteOffset: position, as: UInt8.self)
    if byte < 0x80 {
      position += 1
      return UInt64(byte)
    }
    return try readLongVarint()
  }

  @usableFromInline
  @inline(never)
  mutating func readLongVarint() throws(ProtobufError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64 {
      guard position < end else { throw ProtobufError.truncated }
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        guard shift < 63 || byte <= 1 else { throw ProtobufError.malformedVarint }
        return value
      }
      shift += 7
    }
    throw ProtobufError.malformedVarint
  }

  @inlinable
  @inline(__always)
  func require(_ wireType: UInt32) throws(ProtobufError) {
    guard key & 7 == wireType else { throw ProtobufError.wrongWireType(field: number) }
  }

  /// Reads a length and returns where its payload ends.
  @inlinable
  mutating func readLength() throws(ProtobufError) -> Int {
    try require(2)
    let length = try readVarint()
    guard length <= UInt64(end - position) else { throw ProtobufError.truncated }
    return position + Int(length)
  }
}

extension WireReader {
  /// A singular integer, `Bool` or enum.
  @inlinable
  public mutating func varint<T: WireVarint>() throws(ProtobufError) -> T {
    try require(0)
    return T(wireVarint: try readVarint())
  }

  /// Elements of a repeated integer, `Bool` or enum field, packed or not.
  @inlinable
  public mutating func varints<T: WireVarint>(into values: inout [T]) throws(ProtobufError) {
    if key & 7 == 0 {
      values.append(T(wireVarint: try readVarint()))
      return
    }
    let outer = end
    end = try readLength()
    while position < end { values.append(T(wireVarint: try readVarint())) }
    end = outer
  }

  /// A `bytes` field as a slice of the input.
  @inlinable
  public mutating func bytes() throws(ProtobufError) -> Bytes {
    let stop = try readLength()
    defer { position = stop }
    return source[position..<stop]
  }

  /// A proto3 `string` field.
  /// - Throws: `invalidUTF8` when it is ill-formed.
  public mutating func string() throws(ProtobufError) -> String {
    let text = try payload()
    guard let string = String(validating: text, as: UTF8.self) else {
      throw ProtobufError.invalidUTF8(field: number)
    }
    return string
  }

  /// A proto2 `string` field, whose encoding proto2 does not check; ill-formed UTF-8 is repaired.
  public mutating func uncheckedString() throws(ProtobufError) -> String {
    String(decoding: try payload(), as: UTF8.self)
  }

  private mutating func payload() throws(ProtobufError) -> UnsafeRawBufferPointer {
    let stop = try readLength()
    defer { position = stop }
    return UnsafeRawBufferPointer(start: base + position, count: stop - position)
  }

  /// A singular message; merges into what is there.
  @inlinable
  public mutating func message<M: WireDecodable>(into message: inout M) throws(ProtobufError) {
    let stop = try readLength()
    guard depth < WireReader.depthLimit else { throw ProtobufError.tooDeep }
    let outer = end
    end = stop
    depth += 1
    try merge(into: &message)
    depth -= 1
    end = outer
  }

  /// A singular message with presence.
  @inlinable
  public mutating func message<M: WireDecodable>(into message: inout M?) throws(ProtobufError) {
    var value = message ?? M()
    message = nil  // Keeps the arrays inside uniquely referenced while they grow.
    try self.message(into: &value)
    message = value
  }

  /// One more element of a repeated message field.
  @inlinable
  public mutating func message<M: WireDecodable>(
    appendingTo messages: inout [M]
  ) throws(ProtobufError) {
    var value = M()
    try message(into: &value)
    // Few messages have one element, and growing twice costs more than room for another.
    if messages.isEmpty { messages.reserveCapacity(2) }
    messages.append(consume value)
  }

  /// A message that replaces what was there: a case of a oneof.
  @inlinable
  public mutating func message<M: WireDecodable>() throws(ProtobufError) -> M {
    var value = M()
    try message(into: &value)
    return value
  }
}
