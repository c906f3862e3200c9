/// Decides whether a history of operations on one register can be put in an order that respects real
/// time and gives every operation the result it returned.
///
/// - Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
///   linearizability" (2017), for remembering configurations that were tried.
struct RegisterChecker {
  /// An operation on the register; 0 stands for no value.
  enum Action: Hashable {
    case write(Int)
    /// Returns whether there was a value.
    case delete(existed: Bool?)
    case compareAndPut(expected: Int, new: Int, succeeded: Bool?)
    case read(Int)
  }

  struct Step {
    let action: Action
    let called: Int
    /// `nil` when the outcome is unknown: it may take effect at any later time, or never.
    let returned: Int?
  }

  private let steps: [Step]
  private var done: [UInt64]
  private var tried: Set<Configuration> = []
  /// Configurations to try before giving up.
  private static let triedMax = 1_000_000

  private struct Configuration: Hashable {
    let done: [UInt64]
    let value: Int
  }

  enum Verdict: Equatable {
    case linearizable
    case violation
    /// The history is too wide to decide.
    case undecided
  }

  init(_ steps: [Step]) {
    self.steps = steps.sorted { $0.called < $1.called }
    done = Array(repeating: 0, count: (steps.count + 63) / 64)
  }

  /// The value after an action; `nil` when its result is not possible here.
  private static func apply(_ action: Action, to value: Int) -> Int? {
    switch action {
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

  private func isDone(_ position: Int) -> Bool {
    done[position / 64] & (1 << UInt64(position % 64)) != 0
  }

  private mutating func toggle(_ position: Int) {
    done[position / 64] ^= 1 << UInt64(position % 64)
  }

  /// Positions that may be next: called before the first return of an operation not done yet.
  private func candidates(from first: Int) -> [Int] {
    var found: [Int] = []
    var horizon = Int.max
    for position in first..<steps.count where !isDone(position) {
      if steps[position].called > horizon { break }
      found.append(position)
      horizon = min(horizon, steps[position].returned ?? Int.max)
    }
    return found.filter { steps[$0].called < horizon }
  }

  mutating func check() -> Verdict {
    var left = steps.count { $0.returned != nil }
    var value = 0
    var stack: [(options: [Int], next: Int, value: Int, chosen: Int?)] = []
    stack.append((candidates(from: 0), 0, 0, nil))
    while true {
      if left == 0 { return .linearizable }
      var top = stack[stack.count - 1]
      var advanced = false
      while top.next < top.options.count {
        let position = top.options[top.next]
        top.next += 1
        guard let after = Self.apply(steps[position].action, to: value) else { continue }
        toggle(position)
        guard tried.insert(Configuration(done: done, value: after)).inserted else {
          toggle(position)
          continue
        }
        if tried.count > Self.triedMax { return .undecided }
        stack[stack.count - 1] = top
        stack.append(([], 0, value, position))
        if steps[position].returned != nil { left -= 1 }
        value = after
        stack[stack.count - 1].options = candidates(from: firstOpen)
        advanced = true
        break
      }
      if advanced { continue }
      guard let chosen = top.chosen else { return .violation }
      stack.removeLast()
      toggle(chosen)
      if steps[chosen].returned != nil { left += 1 }
      value = top.value
    }
  }

  private var firstOpen: Int {
    for (word, bits) in done.enumerated() where bits != .max {
      return min(word * 64 + (~bits).trailingZeroBitCount, steps.count)
    }
    return steps.count
  }
}

extension RegisterChecker.Step {
  /// What an operation does to one key; `nil` when it does not concern the key or does not count.
  init?(_ operation: Operation, key: String) {
    let isKnown = operation.returned != nil
    let action: RegisterChecker.Action
    switch (operation.request, operation.result) {
    case (_, .refused): return nil
    case (.put(key, let value), _), (.putBoth(key, _, let value), _),
      (.putBoth(_, key, let value), _):
      action = .write(value)
    case (.keepOnly(let kept, let value, _), _): action = .write(kept == key ? value : 0)
    case (.delete(key), .wrote): action = .delete(existed: true)
    case (.delete(key), .unchanged): action = .delete(existed: false)
    case (.delete(key), nil): action = .delete(existed: nil)
    case (.compareAndPut(key, let expected, let new), .wrote):
      action = .compareAndPut(expected: expected, new: new, succeeded: true)
    case (.compareAndPut(key, let expected, let new), .unchanged):
      action = .compareAndPut(expected: expected, new: new, succeeded: false)
    case (.compareAndPut(key, let expected, let new), nil):
      action = .compareAndPut(expected: expected, new: new, succeeded: nil)
    case (.range(_, _, serializable: false), .read(_, let values)):
      guard let seen = values[key] else { return nil }
      action = .read(seen.value)
    default: return nil
    }
    self.init(
      action: action, called: operation.called, returned: isKnown ? operation.returned : nil)
  }
}
