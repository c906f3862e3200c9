import FaultRelay
import JSON

/// Links that are healed alone, and faults that another one takes the place of.
extension FleetLife {
  /// Ends the faults of some links; those of the other links of the same faults go on.
  mutating func healLinks(_ words: [String], _ ticket: Ticket) throws(DevClusterError) {
    let given = try FaultOrder.links(words)
    let healed = try links(
      FaultOrder(.reset, from: given.from, to: given.to, isOneWay: given.isOneWay))
    var ended: [Link] = []
    for index in faults.indices.reversed() {
      let found = faults[index].links.filter(healed.contains)
      guard !found.isEmpty else { continue }
      ended += found
      tell("heal", nil, "\(FaultText.links(found)) healed of: \(faults[index].order.text)")
      take(found, from: index)
    }
    if !ended.isEmpty { out.append(.rules(rules)) }
    let names = Set(ended).map(\.description).sorted()
    out.append(.answer(ticket, ["links": .array(names.map { .string($0) })]))
  }

  /// A fault without an end takes the place of those of its kind on the same links, which would not show again.
  /// - Returns: whether that is all there is to it: a delay of nothing.
  mutating func supersede(_ order: FaultOrder, _ links: [Link]) -> Bool {
    let isClear = order.kind == .slow(0, jitter: 0)
    guard order.duration == nil else { return isClear }
    for index in faults.indices.reversed() where faults[index].order.kind.name == order.kind.name {
      let found = faults[index].links.filter(links.contains)
      guard !found.isEmpty else { continue }
      if isClear {
        tell("heal", nil, "\(FaultText.links(found)) healed of: \(faults[index].order.text)")
      }
      take(found, from: index)
    }
    return isClear
  }

  private mutating func take(_ links: [Link], from index: Int) {
    faults[index].links.removeAll(where: links.contains)
    if faults[index].links.isEmpty && faults[index].members.isEmpty { faults.remove(at: index) }
  }
}
