import Bytes

/// Finds numbers by keys that somebody else holds: four bytes an entry, where a dictionary would hold every key
/// a second time. A value with one owner.
///
/// Guarantees:
/// 1. Between a number's place and the place that its key hashes to, no place is empty (linear probing; removal
///    moves back what it would cut off).
/// 2. At least a fifth of the places is empty.
struct KeyTable: Sendable {
  private var places: ContiguousArray<Int32> = []
  private(set) var count = 0

  private static let empty: Int32 = -1
  private static let placesAtFirst = 16

  private func home(_ key: Bytes) -> Int {
    // checked: a mask of the count, which is a power of two.
    key.hashValue & (places.count - 1)
  }

  private func after(_ place: Int) -> Int { (place + 1) & (places.count - 1) }

  /// - Parameter keyOf: the key of a number that was inserted.
  func find(_ key: Bytes, _ keyOf: (Int32) -> Bytes) -> Int32? {
    guard count > 0 else { return nil }
    var place = home(key)
    while places[place] != Self.empty {
      if keyOf(places[place]) == key { return places[place] }
      place = after(place)
    }
    return nil
  }

  /// Adds a number, whose key must not be there.
  mutating func insert(_ number: Int32, _ key: Bytes, _ keyOf: (Int32) -> Bytes) {
    if (count + 1) * 5 > places.count * 4 {
      let old = places
      places = ContiguousArray(
        repeating: Self.empty, count: Swift.max(old.count * 2, Self.placesAtFirst))
      for number in old where number != Self.empty { put(number, keyOf(number)) }
    }
    put(number, key)
    count += 1
  }

  private mutating func put(_ number: Int32, _ key: Bytes) {
    var place = home(key)
    while places[place] != Self.empty { place = after(place) }
    places[place] = number
  }

  /// Removes the number of a key, which must be there.
  mutating func remove(_ key: Bytes, _ keyOf: (Int32) -> Bytes) {
    var hole = home(key)
    while keyOf(places[hole]) != key { hole = after(hole) }
    var place = hole
    while true {
      place = after(place)
      let number = places[place]
      guard number != Self.empty else { break }
      // What belongs at or before the hole moves into it.
      let distance = (place - home(keyOf(number))) & (places.count - 1)
      if distance >= (place - hole) & (places.count - 1) {
        places[hole] = number
        hole = place
      }
    }
    places[hole] = Self.empty
    count -= 1
    if count == 0, places.count > 1_024 { places = [] }
  }
}
