import EtcdAPI
import Member
import Raft

/// Links that carry nothing, or carry it late.
extension Cluster {
  func linkFault(_ kind: FaultKind, _ id: MemberID) {
    if kind == .slowLink {
      hit(kind, name(id))
      nodes[id]!.slowUntil = now + random.below(longest(60 * Self.tickUnits))
      return
    }
    let links = links(for: kind)
    guard !links.isEmpty else { return }
    cut = links
    hit(kind, cutText)
    queue.add(.mend, at: now + random.below(longest(40 * Self.tickUnits)))
  }

  /// Directions that a fault cuts.
  private func links(for kind: FaultKind) -> Set<Link> {
    switch kind {
    case .cutEdges: return edges { _, _ in chance(oneIn: 3) }
    case .cutRing:
      guard ids.count > 3 else {
        guard let a = ids.first, let b = ids.last, a != b else { return [] }
        return [Link(from: a, to: b), Link(from: b, to: a)]
      }
      let places = ids.indices
      return edges { a, b in
        let (a, b) = (ids.firstIndex(of: a)!, ids.firstIndex(of: b)!)
        return abs(a - b) != 1 && abs(a - b) != places.count - 1
      }
    case .isolateLeader:
      guard let leader = someLeader()?.id else { return [] }
      return edges { a, b in a == leader || b == leader }
    default:
      let side = ids.filter { _ in chance(oneIn: 2) }
      return edges { a, b in
        side.contains(a) && !side.contains(b)
          || kind == .splitBothWays && side.contains(b) && !side.contains(a)
      }
    }
  }

  private func edges(_ isCut: (MemberID, MemberID) -> Bool) -> Set<Link> {
    var links: Set<Link> = []
    for a in ids {
      for b in ids where a != b && isCut(a, b) { links.insert(Link(from: a, to: b)) }
    }
    return links
  }

  private var cutText: String {
    cut.map { "\(name($0.from))>\(name($0.to))" }.sorted().joined(separator: " ")
  }

  /// Units that a message takes.
  func travelTime(_ link: Link) -> Int {
    var time = 1 + random.below(options.delay)
    if strikes(.delay, oneIn: options.delayOneIn) {
      hit(.delay)
      time += random.below(10 * Self.tickUnits)
    }
    let isSlow = now < max(nodes[link.from]!.slowUntil, nodes[link.to]!.slowUntil)
    return isSlow ? 10 * time : time
  }

  /// Who gets a message that is for nobody there.
  func stray(_ link: Link) -> MemberID? {
    guard strikes(.strayMessages, oneIn: 30) else { return nil }
    let others = ids.filter { $0 != link.to && $0 != link.from }
    return others.randomElement(using: &random)
  }
}
