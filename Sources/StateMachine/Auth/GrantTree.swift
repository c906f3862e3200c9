import Bytes

/// Grants in the order in which Go's red-black tree would hold them.
///
/// It answers one question: whether a range whose end is not behind its begin is granted. Such a
/// range holds no key, but a transaction with one is applied or refused as a whole, and members must
/// agree. Go's search for it leaves out subtrees depending on the shape of the tree, so the shape
/// matters: nodes in order of insertion, equal begins to the right, balanced as CLRS chapter 13 does.
///
/// - Source: etcd `pkg/adt/interval_tree.go`.
struct GrantTree: Sendable {
  private struct Node: Sendable {
    let interval: RangePermissions.Interval
    /// Greatest end in the subtree.
    var greatest = Bytes()
    var left = GrantTree.none
    var right = GrantTree.none
    var parent = GrantTree.none
    var isRed = true
  }

  private static let none = -1
  private var nodes: [Node] = []
  private var root = Self.none

  /// - Parameter intervals: in the order of the user's roles and their grants.
  init(_ intervals: [RangePermissions.Interval]) {
    nodes.reserveCapacity(intervals.count)
    for interval in intervals { insert(interval) }
    _ = computeGreatest(root)
  }

  /// Whether the search for a range with `end` ≤ `begin` meets a grant that holds `begin`.
  func meets(begin: Bytes, end: Bytes) -> Bool { meets(root, begin, end) }

  private func meets(_ place: Int, _ begin: Bytes, _ end: Bytes) -> Bool {
    guard place != Self.none else { return false }
    let node = nodes[place]
    let isBehind = RangePermissions.compare(begin, node.interval.begin) >= 0
    if !isBehind, RangePermissions.compare(end, node.interval.begin) <= 0 {
      return meets(node.left, begin, end)
    }
    if RangePermissions.compare(begin, node.interval.end) < 0 { return true }
    let endsBefore =
      RangePermissions.compare(node.interval.begin, begin) < 0
      && RangePermissions.compare(node.greatest, begin) <= 0
    if endsBefore || RangePermissions.compare(node.interval.begin, end) >= 0 { return false }
    return meets(node.left, begin, end) || meets(node.right, begin, end)
  }

  private mutating func computeGreatest(_ place: Int) -> Bytes? {
    guard place != Self.none else { return nil }
    var greatest = nodes[place].interval.end
    for child in [nodes[place].left, nodes[place].right] {
      if let other = computeGreatest(child), RangePermissions.compare(other, greatest) > 0 {
        greatest = other
      }
    }
    nodes[place].greatest = greatest
    return greatest
  }

  // MARK: Insertion

  private mutating func insert(_ interval: RangePermissions.Interval) {
    var node = Node(interval: interval)
    var place = root
    var goesLeft = false
    while place != Self.none {
      node.parent = place
      goesLeft = RangePermissions.compare(interval.begin, nodes[place].interval.begin) < 0
      place = goesLeft ? nodes[place].left : nodes[place].right
    }
    let new = nodes.count
    nodes.append(node)
    if node.parent == Self.none {
      root = new
    } else if goesLeft {
      nodes[node.parent].left = new
    } else {
      nodes[node.parent].right = new
    }
    balance(new)
  }

  private func isRed(_ place: Int) -> Bool { place != Self.none && nodes[place].isRed }

  private mutating func balance(_ start: Int) {
    var place = start
    // A red node is never the root, so its parent exists.
    while isRed(nodes[place].parent) {
      let parent = nodes[place].parent
      let grandparent = nodes[parent].parent
      let isLeft = parent == nodes[grandparent].left
      let uncle = isLeft ? nodes[grandparent].right : nodes[grandparent].left
      if isRed(uncle) {
        nodes[uncle].isRed = false
        nodes[parent].isRed = false
        nodes[grandparent].isRed = true
        place = grandparent
        continue
      }
      if place == (isLeft ? nodes[parent].right : nodes[parent].left) {
        place = parent
        rotate(place, left: isLeft)
      }
      nodes[nodes[place].parent].isRed = false
      nodes[grandparent].isRed = true
      rotate(grandparent, left: !isLeft)
    }
    nodes[root].isRed = false
  }

  /// Puts the child of the other side in the place of a node, which becomes its child.
  private mutating func rotate(_ place: Int, left: Bool) {
    let riser = left ? nodes[place].right : nodes[place].left
    let moved = left ? nodes[riser].left : nodes[riser].right
    if left { nodes[place].right = moved } else { nodes[place].left = moved }
    if moved != Self.none { nodes[moved].parent = place }
    let parent = nodes[place].parent
    nodes[riser].parent = parent
    if parent == Self.none {
      root = riser
    } else if nodes[parent].left == place {
      nodes[parent].left = riser
    } else {
      nodes[parent].right = riser
    }
    if left { nodes[riser].left = place } else { nodes[riser].right = place }
    nodes[place].parent = riser
  }
}
