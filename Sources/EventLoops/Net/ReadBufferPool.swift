import Bytes

/// The buffers a loop reads into. What was read is handed out as slices; a buffer is written again
/// only when nobody holds a slice of it.
///
/// - Shape: 64 KiB each; consecutive reads fill one buffer while slices of it are held.
struct ReadBufferPool {
  static let bufferBytes = 65_536
  /// With less than this left, a fresh buffer saves more system calls than it costs.
  static let roomMinimum = 16_384
  /// Buffers kept for reuse.
  private static let retiredMax = 32

  private var current = ByteStorage.make(capacity: bufferBytes)
  private var position = 0
  private var retired: [ByteStorage] = []

  /// Memory for the next read.
  mutating func room() -> UnsafeMutableRawBufferPointer {
    if position > 0 && isKnownUniquelyReferenced(&current) { position = 0 }
    if Self.bufferBytes - position < Self.roomMinimum { replace() }
    return UnsafeMutableRawBufferPointer(
      start: current.base + position, count: Self.bufferBytes - position)
  }

  /// The first `count` bytes of the last `room()`, now read.
  mutating func take(_ count: Int) -> Bytes {
    precondition(count >= 0 && position + count <= Self.bufferBytes, "read beyond the buffer")
    defer { position += count }
    return Bytes(
      owner: current, UnsafeRawBufferPointer(start: current.base + position, count: count))
  }

  private mutating func replace() {
    position = 0
    for index in retired.indices where isKnownUniquelyReferenced(&retired[index]) {
      swap(&current, &retired[index])
      return
    }
    if retired.count == Self.retiredMax { retired.removeFirst() }
    retired.append(current)
    current = ByteStorage.make(capacity: Self.bufferBytes)
  }
}
