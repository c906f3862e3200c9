import Bytes

/// Which watchers of clients share which watch of the cluster. Pure.
///
/// A watch of the cluster knows the revision that it tells next. A watcher may share it when it wants nothing older:
/// what lies before its own first revision is left out for it alone. One that wants history has a watch of its own
/// until that has come as far as another of the same keys; from then on they share that one.
///
/// - Source: etcd `grpcproxy/watch_broadcast.go`, `watch_broadcasts.go`, `watch_ranges.go`. There a watcher from now on
///   costs the cluster a watch until that has been merged, at most five at a time.
struct WatchBoard {
  /// Keys that are watched.
  struct Keys: Hashable, Sendable {
    let key: Bytes
    let end: Bytes
  }

  /// Names a watch of the cluster; counts up from 1.
  typealias SharedID = Int64
  /// Names a watcher of a client; counts up from 1.
  typealias WatcherID = UInt64

  /// A watch of the cluster.
  struct Shared: Sendable {
    let keys: Keys
    /// Whether events bring what was there before.
    let hasPrevious: Bool
    /// What it tells next is of this revision or later.
    var next: Int64
    /// Whether it has been as far as the cluster at some time, so that it is not busy with history.
    var isLive: Bool
    var watchers: Set<WatcherID> = []
    /// How many of them want what was there before.
    var previousWanted = 0
  }

  /// What a watcher shares from now on.
  struct Place: Equatable {
    let shared: SharedID
    /// The first revision that it is told.
    let first: Int64
    /// Whether the watch has to be begun.
    let isNew: Bool
  }

  /// Watchers of one watch that go over to another.
  struct Merge: Equatable, Sendable {
    let from: SharedID
    let into: SharedID
    /// What comes before it was told already.
    let next: Int64
  }

  private struct Watcher {
    let shared: SharedID
    let wantsPrevious: Bool
  }

  private(set) var shared: [SharedID: Shared] = [:]
  private var byKeys: [Keys: [SharedID]] = [:]
  private var watchers: [WatcherID: Watcher] = [:]
  private var lastID: SharedID = 0

  /// Watchers that share a watch with an earlier one.
  var coalesced: Int { watchers.count &- shared.count }

  /// - Parameters:
  ///   - start: the first revision that is wanted; 0 for what happens from now on.
  ///   - now: the revision of the cluster as it was read for this watcher.
  mutating func add(
    _ id: WatcherID, _ keys: Keys, start: Int64, now: Int64, wantsPrevious: Bool
  ) -> Place {
    let wanted = start == 0 ? now &+ 1 : start
    let candidates = (byKeys[keys] ?? []).filter { at in
      guard let other = shared[at], other.hasPrevious || !wantsPrevious else { return false }
      return start == 0 ? other.isLive : other.next <= wanted
    }
    let best = candidates.max { (shared[$0]?.next ?? 0) < (shared[$1]?.next ?? 0) }
    if let best, let found = shared[best] {
      join(id, best, wantsPrevious)
      // Who watches from now on has missed nothing by what was told before.
      return Place(
        shared: best, first: start == 0 ? Swift.max(wanted, found.next) : wanted, isNew: false)
    }
    // checked: one more with every watch
    lastID += 1
    shared[lastID] = Shared(
      keys: keys, hasPrevious: wantsPrevious, next: wanted, isLive: wanted > now)
    byKeys[keys, default: []].append(lastID)
    join(id, lastID, wantsPrevious)
    return Place(shared: lastID, first: wanted, isNew: true)
  }

  private mutating func join(_ id: WatcherID, _ at: SharedID, _ wantsPrevious: Bool) {
    watchers[id] = Watcher(shared: at, wantsPrevious: wantsPrevious)
    shared[at]?.watchers.insert(id)
    if wantsPrevious { shared[at]?.previousWanted &+= 1 }
  }

  /// The watch that a watcher shares.
  func place(of id: WatcherID) -> SharedID? { watchers[id]?.shared }

  /// - Returns: the watch that nobody shares any more, if that was the last one.
  mutating func remove(_ id: WatcherID) -> SharedID? {
    guard let watcher = watchers.removeValue(forKey: id) else { return nil }
    shared[watcher.shared]?.watchers.remove(id)
    if watcher.wantsPrevious { shared[watcher.shared]?.previousWanted &-= 1 }
    guard shared[watcher.shared]?.watchers.isEmpty == true else { return nil }
    forget(watcher.shared)
    return watcher.shared
  }

  /// A watch has ended with all that share it.
  mutating func end(_ at: SharedID) {
    for id in shared[at]?.watchers ?? [] { watchers[id] = nil }
    forget(at)
  }

  private mutating func forget(_ at: SharedID) {
    guard let gone = shared.removeValue(forKey: at) else { return }
    byKeys[gone.keys]?.removeAll { $0 == at }
    if byKeys[gone.keys]?.isEmpty == true { byKeys[gone.keys] = nil }
  }

  /// A watch has told everything below a revision.
  /// - Parameter now: the revision of the cluster at that time; what is told may lie far behind.
  /// - Returns: watches whose watchers now share another, and which are over.
  mutating func told(_ at: SharedID, next: Int64, now: Int64) -> [Merge] {
    guard var current = shared[at] else { return [] }
    current.next = Swift.max(current.next, next)
    if current.next > now { current.isLive = true }
    shared[at] = current
    guard let others = byKeys[current.keys], others.count > 1 else { return [] }
    var merges: [Merge] = []
    var survivor = at
    for other in others where other != at {
      guard let merge = merge(survivor, other) else { continue }
      merges.append(merge)
      survivor = merge.into
    }
    return merges
  }

  /// Those that have come equally far are the same from now on.
  private mutating func merge(_ a: SharedID, _ b: SharedID) -> Merge? {
    guard let first = shared[a], let second = shared[b], first.next == second.next else {
      return nil
    }
    let isSecondKept = second.watchers.count > first.watchers.count
    let (into, from) = isSecondKept ? (second, first) : (first, second)
    let isTurned = from.previousWanted > 0 && !into.hasPrevious
    let kept = isSecondKept != isTurned ? b : a
    let gone = kept == a ? b : a
    for id in shared[gone]?.watchers ?? [] {
      join(id, kept, watchers[id]?.wantsPrevious ?? false)
    }
    if first.isLive || second.isLive { shared[kept]?.isLive = true }
    forget(gone)
    return Merge(from: gone, into: kept, next: first.next)
  }
}
