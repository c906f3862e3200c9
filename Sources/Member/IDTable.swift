import EtcdAPI

/// What waits under ids of requests: a hash table with open addressing.
///
/// Such ids are spread well by one multiplication; a general dictionary would hash each of them four
/// times on the way of a request. Values and ids lie side by side; the table is at most half full.
///
/// - Complexity: every operation is O(1) on average; memory follows the largest number that waited.
public struct IDTable<Value> {
  fileprivate struct Slot {
    var id: RequestID = 0
    var value: Value?
  }

  /// A power of two.
  fileprivate var slots: ContiguousArray<Slot> = []
  private var shift = 64
  /// Values in the table.
  public private(set) var count = 0

  public init() {}

  public var isEmpty: Bool { count == 0 }

  private var mask: Int { slots.count - 1 }

  private func home(_ id: RequestID) -> Int {
    Int(truncatingIfNeeded: (id.rawValue &* 0x9e37_79b9_7f4a_7c15) >> UInt64(shift))
  }

  /// Place of an id, or the free place where its search ends.
  private func place(_ id: RequestID) -> Int {
    var place = home(id)
    while slots[place].value != nil && slots[place].id != id { place = (place + 1) & mask }
    return place
  }

  public subscript(id: RequestID) -> Value? { slots.isEmpty ? nil : slots[place(id)].value }

  /// Puts a value under an id, in place of an earlier one.
  public mutating func insert(_ value: Value, for id: RequestID) {
    if (count + 1) * 2 > slots.count { grow() }
    let place = place(id)
    if slots[place].value == nil { count += 1 }
    slots[place] = Slot(id: id, value: value)
  }

  /// Takes a value out.
  @discardableResult
  public mutating func remove(_ id: RequestID) -> Value? {
    guard count > 0 else { return nil }
    var hole = place(id)
    guard let taken = slots[hole].value else { return nil }
    count -= 1
    slots[hole].value = nil
    // What lies behind the hole moves up, unless it would come before its home.
    var next = (hole + 1) & mask
    while let value = slots[next].value {
      let distance = (next - home(slots[next].id)) & mask
      if distance >= (next - hole) & mask {
        slots[hole] = Slot(id: slots[next].id, value: value)
        slots[next].value = nil
        hole = next
      }
      next = (next + 1) & mask
    }
    return taken
  }

  /// Takes everything out, in no particular order.
  public mutating func removeAll() -> [Value] {
    let all = slots.compactMap(\.value)
    self = IDTable()
    return all
  }

  private mutating func grow() {
    let old = slots
    let size = Swift.max(16, old.count * 2)
    slots = ContiguousArray(repeating: Slot(), count: size)
    shift = 64 - size.trailingZeroBitCount
    for slot in old where slot.value != nil { slots[place(slot.id)] = slot }
  }
}

extension IDTable: Sendable where Value: Sendable {}
extension IDTable.Slot: Sendable where Value: Sendable {}
