import Bytes

/// A key inside the index: up to 23 bytes live in the node itself, longer ones in storage of their own.
///
/// The inline form keeps the bytes in three big-endian words, zero-padded, the length in the last
/// byte, so that comparing words compares keys.
enum IndexKey: Sendable {
  case inline(UInt64, UInt64, UInt64)
  case heap(Bytes)

  static let inlineBytesMax = 23

  init(_ key: Bytes) {
    guard key.count <= Self.inlineBytesMax else {
      self = .heap(key.detached())
      return
    }
    self = Self.pack(key)
  }

  /// Like `init`, but a long key shares the caller's storage: for look-ups.
  init(probe key: Bytes) {
    self = key.count <= Self.inlineBytesMax ? Self.pack(key) : .heap(key)
  }

  private static func pack(_ key: Bytes) -> IndexKey {
    var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
    withUnsafeMutableBytes(of: &words) { target in
      key.withUnsafeBytes { target.copyMemory(from: $0) }
      target[23] = UInt8(key.count)
    }
    return .inline(words.0.bigEndian, words.1.bigEndian, words.2.bigEndian)
  }

  /// The key in storage of its own.
  func detached() -> IndexKey {
    if case .heap(let bytes) = self { return .heap(bytes.detached()) }
    return self
  }

  /// The first 8 bytes, zero-padded, as a big-endian number: keys in order have prefixes in order.
  var prefix: UInt64 {
    switch self {
    case .inline(let first, _, _): return first
    case .heap(let bytes):
      return bytes.withUnsafeBytes { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
    }
  }

  var bytes: Bytes {
    switch self {
    case .heap(let bytes): return bytes
    case .inline(let a, let b, let c):
      let words = (a.bigEndian, b.bigEndian, c.bigEndian)
      return withUnsafeBytes(of: words) {
        Bytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<Int($0[23])]))
      }
    }
  }

  static func < (a: IndexKey, b: IndexKey) -> Bool {
    switch (a, b) {
    case (.inline(let a0, let a1, let a2), .inline(let b0, let b1, let b2)):
      // Equal padded bytes differ in length, which is the last byte of the third word.
      if a0 != b0 { return a0 < b0 }
      if a1 != b1 { return a1 < b1 }
      return a2 < b2
    default: return a.bytes < b.bytes
    }
  }

  static func == (a: IndexKey, b: IndexKey) -> Bool {
    switch (a, b) {
    case (.inline(let a0, let a1, let a2), .inline(let b0, let b1, let b2)):
      return a0 == b0 && a1 == b1 && a2 == b2
    case (.heap(let a), .heap(let b)): return a == b
    default: return false
    }
  }
}
