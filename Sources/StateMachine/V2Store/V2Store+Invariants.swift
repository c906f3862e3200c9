extension V2Store {
  /// Guarantees, between requests:
  /// 1. The root and the namespaces are directories.
  /// 2. A directory has no value.
  /// 3. No node is changed before it was made, or after the newest write.
  /// 4. Those of `ExpiryQueue`; it counts the nodes that have a lifetime, and lists them all.
  /// 5. The events of the history follow each other, up to the newest write.
  /// - Returns: the first one that does not hold.
  /// - Complexity: O(nodes).
  public func checkInvariants() -> String? {
    for name in [nil] + Self.namespaces.map({ V2Name(text: $0) }) {
      let node = name.map { root.children?[$0] } ?? root
      guard node?.isDirectory == true else { return "1: /\(name?.text ?? "") is no directory" }
    }
    if let problem = history.checkInvariants(index) { return "5: \(problem)" }
    var lifetimes: Set<ExpiryQueue.Item> = []
    if let problem = check(root, [], &lifetimes) { return problem }
    guard lifetimes.count == expiries.live else {
      return "4: \(expiries.live) nodes with a lifetime, \(lifetimes.count) found"
    }
    return expiries.checkInvariants(lists: lifetimes).map { "4: \($0)" }
  }

  private func check(
    _ node: V2Node, _ names: [V2Name], _ lifetimes: inout Set<ExpiryQueue.Item>
  ) -> String? {
    let path = V2Path(names: names)
    guard !node.isDirectory || node.value.isEmpty else { return "2: \(path.text) has a value" }
    guard node.createdIndex <= node.modifiedIndex, node.modifiedIndex <= index else {
      return "3: \(path.text) made at \(node.createdIndex), changed at \(node.modifiedIndex), "
        + "store at \(index)"
    }
    if let time = node.expiration { lifetimes.insert(.init(time: time, path: path)) }
    for (name, child) in node.children ?? [:] {
      if let problem = check(child, names + [name], &lifetimes) { return problem }
    }
    return nil
  }
}

extension V2History {
  /// - Returns: what does not follow what.
  func checkInvariants(_ index: UInt64) -> String? {
    guard let last = events.last else { return nil }
    guard last.index == index else {
      return "the last event is \(last.index), the store at \(index)"
    }
    for (event, next) in zip(events, events.dropFirst()) where next.index != event.index &+ 1 {
      return "event \(next.index) behind \(event.index)"
    }
    return nil
  }
}

extension ExpiryQueue {
  /// Guarantees:
  /// 1. No item comes before its parent: the earliest is in front.
  /// 2. `items` are all listed; what is listed besides is out of date.
  /// - Returns: the first one that does not hold.
  func checkInvariants(lists items: Set<Item>) -> String? {
    for child in heap.indices.dropFirst() where heap[child].isBefore(heap[(child - 1) / 2]) {
      return "1: item \(child) of \(heap.count) comes before its parent"
    }
    return items.subtracting(heap).first.map { "2: \($0.path.text) is not listed" }
  }
}
