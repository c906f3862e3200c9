/// Verdicts over whole histories of one register, in which most of what has no known outcome need not be tried.
extension RegisterChecker {
  /// What is wrong with a history.
  public struct Failure: Equatable, Sendable {
    /// The step whose result no order explains.
    public let step: Int
    /// The least that shows it: positions in the order of calls.
    public let part: [Int]
  }

  /// Decides. What has no known outcome is bounded first: a write that was seen happened before it was seen, and
  /// one that nobody saw most probably never did. Only if that explains nothing are all orders tried.
  public static func verdict(on steps: [Step]) -> (verdict: Verdict, failure: Failure?) {
    var few = RegisterChecker(bounded(steps, keepingUnseen: false).steps)
    if few.check() == .linearizable { return (.linearizable, nil) }
    let (all, places) = bounded(steps, keepingUnseen: true)
    var checker = RegisterChecker(all)
    switch checker.check() {
    case .linearizable: return (.linearizable, nil)
    case .undecided: return (.undecided, nil)
    case .violation:
      let failed = checker.failed ?? 0
      let part = witness(failed, all) ?? checker.part(of: all, failed: failed)
      // checked: a place for each step
      return (.violation, Failure(step: places[failed], part: part.map { places[$0] }))
    }
  }

  /// The steps; writes of unknown outcome that were seen have returned when they were, and those that nobody saw
  /// are left out if wanted. - Returns: and where each of them was.
  private static func bounded(
    _ steps: [Step], keepingUnseen: Bool
  ) -> (steps: [Step], places: [Int]) {
    var seen: [Int: Int] = [:]
    var writers: [Int: Int] = [:]
    for step in steps {
      if let value = step.action.sees, let returned = step.returned {
        seen[value] = min(seen[value] ?? .max, returned)
      }
      // checked: counts steps
      if let value = step.action.leaves { writers[value, default: 0] += 1 }
    }
    var few: [Step] = []
    var places: [Int] = []
    for (position, step) in steps.enumerated() {
      var step = step
      if step.returned == nil, let value = step.action.leaves, value != 0 {
        if let time = seen[value] {
          if writers[value] == 1, time > step.called {
            step = Step(
              action: step.action.happened, called: step.called, returned: time, order: step.order)
          }
        } else if !keepingUnseen {
          continue
        }
      }
      few.append(step)
      places.append(position)
    }
    return (few, places)
  }

  /// The least part of a history that fails: what overlaps the step since nothing was under way, less what can be
  /// taken away without explaining it, and what wrote the values that matter.
  private func part(of steps: [Step], failed: Int) -> [Int] {
    let part = overlapping(steps, failed)
    return part.count > Self.shownMax ? Array(part.suffix(Self.shownMax)) : part
  }

  /// Steps that are shown, and that are worth to be tried without, at most.
  private static let shownMax = 60
  private static let triedPartMax = 200

  /// Three steps or fewer that cannot be together, whatever else happened: a value was there, somebody found or
  /// left another one later, and the step found the first again, which was written once.
  private static func witness(_ failed: Int, _ steps: [Step]) -> [Int]? {
    let step = steps[failed]  // checked: a position of a step
    guard let value = step.action.sees, let end = step.returned else { return nil }
    guard value != 0 else { return missing(failed, steps) }
    let writers = steps.indices.filter { steps[$0].action.leaves == value }  // checked: indices
    guard writers.count == 1, let writer = writers.first else {
      return writers.isEmpty ? [failed] : nil
    }
    // checked: indices of steps, here and below
    if steps[writer].called > end { return [writer, failed] }
    let shows = steps.indices.filter { steps[$0].action.sees == value || $0 == writer }
    guard
      let first = shows.filter({ $0 != failed && steps[$0].returned != nil }).min(by: {
        (steps[$0].returned ?? .max) < (steps[$1].returned ?? .max)
      }), let since = steps[first].returned
    else { return nil }
    let others = steps.indices.filter { other in
      let found = steps[other]
      guard found.called > since, let returned = found.returned, returned < step.called else {
        return false
      }
      return found.action.shows.map { $0 != value } ?? false
    }
    guard let other = others.max(by: { steps[$0].called < steps[$1].called }) else { return nil }
    return Set([writer, first, other, failed]).sorted { steps[$0].called < steps[$1].called }
  }

