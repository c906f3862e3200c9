import EtcdAPI
import TestSupport
import Testing

@testable import Member

/// The queue against a dictionary that is searched.
@Suite struct DueQueueTests {
  @Test func agreesWithADictionary() {
    var random = SeededGenerator.printed("DueQueue")
    for _ in 0..<50 {
      var queue = DueQueue()
      var model: [LeaseID: (due: Int64, next: Int64)] = [:]
      var now: Int64 = 0
      for _ in 0..<2000 {
        let id = LeaseID(.random(in: 1...40, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
          let due = now + Int64.random(in: -5...300, using: &random)
          queue.set(id, due: due)
          model[id] = (due, Swift.max(due, Swift.min(model[id]?.next ?? due, due)))
        case 5:
          queue.remove(id)
          model[id] = nil
        default:
          now += Int64.random(in: 0...30, using: &random)
          var steps = 1000
          var taken: Set<LeaseID> = []
          while let id = queue.takeDue(now: now, again: now + 50, steps: &steps) {
            #expect(taken.insert(id).inserted, "\(id) was taken twice at \(now)")
            #expect(model[id].map { $0.due <= now } == true, "\(id) was not due")
          }
          for (id, entry) in model where entry.due <= now && entry.next <= now {
            #expect(taken.contains(id), "\(id) was due and not taken")
            model[id] = (entry.due, now + 50)
          }
          for id in taken { model[id]?.next = now + 50 }
        }
        #expect(queue.count == model.count)
        #expect(queue.due(of: id) == model[id]?.due)
      }
    }
  }

  /// Ids that come and go leave no places behind, however far in the future they were due.
  @Test func staysSmall() {
    var queue = DueQueue()
    for number in 1...100_000 as ClosedRange<Int64> {
      queue.set(LeaseID(number), due: 1_000_000_000)
      queue.remove(LeaseID(number))
    }
    #expect(queue.count == 0)
    #expect(queue.places < 5000)
    for _ in 0..<10_000 { queue.set(1, due: 5) }
    #expect(queue.places < 5000)
  }

  /// The limit of steps holds, and what was left comes at the next call.
  @Test func worksInBoundedSteps() {
    var queue = DueQueue(sorted: (1...100).map { (id: LeaseID($0), due: 10) })
    var steps = 30
    var taken = 0
    while queue.takeDue(now: 10, again: 1000, steps: &steps) != nil { taken += 1 }
    #expect(taken == 30 && steps == 0)
    steps = 1000
    while queue.takeDue(now: 10, again: 1000, steps: &steps) != nil { taken += 1 }
    #expect(taken == 100)
  }
}
