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
      RequestIDs(member: MemberID($0 << 40), milliseconds: 1_700_000_000_000)
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
