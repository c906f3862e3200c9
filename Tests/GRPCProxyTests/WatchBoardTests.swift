import Bytes
import Testing

@testable import GRPCProxy

@Suite struct WatchBoardTests {
  private let keys = WatchBoard.Keys(key: "k", end: "")

  @Test func thoseWhoWatchFromNowOnShareOne() {
    var board = WatchBoard()
    let first = board.add(1, keys, start: 0, now: 10, wantsPrevious: false)
    #expect(first == .init(shared: 1, first: 11, isNew: true))
    // The cluster has gone on, and so has the watch.
    #expect(board.told(1, next: 16, now: 15).isEmpty)
    for id in UInt64(2)..<1_000 {
      let place = board.add(id, keys, start: 0, now: 12, wantsPrevious: false)
      #expect(place == .init(shared: 1, first: 16, isNew: false))
    }
    #expect(board.shared.count == 1 && board.coalesced == 998)
    let other = board.add(
      2_000, WatchBoard.Keys(key: "k", end: "z"), start: 0, now: 12, wantsPrevious: false)
    #expect(other.isNew)
  }

  @Test func historyHasAWatchOfItsOwnUntilItHasCaughtUp() {
    var board = WatchBoard()
    _ = board.add(1, keys, start: 0, now: 100, wantsPrevious: false)
    let late = board.add(2, keys, start: 5, now: 100, wantsPrevious: false)
    #expect(late == .init(shared: 2, first: 5, isNew: true))
    // Whoever watches from now on does not wait for history.
    #expect(board.add(3, keys, start: 0, now: 100, wantsPrevious: false).shared == 1)
    #expect(board.told(2, next: 50, now: 100).isEmpty)
    #expect(board.told(1, next: 103, now: 102).isEmpty)
    #expect(board.told(2, next: 103, now: 102) == [.init(from: 2, into: 1, next: 103)])
    #expect(board.shared.count == 1 && board.shared[1]?.watchers == [1, 2, 3])
    #expect(board.remove(2) == nil && board.remove(1) == nil && board.remove(3) == 1)
  }

  @Test func aWatchThatHasToldMoreIsNotShared() {
    var board = WatchBoard()
    _ = board.add(1, keys, start: 0, now: 100, wantsPrevious: false)
    _ = board.told(1, next: 120, now: 119)
    #expect(board.add(2, keys, start: 119, now: 119, wantsPrevious: false).isNew)
    #expect(!board.add(3, keys, start: 120, now: 119, wantsPrevious: false).isNew)
    #expect(board.add(4, keys, start: 500, now: 119, wantsPrevious: false).first == 500)
  }

  @Test func whatWasThereBeforeIsKeptInMerges() {
    var board = WatchBoard()
    for id in UInt64(1)...3 { _ = board.add(id, keys, start: 0, now: 10, wantsPrevious: false) }
    let rich = board.add(4, keys, start: 0, now: 10, wantsPrevious: true)
    #expect(rich.isNew)
    _ = board.told(1, next: 12, now: 11)
    #expect(board.told(rich.shared, next: 12, now: 11) == [.init(from: 1, into: 2, next: 12)])
    #expect(board.shared[2]?.watchers.count == 4)
    // Without that wish the larger one stays.
    #expect(!board.add(5, keys, start: 0, now: 11, wantsPrevious: false).isNew)
  }

  @Test func anEndedWatchTakesItsWatchersAlong() {
    var board = WatchBoard()
    _ = board.add(1, keys, start: 0, now: 1, wantsPrevious: false)
    _ = board.add(2, keys, start: 0, now: 1, wantsPrevious: true)
    board.end(1)
    #expect(board.remove(1) == nil && board.shared.count == 1 && board.coalesced == 0)
    #expect(board.add(3, keys, start: 0, now: 1, wantsPrevious: false).shared == 2)
  }
}
