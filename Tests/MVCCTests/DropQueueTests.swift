import Testing

@testable import MVCC

@Suite struct DropQueueTests {
  /// Revisions evenly spread, in a corner, all the same, at the ends of what 64 bits hold.
  static let shapes: [[Int64]] = {
    var shapes: [[Int64]] = [Array(1...5000), [Int64](repeating: 77, count: 900), []]
    shapes.append((1...5000).map { (number: Int64) in 1_000_000 + number / 3 })
    shapes.append([0, 1, Int64.max - 1, 5, Int64.max])
    shapes.append([-5, -1, 3, 9])
    return shapes
  }()

  @Test(arguments: shapes.indices)
  func comesInOrderAndInParts(shape: Int) {
    let mains = Self.shapes[shape]
    let revisions = mains.enumerated().map { Revision(main: $1, sub: Int64($0 % 7 * 1000 + $0)) }
    let newest = mains.max() ?? 0
    for limit in [1, 10, 1000] {
      var queue = DropQueue(upTo: newest)
      for (number, revision) in revisions.shuffled().enumerated() {
        queue.add((revision, number % 2 == 0))
      }
      #expect(queue.count == mains.count && queue.rest.count == mains.count)
      var found: [Revision] = []
      while !queue.isEmpty {
        let part = queue.next(limit)
        #expect(!part.isEmpty)
        let isOne = Set(part.map(\.revision.main)).count == 1
        let isOutside = part.allSatisfy { $0.revision.main <= 0 || $0.revision.main > 1 << 62 }
        #expect(part.count <= limit || isOne || isOutside)
        found += part.map(\.revision)
        #expect(queue.count == mains.count - found.count)
      }
      #expect(queue.next(limit).isEmpty)
      #expect(found == revisions.sorted())
    }
  }
}
