import Bytes

/// Finds numbers by keys that somebody else holds: five bytes an entry, where a dictionary would hold every key
/// a second time. A value with one owner.
///
/// Guarantees:
/// 1. Between a number's place and the place that its key hashes to, no place is empty (linear probing; removal
///    moves back what it would cut off).
/// 2. At least a fifth of the places is empty.
/// 3. The tag of a place is bits of the hash of its number's key, 0 when the place is empty.
struct KeyTable: Sendable {
  /// A key that is not there is looked for by every put: it meets tags that differ, and no key.
  private var tags: ContiguousArray<UInt8> = []
  private var numbers: ContiguousArray<Int32> = []
  private(set) var count = 0

  private static let empty: UInt8 = 0
  private static let placesAtFirst = 16

  /// Where a key is looked for.
  private struct Hash {
    let place: Int
    let tag: UInt8
  }

  private func hash(_ key: Bytes) -> Hash {
    let hash = key.hashValue
    // checked: a mask of the count, which is a power of two; the tag is of the bits at the other end.
    return Hash(place: hash & (tags.count - 1), tag: UInt8(truncatingIfNeeded: hash >> 56) | 0x80)
  }

  private func after(_ place: Int) -> Int { (place + 1) & (tags.count - 1) }

  /// - Parameter keyOf: the key of a number that was inserted.
  func find(_ key: Bytes, _ keyOf: (Int32) -> Bytes) -> Int32? {
    guard count > 0 else { return nil }
    let hash = hash(key)
    var place = hash.place
    while tags[place] != Self.empty {
      if tags[place] == hash.tag, keyOf(numbers[place]) == key { return numbers[place] }
      place = after(place)
    }
    return nil
  }

  /// Adds a number, whose key must not be there.
  mutating func insert(_ number: Int32, _ key: Bytes, _ keyOf: (Int32) -> Bytes) {
    if (count + 1) * 5 > tags.count * 4 {
      let old = (tags, numbers)
      let room = Swift.max(tags.count * 2, Self.placesAtFirst)
      tags = ContiguousArray(repeating: Self.empty, count: room)
      numbers = ContiguousArray(repeating: 0, count: room)
      for (tag, number) in zip(old.0, old.1) where tag != Self.empty { put(number, keyOf(number)) }
    }
    put(number, key)
    count += 1
  }

  private mutating func put(_ number: Int32, _ key: Bytes) {
    let hash = hash(key)
    var place = hash.place
    while tags[place] != Self.empty { place = after(place) }
    tags[place] = hash.tag
    numbers[place] = number
  }

  /// Removes the number of a key, which must be there.
  mutating func remove(_ key: Bytes, _ keyOf: (Int32) -> Bytes) {
    var hole = hash(key).place
    while true {
      precondition(tags[hole] != Self.empty, "a key that is not there is removed")
      if keyOf(numbers[hole]) == key { break }
      hole = after(hole)
    }
    var place = hole
    while true {
      place = after(place)
      guard tags[place] != Self.empty else { break }
      // What belongs at or before the hole moves into it.
      let distance = (place - hash(keyOf(numbers[place])).place) & (tags.count - 1)
      if distance >= (place - hole) & (tags.count - 1) {
        (tags[hole], numbers[hole]) = (tags[place], numbers[place])
        hole = place
      }
    }
    tags[hole] = Self.empty
    count -= 1
    if count == 0, tags.count > 1_024 { (tags, numbers) = ([], []) }
  }
}
