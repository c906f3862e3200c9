import Checkers

/// What a history is worth: all that may not be in it. Pure; the checkers are those of the simulation.
struct Verdict: Sendable, Equatable {
  /// Something that may not be.
  struct Problem: Sendable, Equatable {
    /// Name of the expectation.
    var expectation: String
    var text: String
    /// The least that shows it: places among the operations of the history.
    var operations: [Int] = []
    /// Whether it could not be decided.
    var isUndecided = false
  }

  var problems: [Problem] = []
  /// What was checked, in a line.
  var summary = ""

  var isGood: Bool { problems.isEmpty }

  /// `ok`, `VIOLATED`, or `UNDECIDED` when nothing is known to be wrong and not all to be right.
  var word: String {
    isGood ? "ok" : problems.allSatisfy(\.isUndecided) ? "UNDECIDED" : "VIOLATED"
  }

  init(_ history: History) {
    let expect = history.header.expect
    for event in history.events where event.kind == HistoryEvent.refused {
      problems.append(Problem(expectation: "steps", text: event.text))
    }
    if expect.isLinearizable { add("linearizable", Self.answers(history)) }
    if expect.hasWholeWatches { add("watch", WatchVerdict(history).problems) }
    if expect.keepsLeases { add("leases", Self.leases(history)) }
    if expect.hasSafeLocks { add("locks", Self.locks(history)) }
    if expect.hasEqualHashes { add("hashes", Self.hashes(history)) }
    if expect.refusesInMinority { add("minority", Isolation(history).problems) }
    if let gap = expect.longestGap { add("writes-within", Self.gaps(history, longest: gap)) }
    if let longest = expect.longestLeaderless {
      add("leader-within", Self.leaderless(history, longest: longest))
    }
    if let most = expect.leaderChangesMax {
      add("leader-changes", Self.leaderChanges(history, most: most))
    }
    // What is wrong comes before what is not known.
    problems = problems.filter { !$0.isUndecided } + problems.filter(\.isUndecided)
    summary = Self.summary(history)
  }

  private mutating func add(_ expectation: String, _ found: [HistoryProblem]) {
    for problem in found {
      problems.append(
        Problem(
          expectation: expectation, text: problem.text,
          operations: Array(Set(problem.operations)).sorted(), isUndecided: problem.isUndecided))
    }
  }

  // MARK: answers

  private static func answers(_ history: History) -> [HistoryProblem] {
    let operations = history.operations
    let keys = Set(operations.flatMap(\.registers)).sorted()
    var problems = HistoryCheck.problems(of: operations, keys: keys)
    var adds: [SetChecker.Add] = []
    var looks: [SetChecker.Look] = []
    var lists: [String: [ListChecker.Look]] = [:]
    for (position, operation) in operations.enumerated() {
      switch (operation.action, operation.outcome) {
      case (.add, .failed): continue
      case (.add(let element), _):
        adds.append(
          .init(
            element, called: operation.called, returned: operation.returned, position: position))
      case (.members, .elements(_, let elements)):
        looks.append(
          .init(
            elements, called: operation.called, returned: operation.ended, position: position))
      default:
        for (key, list) in operation.lists {
          lists[key, default: []].append(.init(list, position: position))
        }
      }
    }
    problems += SetChecker.problems(adds, looks)
    for (key, looks) in lists.sorted(by: { $0.key < $1.key }) {
      if let problem = ListChecker.problem(key, looks) { problems.append(problem) }
    }
    return problems
  }

  // MARK: leases and locks

