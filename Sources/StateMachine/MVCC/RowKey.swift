import Bytes

/// A key while an index is built: three words without a reference, so that moving and comparing them
/// costs nothing else.
///
/// Up to 23 bytes are packed as in `IndexKey`. Of a longer key the words hold the first 8 bytes, its
/// address, and its length with 255 in the last byte, where a packed key has its length.
///
/// Unsafe: the address belongs to the committed state, which must outlive the value.
struct RowKey: Equatable, BitwiseCopyable, @unchecked Sendable {
  // @unchecked: an address of memory that never changes.
  private let first: UInt64
  private let second: UInt64
  private let third: UInt64

  private static let longMark: UInt64 = 0xFF

  init(_ key: UnsafeRawBufferPointer) {
    guard key.count <= IndexKey.inlineBytesMax else {
      first = UInt64(bigEndian: key.loadUnaligned(as: UInt64.self))
      second = UInt64(UInt(bitPattern: key.baseAddress!))
      third = UInt64(key.count) << 8 | Self.longMark
      return
    }
    var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
    withUnsafeMutableBytes(of: &words) { target in
      target.copyMemory(from: key)
      target[23] = UInt8(key.count)
    }
    (first, second, third) = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian)
  }

  private var isLong: Bool { third & 0xFF == Self.longMark }

  private var long: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      start: UnsafeRawPointer(bitPattern: UInt(second)), count: Int(third >> 8))
  }

  /// The key for a node of the index, in storage of its own.
  var indexKey: IndexKey {
    isLong ? .heap(Bytes(copying: long)) : .inline(first, second, third)
  }

  /// The bytes in storage of their own.
  var bytes: Bytes { indexKey.bytes }

  /// Largest number of leading bytes that `window` may skip: behind the window lies the length.
  static let skipMax = 15

  /// Eight bytes from position `skip` on, zero-padded, as a big-endian number: keys that agree in the
  /// bytes before and are in order have windows in order.
  func window(_ skip: Int) -> UInt64 {
    if isLong {
      return UInt64(bigEndian: long.loadUnaligned(fromByteOffset: skip, as: UInt64.self))
    }
    let bits = UInt64(skip % 8) * 8
    let (high, low) = skip < 8 ? (first, second) : (second, third)
    return bits == 0 ? high : high << bits | low >> (64 - bits)
  }

  /// Leading bytes that two keys share, at most `limit`, which is at most `skipMax`.
  func sharedPrefix(_ other: RowKey, limit: Int) -> Int {
    if limit == 0 { return 0 }
    let head = (window(0) ^ other.window(0)).leadingZeroBitCount / 8
    if head < 8 || limit <= 8 { return Swift.min(head, limit) }
    return Swift.min(8 + (window(8) ^ other.window(8)).leadingZeroBitCount / 8, limit)
  }

  static func == (a: RowKey, b: RowKey) -> Bool {
    if a.isLong, b.isLong { return a.compareBytes(b) == 0 }
    return a.first == b.first && a.second == b.second && a.third == b.third
  }

  static func < (a: RowKey, b: RowKey) -> Bool {
    if a.first != b.first { return a.first < b.first }
    if a.isLong || b.isLong { return a.compareBytes(b) < 0 }
    return a.second != b.second ? a.second < b.second : a.third < b.third
  }

  private func compareBytes(_ other: RowKey) -> Int {
    withMemory { own in
      other.withMemory { Bytes(owner: nil, own).compare(Bytes(owner: nil, $0)) }
    }
  }

  private func withMemory<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    if isLong { return body(long) }
    let words = (first.bigEndian, second.bigEndian, third.bigEndian)
    return withUnsafeBytes(of: words) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int($0[23])])) }
  }
}
