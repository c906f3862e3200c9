/// Decides whether a history of operations on one register can be put in an order that respects real
/// time and gives every operation the result it returned.
///
/// It goes through calls and returns in the order of time, and keeps every state in which the register may be:
/// its value, and which of the operations under way have happened. What only looks happens as soon as it can;
/// what changes something happens no earlier than some return needs it. So memory is that of what overlaps, not
/// of the history, and the first return that no state is left for is where the history fails.
///
/// - Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
///   linearizability" (2017), for just-in-time linearization and for remembering configurations.
public struct RegisterChecker {
  /// An operation on the register; 0 stands for no value.
  public enum Action: Hashable, Sendable {
    case write(Int)
    /// Returns whether there was a value.
    case delete(existed: Bool?)
    case compareAndPut(expected: Int, new: Int, succeeded: Bool?)
    case read(Int)

    /// The value after it; `nil` when its result is not possible here.
    func applied(to value: Int) -> Int? {
      switch self {
      case .write(let new): return new
      case .delete(let existed):
        if let existed, existed != (value != 0) { return nil }
        return 0
      case .compareAndPut(let expected, let new, let succeeded):
        let holds = value == expected
        if let succeeded, succeeded != holds { return nil }
        return holds ? new : value
      case .read(let seen): return seen == value ? value : nil
      }
    }

    /// Whether it is possible at this value, and does what it is meant for there.
    func holds(at value: Int) -> Bool {
      if case .compareAndPut(let expected, _, nil) = self { return value == expected }
      return applied(to: value) != nil
    }

    /// Whether it only looks, whatever it finds: it may then happen as soon as it is possible.
    var isLook: Bool {
      switch self {
      case .read, .delete(existed: false), .compareAndPut(_, _, succeeded: false): true
      case .write, .delete, .compareAndPut: false
      }
    }
  }

  /// One operation from call to return.
  public struct Step: Sendable, Hashable {
    public let action: Action
    public let called: Int
    /// `nil` when the outcome is unknown: it may take effect at any later time, or never.
    public let returned: Int?
    /// Its place among the changes, where that was told: the revision.
    public let order: Int64?

    public init(action: Action, called: Int, returned: Int?, order: Int64? = nil) {
      self.action = action
      self.called = called
      self.returned = returned
      self.order = order
    }
  }

  public enum Verdict: Equatable, Sendable {
    case linearizable
    case violation
    /// The history is too wide to decide.
    case undecided
  }

  /// What may be true at a moment.
  struct Configuration: Hashable {
    var value: Int
    /// Operations under way that have happened, by their slot.
    var done = SlotSet()
    /// Place of the newest change that has one.
    var newest: Int64 = 0
    /// How many writes and deletes of unknown outcome that nobody tells apart have happened.
    var spent = Spent()
  }

  struct Spent: Hashable {
    var writes = 0
    var deletes = 0

    func isAtMost(_ other: Spent) -> Bool { writes <= other.writes && deletes <= other.deletes }
  }

  /// What all values are that were written by nobody knows whom and that nobody saw or asked for.
  static let unseen = Int.min

  private let steps: [Step]
  private var configurations: Set<Configuration>
  /// Positions of the steps under way, and free slots.
  private var open: [Int?] = []
  private var slotOf: [Int: Int] = [:]
  private var knownOpen = 0
  /// Writes and deletes of unknown outcome that were called: of those nobody saw, one is like another.
  private var available = Spent()
  /// What a step may need to find, or must not find.
  private let testedValues: Set<Int>
  /// The last moment at which nothing of known outcome was under way, and which values there could be.
  private(set) var quiet: (time: Int, values: Set<Int>)
  /// The step that no order gives its result.
  public private(set) var failed: Int?
  /// Configurations to try for one return before giving up.
  private static let triedMax = 1_000_000

  /// - Parameter values: what may be there at the beginning.
  public init(_ steps: [Step], from values: Set<Int> = [0]) {
    self.steps = steps
    testedValues = Set(steps.compactMap(\.action.tests))
    configurations = Set(values.map { Configuration(value: $0) })
    quiet = (Int.min, values)
  }