  /// Nothing was found where something was written before and nobody deletes.
  private static func missing(_ failed: Int, _ steps: [Step]) -> [Int]? {
    let step = steps[failed]  // checked: a position of a step
    let deletes = steps.contains { other in
      if case .delete = other.action { return other.called < step.returned ?? .max }
      return other.action == .write(0)
    }
    guard !deletes else { return nil }
    // checked: indices of steps
    let before = steps.indices.filter {
      (steps[$0].returned ?? .max) < step.called && (steps[$0].action.shows ?? 0) != 0
    }
    return before.max { steps[$0].called < steps[$1].called }.map { [$0, failed] }
  }

  private func overlapping(_ steps: [Step], _ failed: Int) -> [Int] {
    let values = quiet.values
    let end = steps[failed].returned ?? .max  // checked: a position of a step
    var part = steps.indices.filter { position in
      let step = steps[position]  // checked: an index
      return step.called < end && (step.returned ?? .max) > quiet.time
        && (step.called >= quiet.time || step.returned == nil)
    }
    var size = part.count > Self.triedPartMax ? 0 : part.count
    while size > 0 {
      var at = 0
      while at < part.count {
        // checked: bounded by the count
        let end = min(at + size, part.count)
        let taken = part[at..<end].filter { $0 != failed }  // checked: bounds above
        var rest = part
        rest.removeSubrange(at..<end)  // checked: bounds above
        if !taken.isEmpty, !taken.contains(failed), end - at == taken.count,  // checked: counts
          Self.mayBeTaken(taken, from: rest, steps), Self.fails(rest, steps, from: values)
        {
          part = rest
        } else {
          at = end
        }
      }
      size /= 2  // checked: by a constant
    }
    var shown = Set(part)
    let wanted = values.union([steps[failed].action.sees].compactMap { $0 })  // checked: a position
    for (position, step) in steps.enumerated() {
      if let value = step.action.leaves, value != 0, wanted.contains(value) {
        shown.insert(position)
      }
    }
    return shown.sorted { steps[$0].called < steps[$1].called }  // checked: positions of steps
  }

  private static func fails(_ part: [Int], _ steps: [Step], from values: Set<Int>) -> Bool {
    var checker = RegisterChecker(part.map { steps[$0] }, from: values)  // checked: positions
    return checker.check() == .violation
  }

  /// Whether a history without these is linearizable if the whole one is: looks may go, and writes that nobody
  /// sees where nobody asks what there is.
  private static func mayBeTaken(_ taken: [Int], from rest: [Int], _ steps: [Step]) -> Bool {
    let writes = taken.filter { !steps[$0].action.isLook }  // checked: positions of steps
    if writes.isEmpty { return true }
    var seen: Set<Int> = []
    for position in rest {
      switch steps[position].action {  // checked: a position of a step
      case .read(let value): seen.insert(value)
      case .write: continue
      case .delete, .compareAndPut: return false
      }
    }
    return writes.allSatisfy { position in
      // checked: the same
      guard case .write(let value) = steps[position].action else { return false }
      return !seen.contains(value)
    }
  }
}

extension RegisterChecker.Action {
  /// The value that its result shows to have been there.
  var sees: Int? {
    switch self {
    case .read(let value), .compareAndPut(let value, _, succeeded: true): value
    case .write, .delete, .compareAndPut: nil
    }
  }

  /// The value on which it depends, whether it found it, did not find it, or nobody knows.
  var tests: Int? {
    if case .compareAndPut(let expected, _, _) = self { return expected }
    return sees
  }

  /// The value that was there just before or after it, where its result tells that.
  var shows: Int? {
    switch self {
    case .write(let value), .read(let value), .compareAndPut(_, let value, succeeded: true): value
    case .delete(existed: .some): 0
    case .delete, .compareAndPut: nil
    }
  }

  /// The value that it leaves if it takes effect.
  var leaves: Int? {
    switch self {
    case .write(let value), .compareAndPut(_, let value, _): value
    case .delete, .read: nil
    }
  }

  /// The same when it is known to have taken effect.
  var happened: Self {
    if case .compareAndPut(let expected, let new, nil) = self {
      return .compareAndPut(expected: expected, new: new, succeeded: true)
    }
    return self
  }
}
