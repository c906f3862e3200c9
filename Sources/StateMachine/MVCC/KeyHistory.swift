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
/// in an array, and so does the newest when its numbers are too large to be packed.
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
  private var others: ContiguousArray<KeyRevision>?

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
      if others == nil { others = [] }
      others!.append(next)
      version = Self.spilled
    }
  }

  var newest: KeyRevision {
    if isSpilled { return others![others!.count - 1] }
    return KeyRevision(
      main: main, created: main - Int64(age), version: Int64(version), sub: Int32(sub),
      isTombstone: version == 0)
  }

  /// Revisions before the newest.
  private var olderCount: Int { (others?.count ?? 0) - (isSpilled ? 1 : 0) }

  /// Whether the key exists at the newest revision.
  var isLive: Bool { isSpilled ? !newest.isTombstone : version != 0 }

  /// Adds a later revision.
  mutating func append(_ next: KeyRevision) {
    let newest = newest
    precondition(
      next.revision > newest.revision,
      "revision \(next.revision) of a key must follow \(newest.revision)")
    if !isSpilled {
      if others == nil { others = [] }
      others!.append(newest)
    }
    setNewest(next)
  }

  /// The revision that a read at `main` sees; `nil` when the key does not exist then.
  func at(_ main: Int64) -> KeyRevision? {
    if self.main <= main { return isLive ? newest : nil }
    guard let others else { return nil }
    guard let found = others[..<olderCount].last(where: { $0.main <= main }) else { return nil }
    return found.isTombstone ? nil : found
  }

  /// Whether the key was deleted exactly at `main`.
  func hasTombstone(at main: Int64) -> Bool {
    if self.main == main { return !isLive }
    return others?[..<olderCount].contains { $0.main == main && $0.isTombstone } ?? false
  }

  /// Drops what compaction at `main` removes.
  ///
  /// Kept is everything after `main`, and the last revision at or before it unless that is a
  /// tombstone below `main`: a tombstone exactly at `main` stays for watchers that start there.
  /// - Returns: false when nothing of the key is left.
  mutating func compact(at main: Int64, dropped: (KeyRevision) -> Void) -> Bool {
    let newest = newest
    var isLone = olderCount == 0
    if !isLone, let all = others {
      let older = all[..<olderCount]
      let last = newest.main <= main ? nil : older.lastIndex { $0.main <= main }
      var kept: ContiguousArray<KeyRevision> = []
      for (position, entry) in older.enumerated() {
        let keeps =
          entry.main > main || (position == last && (!entry.isTombstone || entry.main == main))
        if keeps { kept.append(entry) } else { dropped(entry) }
      }
      isLone = kept.isEmpty
      if isSpilled { kept.append(newest) }
      others = kept.isEmpty ? nil : kept
    }
    if newest.isTombstone, newest.main < main, isLone {
      dropped(newest)
      return false
    }
    return true
  }

  /// All revisions, oldest first.
  var all: [KeyRevision] { Array((others ?? [])[..<olderCount]) + [newest] }
}
