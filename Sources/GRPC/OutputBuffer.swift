import Bytes

/// Frames on their way to the channel: small ones joined in one buffer, large payloads as the
/// slices they are. Pure.
struct OutputBuffer: ~Copyable {
  private var out = ByteWriter(capacity: idleBytes)
  private var parts: [Bytes] = []
  private var partsBytes = 0

  /// Room of a buffer with nothing in it: a connection that nobody uses should hold little.
  private static let idleBytes = 16
  /// Room for what most turns write.
  private static let usualBytes = 1_024

  /// Payloads up to this size are copied next to their frame head.
  private static let copiedBytesMax = 2_048

  /// Bytes waiting.
  var count: Int { partsBytes + out.count }

  mutating func append(_ memory: UnsafeRawBufferPointer) {
    if out.count == 0 { out.reserve(Self.usualBytes) }
    out.append(memory)
  }

  /// Adds a DATA frame: its head of 9 bytes and `length` bytes of a queue.
  /// - Returns: `false` when the queue could not fetch them all.
  mutating func appendFrame(
    _ head: UnsafePointer<UInt8>, _ length: Int, of queue: inout OutboundQueue
  ) -> Bool {
    append(UnsafeRawBufferPointer(start: head, count: 9))
    return queue.take(length) { bytes in
      if bytes.count <= Self.copiedBytesMax {
        out.append(bytes)
      } else {
        seal()
        parts.append(bytes)
        partsBytes += bytes.count
      }
    }
  }

  private mutating func seal() {
    guard out.count > 0 else { return }
    var taken = ByteWriter(capacity: Self.idleBytes)
    swap(&taken, &out)
    let bytes = taken.finish()
    partsBytes += bytes.count
    parts.append(bytes)
  }

  /// Everything, in order.
  mutating func take() -> [Bytes] {
    seal()
    defer {
      parts = []
      partsBytes = 0
    }
    return parts
  }
}