  public mutating func check() -> Verdict {
    for (position, isCall) in moments {
      if isCall {
        call(position)
        continue
      }
      guard close(position) else { return .undecided }
      if configurations.isEmpty {
        failed = position
        return .violation
      }
      if knownOpen == 0 {
        quiet = (steps[position].returned ?? 0, Set(configurations.map(\.value)))
      }
    }
    return .linearizable
  }

  /// Calls and returns by time; what returns in the moment of a call was before it.
  private var moments: [(position: Int, isCall: Bool)] {
    var moments: [(time: Int, isCall: Bool, position: Int)] = []
    moments.reserveCapacity(steps.count * 2)  // checked: steps are in memory
    for (position, step) in steps.enumerated() {
      moments.append((step.called, true, position))
      if let returned = step.returned {
        moments.append((max(returned, step.called &+ 1), false, position))
      }
    }
    moments.sort {
      ($0.time, $0.isCall ? 1 : 0, $0.position) < ($1.time, $1.isCall ? 1 : 0, $1.position)
    }
    return moments.map { ($0.position, $0.isCall) }
  }

  private mutating func call(_ position: Int) {
    if steps[position].returned == nil {
      switch steps[position].action {
      case .write(let value) where value != 0 && !testedValues.contains(value):
        available.writes += 1
        return  // checked: counts steps
      case .delete:
        available.deletes += 1
        return  // checked: counts steps
      default: break
      }
    }
    let slot = open.firstIndex(of: nil) ?? open.count
    if slot == open.count { open.append(position) } else { open[slot] = position }
    slotOf[position] = slot
    let step = steps[position]
    guard step.returned != nil else { return }
    knownOpen += 1
    guard step.action.isLook else { return }
    configurations = Set(
      configurations.map { configuration in
        var configuration = configuration
        if step.action.applied(to: configuration.value) != nil {
          configuration.done.insert(slot)
        }
        return configuration
      })
  }

  /// The step must have happened now.
  /// - Returns: whether that could be decided.
  private mutating func close(_ position: Int) -> Bool {
    guard let slot = slotOf.removeValue(forKey: position) else { return true }
    var left: Set<Configuration> = []
    var seen = configurations
    var work = Array(configurations)
    while let configuration = work.popLast() {
      if configuration.done.contains(slot) {
        var closed = configuration
        closed.done.remove(slot)
        left.insert(closed)
        continue
      }
      for next in successors(configuration) where seen.insert(next).inserted { work.append(next) }
      if seen.count > Self.triedMax { return false }
    }
    open[slot] = nil
    knownOpen -= 1  // checked: every step is closed once
    configurations = pruned(left)
    return true
  }

  /// All that may happen next and changes something.
  private func successors(_ configuration: Configuration) -> [Configuration] {
    var found: [Configuration] = []
    let place = nextOrder(configuration)
    for (slot, position) in open.enumerated() {
      guard let position, !configuration.done.contains(slot) else { continue }
      let step = steps[position]
      guard !step.action.isLook, let value = step.action.applied(to: configuration.value) else {
        continue
      }
      if step.returned == nil && !enables(value, configuration) { continue }
      var next = configuration
      if let order = step.order {
        guard order > configuration.newest, order == place else { continue }
        next.newest = order
      }
      next.value = value
      next.done.insert(slot)
      look(&next)
      found.append(next)
    }
    if configuration.spent.writes < available.writes, enables(Self.unseen, configuration) {
      var next = configuration
      next.value = Self.unseen
      next.spent.writes += 1  // checked: below a count
      look(&next)
      found.append(next)
    }
    if configuration.spent.deletes < available.deletes, enables(0, configuration) {
      var next = configuration
      next.value = 0
      next.spent.deletes += 1  // checked: below a count
      look(&next)
      found.append(next)
    }
    return found
  }

  /// Whether something under way can happen at this value, and not at the one that is there. A change of unknown outcome
  /// that enables nothing may as well happen later, or never.
  private func enables(_ value: Int, _ configuration: Configuration) -> Bool {
    for (slot, position) in open.enumerated() {
      guard let position, !configuration.done.contains(slot) else { continue }
      let action = steps[position].action
      if action.holds(at: value) && !action.holds(at: configuration.value) { return true }
    }
    return false
  }

