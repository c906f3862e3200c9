/// One revision of a key.
struct KeyRevision: Equatable, BitwiseCopyable, Sendable {
  var main: Int64
  /// Main revision at which the generation began; the tombstone's own for a lone tombstone.
  var created: Int64
  /// Changes of the key in its generation up to here, from 1; 0 for a tombstone.
  var version: Int64
  var sub: Int32
  var isTombstone: Bool

  var revision: Revision { Revision(main: main, sub: Int64(sub)) }
}

/// Every revision of one key that is not compacted, oldest first.
///
/// A generation begins with the first put after a tombstone (or ever) and ends with the next
/// tombstone. The newest revision is packed into 16 bytes, for most keys have no other; older ones lie
/// in a list, and so does the newest when its numbers are too large to be packed.
///
/// - Shape: 24 bytes, 56 with the key beside it.
/// - Source: etcd `mvcc/key_index.go`; the flat form is ours.
struct KeyHistory: Sendable {
  /// The newest main revision, packed or not.
  private var main: Int64
  /// Main revisions since the generation began.
  private var age: UInt32 = 0
  /// Version of the newest revision, 0 for a tombstone; `spilled` when `others` ends with it.
  private var version: UInt16 = spilled
  private var sub: UInt16 = 0
  private var others: RevisionList?

  private static let spilled = UInt16.max

  init(_ first: KeyRevision) {
    main = first.main
    setNewest(first)
  }

  private var isSpilled: Bool { version == Self.spilled }

  private mutating func setNewest(_ next: KeyRevision) {
    main = next.main
    let age = next.main &- next.created
    if let age = UInt32(exactly: age), let version = UInt16(exactly: next.version),
      let sub = UInt16(exactly: next.sub), version != Self.spilled,
      next.isTombstone == (version == 0)
    {
      (self.age, self.version, self.sub) = (age, version, sub)
    } else {
      keep(next)
      version = Self.spilled
    }
  }

  private mutating func keep(_ revision: KeyRevision) {
    if others == nil { others = RevisionList(revision) } else { others!.append(revision) }
  }

  var newest: KeyRevision {
    if isSpilled { return others![others!.count - 1] }
    return KeyRevision(
      main: main, created: main - Int64(age), version: Int64(version), sub: Int32(sub),
      isTombstone: version == 0)
  }

  /// Revisions that are there.
  private var count: Int { (others?.count ?? 0) + (isSpilled ? 0 : 1) }

  /// The revision at a position, oldest first.
  private subscript(_ position: Int) -> KeyRevision {
    if let others, position < others.count { return others[position] }
    return newest
  }

  /// Number of revisions whose main revision is at most `main`.
  private func count(upTo main: Int64) -> Int {
    self.main <= main ? count : others?.count(upTo: main) ?? 0
  }

  /// Whether the key exists at the newest revision.
  var isLive: Bool { isSpilled ? !newest.isTombstone : version != 0 }

  /// Adds a later revision.
  mutating func append(_ next: KeyRevision) {
    let newest = newest
    precondition(
      next.revision > newest.revision,
      "revision \(next.revision) of a key must follow \(newest.revision)")
    if !isSpilled { keep(newest) }
    setNewest(next)
  }

  /// The revision that a read at `main` sees; `nil` when the key does not exist then.
  /// - Complexity: O(1) for the newest, O(log n) for others.
  func at(_ main: Int64) -> KeyRevision? {
    if self.main <= main { return isLive ? newest : nil }
    guard let others else { return nil }
    let seen = others.count(upTo: main)
    guard seen > 0 else { return nil }
    let found = others[seen - 1]
    return found.isTombstone ? nil : found
  }

  /// Whether the key was deleted exactly at `main`.
  func hasTombstone(at main: Int64) -> Bool {
    var position = count(upTo: main) - 1
    // A transaction may delete a key and put it again.
    while position >= 0, self[position].main == main {
      if self[position].isTombstone { return true }
      position -= 1
    }
    return false
  }

  /// Number of revisions, from the oldest on, that compaction at `main` removes.
  ///
  /// Kept is everything after `main`, and the last revision at or before it unless that is a
  /// tombstone below `main`: a tombstone exactly at `main` stays for watchers that start there.
  /// - Complexity: O(log n).
  func superseded(at main: Int64) -> Int {
    let upTo = count(upTo: main)
    guard upTo > 0 else { return 0 }
    let last = self[upTo - 1]
    return last.isTombstone && last.main < main ? upTo : upTo - 1
  }

  /// Removes the oldest revisions.
  /// - Parameter dropped: called for each.
  /// - Returns: false when nothing of the key is left.
  mutating func dropFirst(_ limit: Int, dropped: (KeyRevision) -> Void) -> Bool {
    for position in 0..<limit { dropped(self[position]) }
    if limit == count { return false }
    guard let older = others?.count, limit > 0 else { return true }
    if limit == older { others = nil } else { others!.removeFirst(limit) }
    return true
  }

  /// All revisions, oldest first.
  var all: [KeyRevision] { (0..<count).map { self[$0] } }
}
