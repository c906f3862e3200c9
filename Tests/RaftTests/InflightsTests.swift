import Testing

@testable import Raft

@Suite struct InflightsTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func agreesWithAnArray(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let (limit, byteLimit) = (1 + random.below(20), UInt64(random.below(3) * 100))
    var window = Inflights(limit: limit, byteLimit: byteLimit)
    var model: [(index: UInt64, bytes: UInt64)] = []
    var index: UInt64 = 0
    for step in 0..<5000 {
      let bytes = model.reduce(0) { $0 + $1.bytes }
      let isFull = model.count == limit || (byteLimit != 0 && bytes >= byteLimit)
      #expect(window.isFull == isFull, "seed \(seed) step \(step)")
      #expect(window.count == model.count && window.bytes == bytes)
      if random.below(3) > 0 && !isFull {
        index += UInt64(1 + random.below(3))
        let size = UInt64(random.below(40))
        window.add(index: index, bytes: size)
        model.append((index, size))
      } else if random.below(50) == 0 {
        window.reset()
        model = []
      } else {
        let to = index - min(index, UInt64(random.below(8)))
        window.free(through: to)
        model.removeAll { $0.index <= to }
      }
    }
  }

  @Test func progressPausesAndResumes() {
    var progress = Progress(
      next: 5, inflights: Inflights(limit: 2, byteLimit: 100), isLearner: false)
    progress.sent(entries: 1, bytes: 10)
    #expect(progress.isPaused && progress.next == 5)
    let taken1 = progress.acknowledge(5)
    #expect(taken1)
    progress.becomeReplicate()
    #expect(!progress.isPaused && progress.next == 6)
    progress.sent(entries: 2, bytes: 10)
    #expect(!progress.isPaused && progress.next == 8)
    progress.sent(entries: 1, bytes: 10)
    #expect(progress.isPaused && progress.inflights.isFull)
    #expect(
      progress.description == "StateReplicate match=5 next=9 paused inactive inflight=2[full]")
    let taken2 = progress.acknowledge(5)
    #expect(!taken2)
    let taken3 = progress.acknowledge(7)
    #expect(taken3)
    progress.inflights.free(through: 7)
    #expect(!progress.isPaused && progress.inflights.count == 1)
    progress.sent(entries: 1, bytes: 90)
    #expect(progress.isPaused, "bytes fill the window")
    let taken4 = progress.reject(9, hint: 8)
    #expect(taken4)
    #expect(progress.next == 8)
    let taken5 = progress.reject(7, hint: 6)
    #expect(!taken5, "matched before")
    progress.becomeSnapshot(at: 20)
    #expect(progress.isPaused && progress.next == 21)
    progress.becomeProbe()
    #expect(progress.next == 21 && progress.match == 7)
  }
}
