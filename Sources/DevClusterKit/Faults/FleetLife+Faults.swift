import FaultRelay
import JSON

/// Faults that last, and those between members, which the relay makes.
extension FleetLife {
  /// A fault that lasts.
  struct ActiveFault: Sendable, Equatable {
    let id: Int
    let order: FaultOrder
    /// Of faults between members.
    var links: [Link] = []
    /// Whose disks or clocks.
    var members: [String] = []
    /// When it ends by itself; `nil` when it is healed.
    let until: UInt64?

    /// What the order says besides who and how long.
    private static let details: Set<String> = [
      "mode", "delay", "jitter", "rate", "loss", "failure", "offset",
    ]

    func json(_ now: UInt64) -> JSONValue {
      var object: JSONObject = [
        "id": .integer(id), "kind": .string(order.kind.name), "text": .string(text),
        "links": .array(links.map { .string($0.description) }),
        "members": .array(members.map(JSONValue.string)),
      ]
      for member in order.json.members where Self.details.contains(member.name) {
        object[member.name] = member.value
      }
      if let until {
        object["endsInMilliseconds"] = .integer((until &- min(now, until)) / 1_000_000)
      }
      return .object(object)
    }

    /// Where it is.
    var place: String {
      members.isEmpty ? FaultText.links(links) : members.joined(separator: ", ")
    }
    var text: String { "\(place) \(order.text)" }
  }

  mutating func fault(
    _ order: FaultOrder, _ ticket: Ticket, _ now: UInt64
  ) throws(DevClusterError) {
    let answer = try impose(order, now)
    out.append(.answer(ticket, answer))
  }

  /// Makes what the plan has from the beginning.
  mutating func makePlannedFaults(_ now: UInt64) {
    for order in plan.faults {
      do throws(DevClusterError) {
        _ = try impose(order, now)
      } catch { out.append(.note("a fault of the file cannot be made: \(error.description)")) }
    }
  }

  /// Makes a fault.
  /// - Returns: the answer for who asked.
  private mutating func impose(
    _ order: FaultOrder, _ now: UInt64
  ) throws(DevClusterError) -> JSONObject {
    switch order.kind {
    case .disk(let rule): return try disk(rule, order, now)
    case .clock(let offset): return try clock(offset, order, now)
    case .cut, .slow, .limit, .loss, .reset: break
    }
    let links = try links(order)
    if order.kind == .reset {
      tell("fault", nil, "\(FaultText.links(links)) reset")
      out.append(.reset(links))
    } else {
      let isClear = supersede(order, links)
      if !isClear { begin(order, now) { $0.links = links } }
      out.append(.rules(rules))
    }
    return ["links": .array(links.map { .string($0.description) })]
  }

  /// Notes a fault that lasts.
  mutating func begin(_ order: FaultOrder, _ now: UInt64, _ place: (inout ActiveFault) -> Void) {
    lastFault += 1
    var fault = ActiveFault(id: lastFault, order: order, until: order.duration.map { now &+ $0 })
    place(&fault)
    faults.append(fault)
    tell("fault", nil, fault.text)
  }

  /// The links that are meant, as members are now.
  mutating func links(_ order: FaultOrder) throws(DevClusterError) -> [Link] {
    guard plan.relay != .none else {
      throw DevClusterError(
        "members reach each other directly; faults need the relay: up without --direct")
    }
    let from = try parties(order.from)
    let all = members.filter { !$0.isRemoved }.map { Party.member($0.name) }
    let to = order.to.isEmpty ? all.filter { !from.contains($0) } : try parties(order.to)
    guard plan.relay == .all || !(from + to).contains(.clients) else {
      throw DevClusterError(
        "clients reach members directly; start the cluster with devcluster up --client-relay")
    }
    var found: [Link] = []
    for one in from {
      for other in to where one != other {
        let link = Link(from: one, to: other)
        for link in order.isOneWay ? [link] : [link, link.reversed] where !found.contains(link) {
          found.append(link)
        }
      }
    }
    guard !found.isEmpty else { throw DevClusterError("there is no link between these") }
    return found
  }

  private mutating func parties(_ words: [String]) throws(DevClusterError) -> [Party] {
    let who = words.filter { $0 != "clients" }
    let names = who.isEmpty ? [] : try places(who).map { Party.member(members[$0].name) }
    return names + (words.contains("clients") ? [.clients] : [])
  }

  /// What zones and all faults together mean; of two on one link the later counts.
  var rules: LinkRules {
    var rules = plan.zones.rules
    for fault in faults {
      for link in fault.links {
        var rule = rules[link] ?? LinkRule()
        switch fault.order.kind {
        case .cut(let mode): rule.cut = mode
        case .slow(let delay, let jitter): (rule.delay, rule.jitter) = (delay, jitter)
        case .limit(let rate): rule.rate = rate
        case .loss(let share): rule.loss = share
        case .reset, .disk, .clock: break
        }
        rules[link] = rule
      }
    }
    return rules
  }

  mutating func heal(_ who: [String], _ ticket: Ticket) throws(DevClusterError) {
    if who.contains(where: { $0.contains("->") || $0.contains("<-") }) {
      return try healLinks(who, ticket)
    }
    let parties = try parties(who)
    let healed = faults.filter { fault in
      parties.isEmpty
        || fault.links.contains { parties.contains($0.from) || parties.contains($0.to) }
    }
    endMemberFaults(of: members.map(\.name).filter { parties.contains(.member($0)) }) { _ in true }
    end(healed)
    let links = Set(healed.flatMap(\.links)).map(\.description).sorted()
    out.append(.answer(ticket, ["links": .array(links.map(JSONValue.string))]))
  }

  /// Those whose time is over.
  mutating func faultsDue(_ now: UInt64) {
    end(faults.filter { ($0.until ?? .max) <= now })
  }

  private mutating func end(_ ended: [ActiveFault]) {
    guard !ended.isEmpty else { return }
    faults.removeAll(where: ended.contains)
    for fault in ended { tell("heal", nil, "\(fault.place) healed of: \(fault.order.text)") }
    if ended.contains(where: { !$0.links.isEmpty }) { out.append(.rules(rules)) }
    if ended.contains(where: { !$0.members.isEmpty }) { tellMembers() }
  }

  /// Has members' disks and clocks be as faults say.
  private mutating func tellMembers() {
    out.append(.disks(diskRules))
    out.append(.clocks(clockOffsets))
  }

  /// Ends faults that are members' own. Some may be healed while others of the same fault are not.
  mutating func endMemberFaults(of names: [String], where isMeant: (FaultOrder.Kind) -> Bool) {
    var hasEnded = false
    for index in faults.indices.reversed() where isMeant(faults[index].order.kind) {
      let healed = faults[index].members.filter(names.contains)
      guard !healed.isEmpty else { continue }
      hasEnded = true
      tell(
        "heal", nil, "\(healed.joined(separator: ", ")) healed of: \(faults[index].order.text)")
      faults[index].members.removeAll(where: healed.contains)
      if faults[index].members.isEmpty { faults.remove(at: index) }
    }
    if hasEnded { tellMembers() }
  }
}

/// Links for people. Pure.
enum FaultText {
  /// Pairs of directions as one.
  static func links(_ links: [Link]) -> String {
    var shown: [String] = []
    var done: Set<Link> = []
    for link in links where !done.contains(link) {
      done.insert(link)
      if links.contains(link.reversed) {
        done.insert(link.reversed)
        shown.append("\(link.from)<->\(link.to)")
      } else {
        shown.append(link.description)
      }
    }
    return shown.joined(separator: ", ")
  }
}