  private static func leases(_ history: History) -> [HistoryProblem] {
    var promises: [Int64: (promise: LeasePromise, position: Int)] = [:]
    var problems: [HistoryProblem] = []
    // As answers came: what was told counts from then on.
    let order = history.operations.indices.sorted {
      history.operations[$0].ended < history.operations[$1].ended
    }
    for position in order {
      let operation = history.operations[position]
      switch (operation.action, operation.outcome) {
      case (.grant(let lease, let seconds), .isThere(true)),
        (.renew(let lease, let seconds), .isThere(true)):
        var (promise, before) = promises[lease] ?? (LeasePromise(), position)
        // checked: seconds are those of a scenario, times those of its clock
        if let gone = promise.extend(to: operation.called + seconds * 1_000_000_000) {
          problems.append(
            HistoryProblem(
              "lease \(String(lease, radix: 16)) was renewed after it was gone at "
                + "\(HistoryOperation.seconds(gone)) s", [before, position]))
        }
        before = position
        promises[lease] = (promise, before)
      case (.look(let lease), .isThere(false)), (.renew(let lease, _), .isThere(false)):
        guard let known = promises[lease] else { continue }
        var promise = known.promise
        if promise.end(at: operation.ended) {
          problems.append(
            HistoryProblem(
              "lease \(String(lease, radix: 16)) was gone at "
                + "\(HistoryOperation.seconds(operation.ended)) s, and promised until "
                + "\(HistoryOperation.seconds(promise.aliveUntil)) s", [known.position, position]))
        }
        promises[lease] = (promise, known.position)
      default: continue
      }
    }
    return problems
  }

  private static func locks(_ history: History) -> [HistoryProblem] {
    let names = Set(history.operations.compactMap(\.lockName)).sorted()
    return names.flatMap { LockVerdict(history, $0).problems }
  }

  // MARK: the end

  private static func hashes(_ history: History) -> [HistoryProblem] {
    guard let end = history.end else {
      return [HistoryProblem("the history has no end: hashes were not compared")]
    }
    if let failure = end.failure { return [HistoryProblem(failure)] }
    guard Set(end.hashes.map(\.hash)).count > 1 else { return [] }
    let shown = end.hashes.map { "\($0.member) \(String($0.hash, radix: 16))" }
    return [
      HistoryProblem(
        "members hash differently at revision \(end.hashes[0].revision): "
          + shown.joined(separator: ", "))
    ]
  }

  private static func gaps(_ history: History, longest: UInt64) -> [HistoryProblem] {
    let end = history.end?.loadEnded ?? history.operations.map(\.ended).max() ?? 0
    let writes = history.operations.indices.filter { position in
      let operation = history.operations[position]
      return operation.isWrite && operation.isAcknowledged && operation.ended <= end
    }.sorted { history.operations[$0].ended < history.operations[$1].ended }
    var last = (time: 0, position: Int?.none)
    var worst: (gap: Int, from: Int, around: [Int]) = (0, 0, [])
    for position in writes + [-1] {
      let time = position < 0 ? end : history.operations[position].ended
      if time - last.time > worst.gap {  // checked: times of a scenario's clock
        worst = (
          time - last.time, last.time,
          [last.position, position].compactMap { $0 }.filter { $0 >= 0 }
        )
      }
      last = (time, position)
    }
    guard worst.gap > longest else { return [] }
    return [
      HistoryProblem(
        "no write was acknowledged for \(HistoryOperation.seconds(worst.gap)) s from "
          + "\(HistoryOperation.seconds(worst.from)) s on", worst.around)
    ]
  }

  private static func leaderless(_ history: History, longest: UInt64) -> [HistoryProblem] {
    let found = Leaderless(history).longest
    guard found.nanoseconds > longest else { return [] }
    return [
      HistoryProblem(
        "nobody could lead for \(HistoryOperation.seconds(found.nanoseconds)) s from "
          + "\(HistoryOperation.seconds(found.from)) s on")
    ]
  }

  private static func leaderChanges(_ history: History, most: Int) -> [HistoryProblem] {
    let count = history.leaderChanges
    return count > most
      ? [HistoryProblem("the leader changed \(count) times, \(most) are allowed")] : []
  }

  private static func summary(_ history: History) -> String {
    let unknown = history.operations.count { $0.returned == nil }
    let failed = history.operations.count { operation in
      if case .failed = operation.outcome { true } else { false }
    }
    let told = history.watches.reduce(0) { $0 + $1.changes.count }  // checked: in memory
    let orders = history.events.count { $0.kind == "order" }
    return
      "\(history.operations.count) operations (\(unknown) of unknown outcome, \(failed) refused)"
      + (told > 0 ? ", \(told) watched changes" : "")
      + ", \(orders) faults and orders, \(history.leaderChanges) leader changes"
  }
}

extension History {
  /// How often another member led than before.
  var leaderChanges: Int {
    let leaders = events.filter { $0.kind == "leader" }.compactMap(\.member)
    return zip(leaders, leaders.dropFirst()).count { $0 != $1 }
  }
}
