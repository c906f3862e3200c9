/// An array that grows by pieces of one size: no room for as many elements again, and no turn in which a million
/// are copied. A value with one owner.
struct ChunkedArray<Element: Sendable>: Sendable {
  private static var chunkBits: Int { 10 }
  private static var chunkCount: Int { 1 << chunkBits }

  private var chunks: ContiguousArray<ContiguousArray<Element>> = []
  private(set) var count = 0

  var indices: Range<Int> { 0..<count }

  /// - Precondition: the position is below `count`.
  subscript(_ position: Int) -> Element {
    get { chunks[position >> Self.chunkBits][position & (Self.chunkCount - 1)] }
    _modify {
      yield &chunks[position >> Self.chunkBits][position & (Self.chunkCount - 1)]
    }
  }

  mutating func append(_ element: Element) {
    if count & (Self.chunkCount - 1) == 0 {
      var chunk = ContiguousArray<Element>()
      // The first one grows as it is used: most are small.
      if count > 0 { chunk.reserveCapacity(Self.chunkCount) }
      chunks.append(chunk)
    }
    chunks[chunks.count - 1].append(element)
    count += 1
  }
}
