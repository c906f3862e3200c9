import EtcdAPI
import Testing

@testable import Member

@Suite struct DiskWatchTests {
  @Test func silenceAloneIsStuck() {
    var watch = DiskWatch()
    #expect(!watch.isStuck(tick: 1000, after: 10), "there is nothing to write")
    watch.began(tick: 5, isInstallation: false)
    watch.began(tick: 9, isInstallation: false)
    #expect(!watch.isStuck(tick: 14, after: 10) && watch.isStuck(tick: 15, after: 10))
    // Slow is not stuck.
    watch.reported(tick: 16, underWay: 1)
    #expect(!watch.isStuck(tick: 25, after: 10) && watch.isStuck(tick: 26, after: 10))
    watch.reported(tick: 27, underWay: 0)
    #expect(!watch.isStuck(tick: 99, after: 10))
    watch.began(tick: 100, isInstallation: true)
    #expect(!watch.isStuck(tick: 999, after: 10), "a database takes its time")
    watch.reported(tick: 1000, underWay: 0)
    watch.began(tick: 1000, isInstallation: false)
    #expect(watch.isStuck(tick: 1010, after: 10))
  }

  @Test func successorsAreAskedInTurn() {
    var watch = DiskWatch()
    let all: [(id: MemberID, match: UInt64)] = [(2, 5), (3, 7), (4, 7)]
    func next(_ tick: Int) -> MemberID? { watch.successor(among: all, tick: tick, pause: 10) }
    #expect(next(0) == 3, "the most advanced, of equals the first")
    #expect(next(10) == nil, "raft has its time")
    #expect(next(11) == 4 && next(22) == 2 && next(33) == 3)
    watch.reported(tick: 34, underWay: 0)
    #expect(next(35) == 3)
    #expect(watch.successor(among: [], tick: 99, pause: 10) == nil)
  }
}
