import Bytes
import MVCC
import Raft
import Testing

@testable import Watch

/// Who is concerned by a key, against going through all watchers.
@Suite struct WatcherIndexTests {
  private static func key(_ random: inout SplitMix64) -> Bytes {
    Bytes((0..<random.below(4)).map { _ in UInt8(97 + random.below(3)) })
  }

  private static func interval(_ random: inout SplitMix64) -> KeyInterval {
    let start = key(&random)
    switch random.below(4) {
    case 0: return KeyInterval(key: start, rangeEnd: Bytes())
    case 1: return KeyInterval(key: start, rangeEnd: Bytes([0]))
    default:
      let end = key(&random)
      return KeyInterval(
        key: min(start, end), rangeEnd: end == start ? Bytes([0]) : max(start, end))
    }
  }

  @Test(arguments: 0..<20)
  func agreesWithGoingThroughAll(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var index = WatcherIndex(seed: 7)
    var model: [WatcherID: (interval: KeyInterval, group: WatcherIndex.GroupID)] = [:]
    var next: UInt64 = 0
    for step in 0..<600 {
      if random.below(3) > 0 || model.isEmpty {
        next += 1
        let interval = Self.interval(&random)
        model[WatcherID(next)] = (interval, index.add(WatcherID(next), of: interval))
      } else {
        let ids = model.keys.sorted()
        let id = ids[random.below(ids.count)]
        if let known = model.removeValue(forKey: id) { index.remove(id, from: known.group) }
      }
      #expect(index.checkInvariants() == nil, "seed \(seed), step \(step)")
      let key = Self.key(&random)
      var found: [WatcherID] = []
      index.visit(key) { group in index.members(of: group) { found.append($0) } }
      #expect(
        found.sorted() == model.filter { $0.value.interval.contains(key) }.keys.sorted(),
        "seed \(seed), step \(step)")
    }
    #expect(index.count == model.count)
    for (id, known) in model {
      #expect(index.interval(of: known.group) == known.interval)
      index.remove(id, from: known.group)
    }
    #expect(index.count == 0 && index.checkInvariants() == nil)
  }

  /// Equal contents have equal shape: the order of registrations is nothing that members could differ in.
  @Test func manyIntervalsAreFoundAndForgotten() {
    var index = WatcherIndex(seed: 7)
    let count: UInt64 = 20_000
    func interval(_ number: UInt64) -> KeyInterval {
      let digits = String(number)
      let start = Bytes("k" + String(repeating: "0", count: 8 - digits.count) + digits)
      return KeyInterval(key: start, rangeEnd: Bytes(start.string + "~"))
    }
    var groups: [WatcherIndex.GroupID] = []
    for number in 0..<count {
      groups.append(index.add(WatcherID(number + 1), of: interval(number)))
    }
    #expect(index.checkInvariants() == nil)
    for number in stride(from: 0, to: count, by: 997) {
      var found: [WatcherID] = []
      index.visit(Bytes(interval(number).start.string + "x")) { group in
        index.members(of: group) { found.append($0) }
      }
      #expect(found == [WatcherID(number + 1)])
    }
    for number in 0..<count { index.remove(WatcherID(number + 1), from: groups[Int(number)]) }
    #expect(index.count == 0 && index.checkInvariants() == nil)
  }
}