  /// The first of the places that changes under way have: what is behind it can only follow.
  private func nextOrder(_ configuration: Configuration) -> Int64? {
    var first: Int64?
    for (slot, position) in open.enumerated() {
      guard let position, let order = steps[position].order, order < first ?? .max,
        !configuration.done.contains(slot)
      else { continue }
      first = order
    }
    return first
  }

  /// What only looks and sees this value has happened.
  private func look(_ configuration: inout Configuration) {
    for (slot, position) in open.enumerated() {
      guard let position, steps[position].action.isLook,
        steps[position].action.applied(to: configuration.value) != nil
      else { continue }
      configuration.done.insert(slot)
    }
  }

  /// Without those that used more operations of unknown outcome than another needs for the same.
  private func pruned(_ found: Set<Configuration>) -> Set<Configuration> {
    var unknown = SlotSet()
    for (slot, position) in open.enumerated() {
      if let position, steps[position].returned == nil { unknown.insert(slot) }
    }
    guard found.count > 1, !unknown.isEmpty || available != Spent() else { return found }
    var best: [Configuration: [(used: SlotSet, spent: Spent)]] = [:]
    for configuration in found {
      var rest = configuration
      rest.done.subtract(unknown)
      rest.spent = Spent()
      let (used, spent) = (configuration.done.intersection(unknown), configuration.spent)
      var others = best[rest, default: []]
      if others.contains(where: { $0.used.isSubset(of: used) && $0.spent.isAtMost(spent) }) {
        continue
      }
      others.removeAll { used.isSubset(of: $0.used) && spent.isAtMost($0.spent) }
      best[rest] = others + [(used, spent)]
    }
    var left: Set<Configuration> = []
    for (rest, needs) in best {
      for need in needs {
        var configuration = rest
        configuration.done.formUnion(need.used)
        configuration.spent = need.spent
        left.insert(configuration)
      }
    }
    return left
  }
}

/// A set of small numbers; those below 64 take no memory of their own.
struct SlotSet: Hashable {
  private var low: UInt64 = 0
  private var high: [UInt64] = []

  var isEmpty: Bool { low == 0 && high.isEmpty }

  func contains(_ slot: Int) -> Bool {
    if slot < 64 { return low & 1 << UInt64(slot) != 0 }  // checked: slots count from 0
    let word = slot / 64 - 1  // checked: at least 64
    return word < high.count && high[word] & 1 << UInt64(slot % 64) != 0  // checked: the same
  }

  mutating func insert(_ slot: Int) {
    if slot < 64 {
      low |= 1 << UInt64(slot)
      return
    }  // checked: slots count from 0
    let word = slot / 64 - 1  // checked: at least 64
    while high.count <= word { high.append(0) }
    high[word] |= 1 << UInt64(slot % 64)  // checked: made just now
  }

  mutating func remove(_ slot: Int) {
    if slot < 64 {
      low &= ~(1 << UInt64(slot))
      return
    }  // checked: slots count from 0
    let word = slot / 64 - 1  // checked: at least 64
    guard word < high.count else { return }
    high[word] &= ~(1 << UInt64(slot % 64))  // checked: there
    trim()
  }

  /// Equal sets have equal words.
  private mutating func trim() { while high.last == 0 { high.removeLast() } }

  private func combined(_ other: SlotSet, _ combine: (UInt64, UInt64) -> UInt64) -> SlotSet {
    var result = SlotSet()
    result.low = combine(low, other.low)
    for word in 0..<max(high.count, other.high.count) {  // checked: counts
      result.high.append(
        combine(
          word < high.count ? high[word] : 0,  // checked: there
          word < other.high.count ? other.high[word] : 0))  // checked: there
    }
    result.trim()
    return result
  }

  func intersection(_ other: SlotSet) -> SlotSet { combined(other, &) }
  mutating func formUnion(_ other: SlotSet) { self = combined(other, |) }
  mutating func subtract(_ other: SlotSet) { self = combined(other) { $0 & ~$1 } }
  func isSubset(of other: SlotSet) -> Bool { combined(other) { $0 & ~$1 }.isEmpty }
}
