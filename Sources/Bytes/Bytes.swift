import CBytes

/// An immutable slice of bytes that shares its storage.
///
/// Copying a `Bytes` copies a reference and two words, never the bytes. A request's fields are
/// slices of the connection's read buffer, a value read from the store is a slice of a mapped page:
/// `owner` keeps whatever holds the memory alive. The memory must not change while a slice exists.
///
/// - Shape: owner reference, start pointer, count; 24 bytes.
public struct Bytes: @unchecked Sendable {
  // @unchecked: the memory behind `start` is immutable for the life of `owner` (see init(owner:…)).
  @usableFromInline let owner: AnyObject?
  @usableFromInline let start: UnsafeRawPointer
  /// Number of bytes.
  public let count: Int

  @inlinable
  init(unchecked owner: AnyObject?, _ start: UnsafeRawPointer, _ count: Int) {
    self.owner = owner
    self.start = start
    self.count = count
  }

  /// The empty slice.
  @inlinable
  public init() {
    self.init(unchecked: nil, UnsafeRawPointer(bitPattern: 16)!, 0)
  }

  /// A slice of memory that `owner` keeps alive and unchanged.
  /// - Parameter owner: `nil` only for memory that lives as long as the process.
  @inlinable
  public init(owner: AnyObject?, _ memory: UnsafeRawBufferPointer) {
    guard let base = memory.baseAddress, memory.count > 0 else {
      self.init()
      return
    }
    self.init(unchecked: owner, base, memory.count)
  }

  /// Copies memory into storage of its own. One allocation.
  @inlinable
  public init(copying memory: UnsafeRawBufferPointer) {
    guard memory.count > 0 else {
      self.init()
      return
    }
    let storage = ByteStorage.make(capacity: memory.count)
    storage.base.copyMemory(from: memory.baseAddress!, byteCount: memory.count)
    self.init(unchecked: storage, UnsafeRawPointer(storage.base), memory.count)
  }

  /// Copies a sequence of bytes.
  @inlinable
  public init(_ bytes: some Sequence<UInt8>) {
    let copied: Bytes? = bytes.withContiguousStorageIfAvailable {
      Bytes(copying: UnsafeRawBufferPointer($0))
    }
    self = copied ?? ContiguousArray(bytes).withUnsafeBytes { Bytes(copying: $0) }
  }

  /// The UTF-8 bytes of a string.
  @inlinable
  public init(_ string: String) {
    var string = string
    self = string.withUTF8 { Bytes(copying: UnsafeRawBufferPointer($0)) }
  }

  /// The same memory; valid only inside `body`.
  @inlinable
  public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let result = try body(UnsafeRawBufferPointer(start: start, count: count))
    withExtendedLifetime(owner) {}
    return result
  }

  /// A copy that shares nothing: use it for a few bytes that would pin a large buffer.
  @inlinable
  public func detached() -> Bytes { withUnsafeBytes { Bytes(copying: $0) } }

  /// Whether both are the same piece of memory.
  @inlinable
  public func isIdentical(to other: Bytes) -> Bool { start == other.start && count == other.count }

  /// Whether the first bytes equal `prefix`.
  @inlinable
  public func hasPrefix(_ prefix: Bytes) -> Bool {
    count >= prefix.count && cbytes_equal(start, prefix.start, prefix.count) != 0
  }

  /// The bytes as text, ill-formed UTF-8 repaired.
  public var string: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}

extension Bytes: RandomAccessCollection {
  @inlinable public var startIndex: Int { 0 }
  @inlinable public var endIndex: Int { count }

  /// - Traps: when `position` is outside the slice.
  @inlinable
  public subscript(position: Int) -> UInt8 {
    precondition(position >= 0 && position < count, "byte index outside of slice")
    defer { withExtendedLifetime(owner) {} }
    return start.load(fromByteOffset: position, as: UInt8.self)
  }

  /// A part of the slice that shares the storage and counts its positions from 0 again.
  /// - Traps: when `bounds` is not inside the slice.
  @inlinable
  public subscript(bounds: Range<Int>) -> Bytes {
    precondition(bounds.lowerBound >= 0 && bounds.upperBound <= count, "range outside of slice")
    return bounds.isEmpty
      ? Bytes() : Bytes(unchecked: owner, start + bounds.lowerBound, bounds.count)
  }

  @inlinable
  public func withContiguousStorageIfAvailable<R>(
    _ body: (UnsafeBufferPointer<UInt8>) throws -> R
  ) rethrows -> R? {
    try withUnsafeBytes { try body($0.assumingMemoryBound(to: UInt8.self)) }
  }
}

extension Bytes {
  /// Both, one behind the other: a copy, unless one of them is empty.
  public func followed(by other: Bytes) -> Bytes {
    if isEmpty { return other }
    if other.isEmpty { return self }
    var joined = ByteWriter(capacity: count + other.count)
    joined.append(self)
    joined.append(other)
    return joined.finish()
  }
}

extension [Bytes] {
  /// Takes bytes off the front of a queue of slices; memory for as many slices stays when it is empty then.
  /// - Precondition: they are there.
  public mutating func removeFirst(bytes count: Int) {
    var left = count
    var whole = 0
    while left > 0 {
      let first = self[whole]
      if first.count > left {
        self[whole] = first[left..<first.count]
        break
      }
      left -= first.count
      whole += 1
    }
    if whole == self.count {
      removeAll(keepingCapacity: true)
    } else {
      removeFirst(whole)
    }
  }
}

extension Bytes: Hashable, Comparable {
  @inlinable
  public static func == (a: Bytes, b: Bytes) -> Bool {
    a.count == b.count && cbytes_equal(a.start, b.start, a.count) != 0
  }

  /// Lexicographic by unsigned byte: the order of keys.
  @inlinable
  public static func < (a: Bytes, b: Bytes) -> Bool { a.compare(b) < 0 }

  /// Negative, zero or positive, as memcmp with the shorter of equal prefixes first.
  @inlinable
  public func compare(_ other: Bytes) -> Int {
    Int(cbytes_compare(start, count, other.start, other.count))
  }

  @inlinable
  public func hash(into hasher: inout Hasher) {
    hasher.combine(count)
    withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

extension Bytes: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, CustomStringConvertible {
  public init(stringLiteral value: StaticString) {
    self.init(
      owner: nil, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
  }
  public init(arrayLiteral elements: UInt8...) { self.init(elements) }

  /// Printable ASCII as it is, the rest as `\xNN`.
  public var description: String {
    var text = ""
    for byte in self {
      if byte >= 0x20 && byte < 0x7f && byte != 0x5c {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let hex = String(byte, radix: 16)
        text += "\\x" + (hex.count == 1 ? "0" : "") + hex
      }
    }
    return text
  }
}
