/// Revisions of one key in ascending order, in pieces: a change behind a snapshot copies one piece, not all
/// that a key which is written all the time has. Most keys have few revisions and one piece.
///
/// - Shape: 8 bytes; pieces of up to 128 revisions, 5 KiB, in blocks of up to 128 pieces.
/// - Complexity: of a change O(1) and, behind a snapshot, a copy of one piece and of a reference to every 16,384th
///   revision; of a search O(log n).
struct RevisionList: RandomAccessCollection, Sendable {
  private typealias Piece = ContiguousArray<KeyRevision>
  private typealias Block = ContiguousArray<Piece>

  private enum Storage {
    case one(Piece)
    /// Two pieces at least. Only the first and the last piece and the first and the last block are not full,
    /// the first ones at their beginning.
    case many(ContiguousArray<Block>)
  }

  private static let bits = 7
  private static let full = 1 << bits

  private var storage: Storage

  init(_ first: KeyRevision) { storage = .one([first]) }

  var startIndex: Int { 0 }

  var endIndex: Int {
    switch storage {
    case .one(let piece): return piece.count
    case .many(let blocks):
      let last = blocks[blocks.count - 1]
      let pieces = (blocks.count - 1) * Self.full + last.count - 1
      return pieces * Self.full + last[last.count - 1].count - Self.missing(blocks)
    }
  }

  /// Revisions that the first block and its first piece have less than full ones.
  private static func missing(_ blocks: ContiguousArray<Block>) -> Int {
    missingPieces(blocks) * full + full - blocks[0][0].count
  }

  private static func missingPieces(_ blocks: ContiguousArray<Block>) -> Int {
    blocks.count == 1 ? 0 : full - blocks[0].count
  }

  subscript(_ position: Int) -> KeyRevision {
    switch storage {
    case .one(let piece): return piece[position]
    case .many(let blocks):
      let (block, piece, place) = Self.locate(position, blocks)
      return blocks[block][piece][place]
    }
  }

  /// Where the revision at a position is.
  private static func locate(_ position: Int, _ blocks: ContiguousArray<Block>) -> (Int, Int, Int) {
    let place = position + missing(blocks)
    let (block, piece) = (place >> (2 * bits), place >> bits & (full - 1))
    return (
      block, block == 0 ? piece - missingPieces(blocks) : piece,
      place < full * (missingPieces(blocks) + 1) ? position : place & (full - 1)
    )
  }

  mutating func append(_ next: KeyRevision) {
    switch storage {
    case .one(var piece):
      // So that the array has one owner while it is changed.
      storage = .one([])
      if piece.count < Self.full {
        piece.append(next)
        storage = .one(piece)
      } else {
        storage = .many([[piece, [next]]])
      }
    case .many(var blocks):
      storage = .one([])
      Self.append(next, to: &blocks)
      storage = .many(blocks)
    }
  }

  private static func append(_ next: KeyRevision, to blocks: inout ContiguousArray<Block>) {
    let block = blocks.count - 1
    let piece = blocks[block].count - 1
    if blocks[block][piece].count < full {
      blocks[block][piece].append(next)
    } else if blocks[block].count < full {
      blocks[block].append([next])
    } else {
      blocks.append([[next]])
    }
  }

  /// - Precondition: fewer than all.
  mutating func removeFirst(_ count: Int) {
    precondition(count >= 0 && count < endIndex, "\(count) of \(endIndex) revisions go")
    switch storage {
    case .one(var piece):
      storage = .one([])
      piece.removeFirst(count)
      storage = .one(piece)
    case .many(var blocks):
      storage = .one([])
      let (block, piece, place) = Self.locate(count, blocks)
      blocks.removeFirst(block)
      blocks[0].removeFirst(piece)
      blocks[0][0].removeFirst(place)
      let isOne = blocks.count == 1 && blocks[0].count == 1
      storage = isOne ? .one(blocks[0][0]) : .many(blocks)
    }
  }

  /// Number of revisions whose main revision is at most `main`.
  func count(upTo main: Int64) -> Int {
    var (low, high) = (0, endIndex)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].main <= main { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
