import Bytes
import TestSupport
import Testing

@testable import Watch

@Suite struct KeyTableTests {
  /// The same answers as a dictionary, with few keys and many, that come and go.
  @Test(arguments: [7, 400, 5_000]) func equalsADictionary(keys count: Int) {
    var random = SeededGenerator.printed("KeyTable")
    var table = KeyTable()
    var model: [Bytes: Int32] = [:]
    // Numbers are given anew, so that a key has another one each time.
    var keys: [Bytes] = []
    func keyOf(_ number: Int32) -> Bytes { keys[Int(number)] }
    for step in 0..<30_000 {
      let key = Bytes("key \(Int.random(in: 0..<count, using: &random))")
      // More come than go at first, and the other way round at the end.
      if let known = model[key], Int.random(in: 0..<30_000, using: &random) < step {
        #expect(table.find(key, keyOf) == known)
        table.remove(key, keyOf)
        model[key] = nil
      } else if model[key] == nil, Int.random(in: 0..<30_000, using: &random) > step / 2 {
        keys.append(key)
        let number = Int32(keys.count - 1)
        table.insert(number, key, keyOf)
        model[key] = number
      }
      #expect(table.find(key, keyOf) == model[key])
      #expect(table.count == model.count)
    }
    for number in 0..<count {
      let key = Bytes("key \(number)")
      #expect(table.find(key, keyOf) == model[key])
    }
    for (key, _) in model { table.remove(key, keyOf) }
    #expect(table.count == 0 && table.find("key 1", keyOf) == nil)
  }
}
