/// One revision of a key.
struct KeyRevision: Equatable, Sendable {
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
/// tombstone. The newest revision lies in the index node, older ones, if any, in an array.
///
/// - Source: etcd `mvcc/key_index.go`; the flat form is ours.
struct KeyHistory: Sendable {
  private(set) var newest: KeyRevision
  private var older: ContiguousArray<KeyRevision>?

  init(_ first: KeyRevision) { newest = first }

  /// Whether the key exists at the newest revision.
  var isLive: Bool { !newest.isTombstone }

  /// Adds a later revision.
  mutating func append(_ next: KeyRevision) {
    precondition(
      next.revision > newest.revision,
      "revision \(next.revision) of a key must follow \(newest.revision)")
    if older == nil { older = [] }
    older!.append(newest)
    newest = next
  }

  /// The revision that a read at `main` sees; `nil` when the key does not exist then.
  func at(_ main: Int64) -> KeyRevision? {
    if newest.main <= main { return newest.isTombstone ? nil : newest }
    guard let older, let found = older.last(where: { $0.main <= main }) else { return nil }
    return found.isTombstone ? nil : found
  }

  /// Drops what compaction at `main` removes.
  ///
  /// Kept is everything after `main`, and the last revision at or before it unless that is a
  /// tombstone below `main`: a tombstone exactly at `main` stays for watchers that start there.
  /// - Returns: false when nothing of the key is left.
  mutating func compact(at main: Int64, dropped: (KeyRevision) -> Void) -> Bool {
    if let all = older {
      let last = newest.main <= main ? nil : all.lastIndex { $0.main <= main }
      var kept: ContiguousArray<KeyRevision> = []
      for (position, entry) in all.enumerated() {
        let keeps =
          entry.main > main || (position == last && (!entry.isTombstone || entry.main == main))
        if keeps { kept.append(entry) } else { dropped(entry) }
      }
      older = kept.isEmpty ? nil : kept
    }
    if newest.isTombstone, newest.main < main, older == nil {
      dropped(newest)
      return false
    }
    return true
  }

  /// All revisions, oldest first.
  var all: [KeyRevision] { Array(older ?? []) + [newest] }
}
