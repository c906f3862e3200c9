import EtcdAPI
import Member
import TestSupport
import Testing

@Suite struct IDTableTests {
  /// The same answers as a dictionary, for ids in sequence and of several members.
  @Test func equalsADictionary() {
    var random = SeededGenerator.printed("IDTable")
    var table = IDTable<Int>()
    var model: [RequestID: Int] = [:]
    var makers = (1...3).map {
      RequestIDs(member: MemberID($0 << 40), start: $0 << 20)
    }
    var ids: [RequestID] = []
    for step in 0..<20_000 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let id = makers[Int.random(in: 0..<3, using: &random)].next()
        ids.append(id)
        table.insert(step, for: id)
        model[id] = step
      case 5..<9:
        guard let id = ids.randomElement(using: &random) else { continue }
        #expect(table.remove(id) == model.removeValue(forKey: id))
      default:
        guard let id = ids.randomElement(using: &random) else { continue }
        #expect(table[id] == model[id])
        if model[id] != nil {
          table.insert(-step, for: id)
          model[id] = -step
        }
      }
      #expect(table.count == model.count)
    }
    for (id, value) in model { #expect(table[id] == value) }
    #expect(table.removeAll().sorted() == model.values.sorted())
    #expect(table.isEmpty)
  }

  /// Ids of two lives of a member begin at different numbers and do not meet, wherever they begin; the clock has no part
  /// in it.
  @Test func livesShareNoIDs() {
    var random = SeededGenerator.printed("RequestIDs")
    for lane in 0..<RequestIDs.lanesMax {
      var seen: Set<RequestID> = []
      for start: UInt64 in [0, .random(in: .min ... .max, using: &random), .max - 500] {
        var ids = RequestIDs(member: 0x1234, lane: lane, start: start)
        for _ in 0..<1_000 {
          let id = ids.next()
          #expect(id.lane == lane)
          seen.insert(id)
        }
      }
      // The last life goes on behind the greatest number, where the first one was.
      #expect(seen.count == 3_000 - 499)
    }
  }

  @Test func holdsZeroAndEqualValues() {
    var table = IDTable<String>()
    #expect(table.remove(0) == nil)
    table.insert("a", for: 0)
    table.insert("b", for: 0)
    #expect(table.count == 1)
    #expect(table.remove(0) == "b")
    #expect(table[0] == nil)
  }
}
