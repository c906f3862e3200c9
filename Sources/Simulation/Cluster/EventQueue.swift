import EtcdAPI

/// Things that are going to happen, ordered by time and, at one time, by when they were planned.
struct EventQueue {
  enum Action {
    case tick(MemberID, life: Int)
    /// The interval of the backend's commits is over.
    case commit(MemberID, life: Int)
    /// The core handles what waits in its inbox.
    case turn(MemberID, life: Int)
    case log(MemberID, life: Int)
    case storage(MemberID, life: Int)
    /// The loop of clients and peers sees what turns gave.
    case loop(MemberID, life: Int)
    case deliver(Raftpb.Message, to: MemberID)
    /// The next piece of a snapshot on its way.
    case transfer(Int)
    case call(client: Int)
    case giveUp(operation: Int)
    /// The next step of a client that holds a lease.
    case lease(holder: Int)
    /// The next step of a client that wants the lock.
    case lock(client: Int)
    /// The next steps of the operators of users and of members.
    case authStep
    case changeStep
    /// The next step of a client that watches.
    case watch(client: Int)
    /// A member reads the history that its watchers wait for, and then they get it.
    case scan(MemberID, life: Int)
    case scanned(MemberID, life: Int)
    /// A removed member ends.
    case retire(MemberID, life: Int)
    case fault
    case restart(MemberID, life: Int)
    case mend
    case freeSpace(MemberID)
    /// What a disk did wrong shows.
    case expose(MemberID)
    /// The next steps of whoever looks after alarms, and after backups.
    case alarm
    case restore
    /// The next step of a client of the v2 API.
    case v2(client: Int)
    /// Clients of a life come, and go, and something goes wrong.
    case burst(chapter: Int)
    case calm(chapter: Int)
    case strike
  }

  /// What is moved to keep the order is small; actions stay where they are.
  private struct Item {
    let time: Int
    let order: Int
    let slot: Int

    static func < (a: Item, b: Item) -> Bool {
      a.time != b.time ? a.time < b.time : a.order < b.order
    }
  }

  private var heap: [Item] = []
  private var actions: [Action?] = []
  private var freeSlots: [Int] = []
  private var planned = 0

  mutating func add(_ action: Action, at time: Int) {
    planned += 1
    heap.append(Item(time: time, order: planned, slot: keep(action)))
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func keep(_ action: Action) -> Int {
    guard let slot = freeSlots.popLast() else {
      actions.append(action)
      return actions.count - 1
    }
    actions[slot] = action
    return slot
  }

  mutating func next() -> (time: Int, action: Action)? {
    guard let first = heap.first, let action = actions[first.slot].take() else { return nil }
    freeSlots.append(first.slot)
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = parent
        for child in (2 * parent + 1)..<(2 * parent + 3) where child < heap.count {
          if heap[child] < heap[least] { least = child }
        }
        if least == parent { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    return (first.time, action)
  }
}
