import Bytes

/// Bytes that wait to be encrypted, in the order in which they were written. A value.
struct PlainQueue {
  private var parts: [Bytes] = []
  /// Bytes in it.
  private(set) var count = 0

  mutating func append(_ bytes: Bytes) {
    parts.append(bytes)
    count += bytes.count
  }

  /// Hands the first bytes to `body` as one piece, those of several parts put together, and takes off what it
  /// took.
  /// - Parameters:
  ///   - most: bytes of the piece.
  ///   - body: returns the bytes taken; `nil` when it failed.
  /// - Returns: the bytes taken; 0 when none were, or there are none.
  mutating func withRecord(_ most: Int, _ body: (UnsafeRawBufferPointer) -> Int?) -> Int {
    guard let first = parts.first else { return 0 }
    let total = min(count, most)
    let taken: Int?
    if first.count >= total {
      taken = first.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<total])) }
    } else {
      taken = withUnsafeTemporaryAllocation(byteCount: total, alignment: 1) { memory in
        gather(memory)
        return body(UnsafeRawBufferPointer(memory))
      }
    }
    count -= taken ?? 0
    parts.removeFirst(bytes: taken ?? 0)
    return taken ?? 0
  }

  private func gather(_ memory: UnsafeMutableRawBufferPointer) {
    var at = 0
    for part in parts {
      let size = min(part.count, memory.count - at)
      part.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: memory[at..<(at + size)])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<size]))
      }
      at += size
      if at == memory.count { return }
    }
  }
}
