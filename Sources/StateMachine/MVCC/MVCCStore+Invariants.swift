import EtcdAPI
import Protobuf

extension MVCCStore {
  /// Guarantees, between requests:
  /// 1. Those of `RowLog`; frozen rows precede active ones, and none is newer than the store.
  /// 2. Those of `KeyIndex`, and no key is newer than the store.
  /// 3. Those of `LeaseTable`; what hangs on a lease exists.
  /// 4. Nothing newer than the store is compacted.
  /// - Returns: the first one that does not hold.
  /// - Complexity: O(keys + rows not in the backend).
  public func checkInvariants() -> String? {
    if let problem = checkRows() { return "1: \(problem)" }
    if let problem = index.checkInvariants(newest: currentRevision) { return "2: \(problem)" }
    if let problem = leases.checkInvariants() { return "3: \(problem)" }
    for (id, lease) in leases.leases {
      for key in lease.keys where index.find(key)?.isLive != true {
        return "3: \(key) hangs on lease \(id) and does not exist"
      }
    }
    guard compactRevision <= revision else {
      return "4: compacted at \(compactRevision), store at \(revision)"
    }
    return nil
  }
}

extension RowLog {
  /// Guarantees:
  /// 1. Rows ascend by revision, and no two have the same.
  /// 2. `bytes` is what they take.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    var sum = 0
    for position in 0..<count {
      let row = self[position]
      sum += row.value.count + Revision.keyBytes
      guard position == 0 || self[position - 1].revision < row.revision else {
        return "1: \(row.revision) at \(position) of \(count)"
      }
    }
    return sum == bytes ? nil : "2: \(bytes) bytes, \(sum) found"
  }
}

extension KeyIndex {
  /// Guarantees:
  /// 1. Keys ascend, from leaf to leaf too.
  /// 2. A branch has a separator for each child: the child's first key.
  /// 3. No node but the root is empty, and none has more than `nodeMax` entries.
  /// 4. `live` of each node counts the keys below that exist, and `count` all keys.
  /// 5. Those of `KeyHistory`, and no revision is newer than `newest`.
  /// - Returns: the first one that does not hold.
  func checkInvariants(newest: Int64? = nil) -> String? {
    var walk = IndexWalk(newest: newest)
    _ = walk.visit(root)
    if let problem = walk.problem { return problem }
    return walk.keys == count ? nil : "4: \(count) keys, \(walk.keys) found"
  }
}

/// One look at every node.
private struct IndexWalk {
  let newest: Int64?
  var keys = 0
  var previous: IndexKey?
  var problem: String?

  /// - Returns: keys below that exist.
  mutating func visit(_ node: KeyIndex.Node) -> Int {
    let live = node.isLeaf ? leaf(node) : branch(node)
    if problem == nil, live != node.live { problem = "4: \(node.live) live keys, \(live) found" }
    return live
  }

  private mutating func leaf(_ node: KeyIndex.Node) -> Int {
    var live = 0
    for entry in node.entries where problem == nil {
      if let previous, !(previous < entry.key) { problem = "1: \(entry.key.bytes) is out of order" }
      previous = entry.key
      keys += 1
      live += entry.history.isLive ? 1 : 0
      if let reason = entry.history.checkInvariants() {
        problem = "5: \(entry.key.bytes) \(reason)"
      } else if let newest, entry.history.newest.main > newest {
        problem = "5: \(entry.key.bytes) at \(entry.history.newest.revision), store at \(newest)"
      }
    }
    return live
  }

  private mutating func branch(_ node: KeyIndex.Node) -> Int {
    guard node.children.count == node.firstKeys.count else {
      problem = "2: \(node.firstKeys.count) separators for \(node.children.count) children"
      return 0
    }
    var live = 0
    for (child, separator) in zip(node.children, node.firstKeys) where problem == nil {
      guard child.count > 0, child.count <= KeyIndex.nodeMax else {
        problem = "3: a node of \(child.count)"
        return live
      }
      let first = child.isLeaf ? child.entries.first?.key : child.firstKeys.first
      guard let first, first == separator else {
        problem = "2: the separator \(separator.bytes) of a child that begins otherwise"
        return live
      }
      live += visit(child)
    }
    return live
  }
}

extension KeyHistory {
  /// Guarantees:
  /// 1. Revisions ascend.
  /// 2. A generation's versions count from its first kept one; a tombstone has none and ends it.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    var before: KeyRevision?
    for revision in all {
      guard before.map({ $0.revision < revision.revision }) ?? true else {
        return "1: \(revision.revision) is out of order"
      }
      // `snapshot restore --bump-revision` leaves an empty row at the revision that it invents.
      let isBump = revision.version == 0 && revision.created == 0
      guard revision.isTombstone == (revision.version == 0) || isBump,
        revision.created <= revision.main
      else { return "2: version \(revision.version) at \(revision.revision)" }
      if let before, !before.isTombstone, !revision.isTombstone {
        guard revision.version == before.version + 1, revision.created == before.created else {
          return "2: version \(revision.version) after \(before.version) at \(revision.revision)"
        }
      }
      before = revision
    }
    return nil
  }
}

extension LeaseTable {
  /// Guarantees:
  /// 1. A key hangs on the lease that has it, and on no other.
  /// 2. Those of `LeaseKeys`; no lease has the id 0, which means none.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    for (id, lease) in leases {
      for key in lease.keys where leaseOfKey[key] != id {
        return "1: lease \(id) has \(key), which hangs on \(leaseOfKey[key] ?? LeaseID.none)"
      }
      if let problem = lease.keys.checkInvariants() { return "2: lease \(id) \(problem)" }
      guard id != .none else { return "2: a lease with the id 0" }
    }
    // Of a lease that is being revoked the keys go one after the other.
    for (key, id) in leaseOfKey {
      if let lease = leases[id], !lease.keys.contains(key) {
        return "1: \(key) hangs on lease \(id), which does not have it"
      }
    }
    return nil
  }
}

extension LeaseKeys {
  /// Guarantees: 1. `count` and `fieldBytes` are of the keys that are there.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    let bytes = reduce(0) { $0 + 1 + WireSize.delimited($1.count) }
    let found = reduce(0) { sum, _ in sum + 1 }
    guard found == count, bytes == fieldBytes else {
      return "1: \(count) keys of \(fieldBytes) bytes, found \(found) of \(bytes)"
    }
    return nil
  }
}
