/// How far the blocks of a segment hold something on the disk.
///
/// A segment is preallocated: its blocks are reserved and read as zeros without having been written. The fdatasync behind
/// the first write to such a block also has to journal that it holds data now, a third of its time or more; behind a write
/// to a block that was written before it has not. Small flushes, those of few clients, therefore write zeros ahead of the
/// log now and then, along with their records. What is read does not change: zeros stand there either way.
struct ZeroedExtent {
  /// Bytes written ahead at a time.
  static let aheadBytes = 128 << 10
  /// A larger flush waits for its own bytes, and would have each byte written twice.
  static let flushBytesMax = 16 << 10

  /// Everything before it was written, as records or as zeros.
  private var end: Int

  init(end: Int) { self.end = end }

  /// The zeros to write behind a flush of `flush`, inside a segment of `segmentBytes`; nil most of the time.
  mutating func ahead(of flush: Range<Int>, segmentBytes: Int) -> Range<Int>? {
    guard flush.upperBound > end else { return nil }
    end = flush.upperBound
    guard flush.count <= Self.flushBytesMax, flush.upperBound < segmentBytes else { return nil }
    // checked: the length of a flush and a segment are far below 2^62
    end = Swift.min(flush.upperBound + Self.aheadBytes, segmentBytes)
    return flush.upperBound..<end
  }
}
