import CBytes

/// Builds bytes front to back in one growing buffer and hands the buffer over without a copy.
///
/// - Complexity: appending is amortised O(n); `finish()` is O(1).
public struct ByteWriter: ~Copyable {
  @usableFromInline var storage: ByteStorage
  @usableFromInline var capacity: Int
  /// Bytes written so far.
  public private(set) var count: Int = 0

  /// A writer that takes `capacity` bytes before it has to grow.
  public init(capacity: Int = 64) {
    self.capacity = Swift.max(capacity, 16)
    self.storage = ByteStorage.make(capacity: self.capacity)
  }

  /// Makes room for `extra` more bytes.
  @inline(__always)
  public mutating func reserve(_ extra: Int) {
    if count + extra > capacity { grow(count + extra) }
  }

  @inline(never)
  private mutating func grow(_ needed: Int) {
    let larger = Swift.max(needed, capacity * 2)
    let next = ByteStorage.make(capacity: larger)
    next.base.copyMemory(from: storage.base, byteCount: count)
    storage = next
    capacity = larger
  }

  public mutating func append(_ byte: UInt8) {
    reserve(1)
    storage.base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  public mutating func append(_ memory: UnsafeRawBufferPointer) {
    guard memory.count > 0 else { return }
    reserve(memory.count)
    (storage.base + count).copyMemory(from: memory.baseAddress!, byteCount: memory.count)
    count += memory.count
  }

  public mutating func append(_ bytes: Bytes) {
    reserve(bytes.count)
    guard bytes.count > 0 else { return }
    bytes.withUnsafeBytes { source in
      (storage.base + count).copyMemory(from: source.baseAddress!, byteCount: source.count)
    }
    count += bytes.count
  }

  public mutating func append(_ string: String) {
    var string = string
    string.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  public mutating func append(repeating byte: UInt8, count n: Int) {
    guard n > 0 else { return }
    reserve(n)
    (storage.base + count).initializeMemory(as: UInt8.self, repeating: byte, count: n)
    count += n
  }

  public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
    appendRaw(value.bigEndian)
  }

  public mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
    appendRaw(value.littleEndian)
  }

  private mutating func appendRaw<T: FixedWidthInteger>(_ value: T) {
    let size = MemoryLayout<T>.size
    reserve(size)
    storage.base.storeBytes(of: value, toByteOffset: count, as: T.self)
    count += size
  }

  /// Base-128 varint, least significant group first (protobuf encoding).
  public mutating func appendVarint(_ value: UInt64) {
    if count + 10 > capacity { reserve((70 - (value | 1).leadingZeroBitCount) / 7) }
    var rest = value
    let base = storage.base
    while rest >= 0x80 {
      base.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count += 1
      rest >>= 7
    }
    base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count += 1
  }

  /// Appends `size` bytes that `body` fills completely; what it receives is uninitialised.
  public mutating func append<R>(
    uninitialized size: Int, _ body: (UnsafeMutableRawBufferPointer) -> R
  ) -> R {
    reserve(size)
    let result = body(UnsafeMutableRawBufferPointer(start: storage.base + count, count: size))
    count += size
    return result
  }

  /// Overwrites 8 bytes that were written before, for a length known only afterwards.
  /// - Traps: when the bytes were not written yet.
  public mutating func replaceBigEndian(_ value: UInt64, at position: Int) {
    precondition(position >= 0 && position + 8 <= count, "replacement outside of written bytes")
    storage.base.storeBytes(of: value.bigEndian, toByteOffset: position, as: UInt64.self)
  }

  /// Forgets what was written and keeps the buffer.
  public mutating func clear() { count = 0 }

  /// What was written so far; valid only inside `body`.
  public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: storage.base, count: count))
  }

  /// The bytes written; shares the buffer, no copy.
  public consuming func finish() -> Bytes {
    count == 0 ? Bytes() : Bytes(unchecked: storage, UnsafeRawPointer(storage.base), count)
  }
}

/// CRC-32C (Castagnoli), as Go's `crc32.Update(crc, castagnoli, data)`.
public enum CRC32C {
  /// Extends `crc` by `bytes`; start from 0.
  public static func update(_ crc: UInt32, _ bytes: Bytes) -> UInt32 {
    bytes.withUnsafeBytes { update(crc, $0) }
  }

  /// Extends `crc` by memory.
  public static func update(_ crc: UInt32, _ memory: UnsafeRawBufferPointer) -> UInt32 {
    cbytes_crc32c(crc, memory.baseAddress, memory.count)
  }
}
