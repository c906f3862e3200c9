import TestSupport
import Testing

@testable import Checkers

/// The checker of registers accepts what a correct one can answer, and nothing else.
@Suite struct RegisterCheckerTests {
  private func step(_ action: RegisterChecker.Action, _ called: Int, _ returned: Int?)
    -> RegisterChecker.Step
  { RegisterChecker.Step(action: action, called: called, returned: returned) }

  private func verdict(_ steps: [RegisterChecker.Step]) -> RegisterChecker.Verdict {
    var checker = RegisterChecker(steps)
    return checker.check()
  }

  @Test func acceptsConcurrentOrders() {
    #expect(verdict([]) == .linearizable)
    #expect(
      verdict([
        step(.write(1), 1, 6), step(.write(2), 2, 5), step(.read(2), 3, 4), step(.read(1), 7, 8),
      ]) == .linearizable)
  }

  @Test func refusesStaleReads() {
    #expect(
      verdict([step(.write(1), 1, 2), step(.write(2), 3, 4), step(.read(1), 5, 6)]) == .violation)
    #expect(verdict([step(.write(1), 1, 2), step(.read(0), 3, 4)]) == .violation)
    // Two reads that see two concurrent writes in different orders.
    #expect(
      verdict([
        step(.write(1), 1, 20), step(.write(2), 2, 20), step(.read(1), 3, 4), step(.read(2), 5, 6),
        step(.read(1), 7, 8),
      ]) == .violation)
  }

  @Test func unknownWritesMayHappenLaterOrNever() {
    let unknown = step(.write(1), 1, nil)
    #expect(verdict([unknown, step(.read(0), 2, 3), step(.read(1), 4, 5)]) == .linearizable)
    #expect(verdict([unknown, step(.read(0), 2, 3)]) == .linearizable)
    #expect(
      verdict([unknown, step(.read(1), 2, 3), step(.read(0), 4, 5)]) == .violation)
  }

  @Test func comparisonsAndDeletes() {
    #expect(
      verdict([
        step(.compareAndPut(expected: 0, new: 1, succeeded: true), 1, 4),
        step(.compareAndPut(expected: 0, new: 2, succeeded: true), 2, 3),
      ]) == .violation)
    #expect(
      verdict([
        step(.write(1), 1, 2), step(.delete(existed: true), 3, 4),
        step(.delete(existed: true), 5, 6),
      ]) == .violation)
  }

  /// A register that clients use at once, as it really is; the order of changes is that of their effect.
  static func history(
    _ count: Int, clients: Int, seed: UInt64, unknown: Bool = false, orders: Bool = false
  ) -> [RegisterChecker.Step] {
    var state = seed
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    var steps: [RegisterChecker.Step] = []
    var free = [Int](repeating: 0, count: clients)
    var value = 0
    var effect = 0
    var made = 0
    var order: Int64 = 0
    while steps.count < count {
      // Whoever is free first takes effect next, somewhere between call and return.
      let client = free.indices.min { free[$0] < free[$1] } ?? 0
      effect = max(effect, free[client]) + 1 + random(4)
      let called = max(free[client], effect - random(12)) + 0
      let returned = effect + 1 + random(12)
      free[client] = returned + 1
      var action: RegisterChecker.Action
      var place: Int64?
      var isUnknown = false
      switch random(10) {
      case 0..<4:
        made += 1
        value = made
        order += 1
        place = orders ? order : nil
        action = .write(made)
        isUnknown = unknown && random(10) == 0
      case 4:
        made += 1
        let expected = random(2) == 0 ? value : made
        let holds = expected == value
        action = .compareAndPut(expected: expected, new: made, succeeded: holds)
        if holds {
          value = made
          order += 1
          place = orders ? order : nil
        }
      case 5:
        action = .delete(existed: value != 0)
        if value != 0 {
          order += 1
          place = orders ? order : nil
        }
        value = 0
      default: action = .read(value)
      }
      if unknown && random(20) == 0 {
        // It never took effect.
        made += 1
        steps.append(.init(action: .write(made), called: called, returned: nil))
      }
      steps.append(
        .init(action: action, called: called, returned: isUnknown ? nil : returned, order: place))
    }
    return steps
  }

  @Test(arguments: 1...20) func acceptsWhatRegistersDo(seed: UInt64) {
    for (unknown, orders) in [(false, false), (true, false), (false, true)] {
      let steps = Self.history(400, clients: 6, seed: seed, unknown: unknown, orders: orders)
      #expect(RegisterChecker.verdict(on: steps).verdict == .linearizable, "seed \(seed)")
    }
  }

  /// One read that shows the value before the last, long after it was replaced.
  @Test(arguments: 1...10) func findsOneStaleReadAndShowsLittle(seed: UInt64) throws {
    var steps = Self.history(600, clients: 5, seed: seed)
    let writes = steps.indices.filter { at in
      if case .write = steps[at].action { return at > 200 && at < 400 } else { return false }
    }
    let old = try #require(writes.first)
    guard case .write(let value) = steps[old].action else { return }
    let late = (steps[old].returned ?? 0) + 500
    steps.append(.init(action: .read(value), called: late, returned: late + 3))
    let (verdict, failure) = RegisterChecker.verdict(on: steps)
    #expect(verdict == .violation)
    let part = try #require(failure).part
    #expect(part.contains(steps.count - 1) && part.contains(old), "seed \(seed): \(part)")
    #expect(part.count < 40, "seed \(seed): \(part.count)")
  }

  /// All orders of a few steps, tried one by one.
  private static func isPossible(
    _ steps: [RegisterChecker.Step], value: Int = 0, newest: Int64 = 0, done: Set<Int> = []
  ) -> Bool {
    let left = steps.indices.filter { !done.contains($0) }
    if left.allSatisfy({ steps[$0].returned == nil }) { return true }
    return left.contains { at in
      let step = steps[at]
      // Nothing that returned before it was called comes after it.
      guard left.allSatisfy({ (steps[$0].returned ?? .max) >= step.called }),
        step.order ?? .max > newest, let next = step.action.applied(to: value)
      else { return false }
      return isPossible(
        steps, value: next, newest: step.order ?? newest, done: done.union([at]))
    }
  }

  /// A write of unknown outcome that only an exchange of unknown outcome found.
  @Test func whatNobodyIsKnownToHaveFoundMayHaveBeenFound() {
    typealias Step = RegisterChecker.Step
    let steps = [
      Step(action: .compareAndPut(expected: 12, new: 23, succeeded: nil), called: 0, returned: nil),
      Step(action: .write(12), called: 2, returned: nil),
      Step(action: .read(23), called: 8, returned: 9),
    ]
    #expect(verdict(steps) == .linearizable)
    // Two may have left the value: neither is bounded by the read.
    let other = Step(
      action: .compareAndPut(expected: 13, new: 23, succeeded: nil), called: 1, returned: nil)
    #expect(RegisterChecker.verdict(on: steps + [other]).verdict == .linearizable)
    #expect(verdict([steps[0], steps[2]]) == .violation)
  }

  /// A write of unknown outcome is no other value than the one that an exchange did not find.
  @Test func whatAnExchangeDidNotFindWasNotWritten() {
    typealias Step = RegisterChecker.Step
    let steps = [
      Step(action: .write(2), called: 1, returned: 2),
      Step(action: .write(2), called: 3, returned: nil),
      Step(
        action: .compareAndPut(expected: 2, new: 20, succeeded: false), called: 4, returned: 5),
    ]
    #expect(verdict(steps) == .violation)
    #expect(RegisterChecker.verdict(on: steps).verdict == .violation)
    let other = Step(action: .write(3), called: 3, returned: nil)
    #expect(verdict(steps + [other]) == .linearizable)
  }

  /// Few steps of any kind with any result, judged as by trying all orders.
  @Test func agreesWithAllOrdersOfFewSteps() {
    var random = SeededGenerator.printed("few steps")
    var (possible, impossible) = (0, 0)
    for _ in 0..<3_000 {
      let times = Array(0..<14).shuffled(using: &random)
      let orders = (Int64(1)...7).shuffled(using: &random)
      let steps = (0..<Int.random(in: 2...7, using: &random)).map { at in
        let isKnown = Int.random(in: 0..<3, using: &random) > 0
        let value = Int.random(in: 1...3, using: &random)
        let (first, second) = (times[2 * at], times[2 * at + 1])
        let succeeds = isKnown ? Bool.random(using: &random) : nil
        let action: RegisterChecker.Action =
          switch Int.random(in: 0..<6, using: &random) {
          case 0, 1: .write(isKnown ? value : at + 10)
          case 2: .write(value)
          case 3:
            .compareAndPut(
              expected: Bool.random(using: &random) ? value : at + 9, new: at + 20,
              succeeded: succeeds)
          case 4: .delete(existed: succeeds)
          default:
            .read([0, 1, 2, 3, at + 9, at + 8, at + 19].randomElement(using: &random) ?? 0)
          }
        let isOrdered = !action.isLook && isKnown && Int.random(in: 0..<3, using: &random) > 0
        return RegisterChecker.Step(
          action: action, called: min(first, second), returned: isKnown ? max(first, second) : nil,
          order: isOrdered ? orders[at] : nil)
      }
      let isPossible = Self.isPossible(steps)
      if isPossible { possible += 1 } else { impossible += 1 }
      #expect(verdict(steps) == (isPossible ? .linearizable : .violation), "\(steps)")
      let (bounded, _) = RegisterChecker.verdict(on: steps)
      #expect(bounded == (isPossible ? .linearizable : .violation), "\(steps)")
    }
    #expect(possible > 500 && impossible > 500, "\(possible) and \(impossible)")
  }

  /// A leader that dies: thirty clients wait, and all are answered at once, some never.
  @Test func aCrowdThatWaitedIsDecided() {
    var steps: [RegisterChecker.Step] = []
    for client in 0..<30 {
      steps.append(
        .init(
          action: .write(client + 1), called: client, returned: 1_000 + client * 7 % 30,
          order: Int64(client + 1)))
      steps.append(.init(action: .write(100 + client), called: client, returned: nil))
      steps.append(
        .init(
          action: .compareAndPut(expected: client, new: 200 + client, succeeded: false),
          called: 500 + client, returned: 1_100 + client))
    }
    steps.append(.init(action: .read(117), called: 1_200, returned: 1_201))
    #expect(RegisterChecker.verdict(on: steps).verdict == .linearizable)
    steps.append(.init(action: .read(4), called: 1_300, returned: 1_301))
    #expect(RegisterChecker.verdict(on: steps).verdict == .violation)
  }

  @Test func theOrderThatWasToldCounts() {
    func write(_ value: Int, _ called: Int, _ returned: Int, _ order: Int64) -> RegisterChecker.Step
    {
      .init(action: .write(value), called: called, returned: returned, order: order)
    }
    let read = step(.read(1), 20, 21)
    #expect(verdict([write(1, 1, 10, 5), write(2, 2, 9, 4), read]) == .linearizable)
    #expect(verdict([write(1, 1, 10, 4), write(2, 2, 9, 5), read]) == .violation)
  }

  /// One register by eight clients, with writes of unknown outcome; a release build has ten times as many in half a second.
  @Test func decidesLongHistories() {
    let steps = Self.history(10_000, clients: 8, seed: 1, unknown: true)
    #expect(RegisterChecker.verdict(on: steps).verdict == .linearizable)
  }
}
