import Bytes
import EtcdAPI

/// What waits for a read index: linearizable reads, and questions that the leader's clock of leases
/// answers.
///
/// All that wait when a round starts share it. A context belongs to one round: whatever answers it
/// confirms that round, however often and however long ago it was asked, and no later one. So a round
/// that is asked again may still be confirmed by the answer to the first question; otherwise a network
/// slower than the retries would never let a read go.
struct ReadQueue: Sendable {
  /// Who waits.
  enum Waiter: Sendable {
    /// A read, which runs elsewhere on the state of the turn.
    case read
    /// A question that the core answers itself.
    case lease(LeaseQuestion.Kind)
  }

  struct Entry: Sendable {
    let id: RequestID
    let tick: Int
    let waiter: Waiter
  }

  /// What came after the round under way was asked.
  private var next: [Entry] = []
  /// What the round under way is for.
  private var asked: [Entry] = []
  private(set) var context = Bytes()
  private var askedTick = 0
  /// Confirmed at an index that is not applied yet.
  private var confirmed: [(index: LogIndex, entries: [Entry])] = []
  /// Rounds that had to be asked again.
  private(set) var slow = 0
  /// Rounds that ended without an answer.
  private(set) var failed = 0
  /// Questions about leases that wait, each lease of a question as one.
  var leaseQuestions = 0
  /// Everything that waits.
  private(set) var count = 0

  mutating func add(_ ids: [RequestID], tick: Int) {
    for id in ids { next.append(Entry(id: id, tick: tick, waiter: .read)) }
    count += ids.count
  }

  mutating func add(_ question: LeaseQuestion, tick: Int) {
    next.append(Entry(id: question.id, tick: tick, waiter: .lease(question.kind)))
    leaseQuestions += question.kind.weight
    count += 1
  }

  /// Whether a round should be asked now.
  var wantsRound: Bool { asked.isEmpty && !next.isEmpty }

  mutating func begin(context: Bytes, tick: Int) {
    asked = exchange(&next, with: [])
    self.context = context
    askedTick = tick
  }

  /// Raft answered a round: what waits for it may go once `index` is applied.
  mutating func confirm(_ context: Bytes, index: LogIndex) {
    guard !asked.isEmpty, context == self.context else { return }
    confirmed.append((index, exchange(&asked, with: [])))
  }

  /// Takes what is confirmed at an index that is applied.
  mutating func release(applied: LogIndex) -> [Entry] {
    guard !confirmed.isEmpty else { return [] }
    var released: [Entry] = []
    confirmed.removeAll { round in
      guard round.index <= applied else { return false }
      released += round.entries
      return true
    }
    return taken(released)
  }

  /// - Returns: whether the round under way is to be asked again, with its context.
  mutating func retry(tick: Int, after limit: Int) -> Bool {
    guard !asked.isEmpty, tick - askedTick >= limit else { return false }
    slow += 1
    askedTick = tick
    return true
  }

  /// Takes what waited too long.
  mutating func expire(tick: Int, after limit: Int) -> [Entry] {
    var expired: [Entry] = []
    func sweep(_ entries: inout [Entry]) {
      guard let first = entries.first, tick - first.tick >= limit else { return }
      entries.removeAll { entry in
        guard tick - entry.tick >= limit else { return false }
        expired.append(entry)
        return true
      }
    }
    sweep(&next)
    sweep(&asked)
    for position in confirmed.indices { sweep(&confirmed[position].entries) }
    confirmed.removeAll { $0.entries.isEmpty }
    if !expired.isEmpty { failed += 1 }
    return taken(expired)
  }

  /// Takes the round under way: the leader changed, and it will not be answered.
  mutating func takeAsked() -> [Entry] {
    if !asked.isEmpty { failed += 1 }
    return taken(exchange(&asked, with: []))
  }

  /// Guarantees, between turns:
  /// 1. A round under way has a context.
  /// 2. What is confirmed waits for an index that is not applied.
  /// 3. `leaseQuestions` counts the questions about leases, and `count` everything.
  /// - Returns: the first one that does not hold.
  func checkInvariants(applied: LogIndex) -> String? {
    guard asked.isEmpty || !context.isEmpty else { return "1: a round without a context" }
    for round in confirmed where round.entries.isEmpty || round.index <= applied {
      return "2: \(round.entries.count) wait for \(round.index), applied \(applied)"
    }
    let waiting = next + asked + confirmed.flatMap(\.entries)
    let found = Self.leaseQuestions(waiting)
    guard waiting.count == count else { return "3: \(count) wait, \(waiting.count) found" }
    return found == leaseQuestions ? nil : "3: \(leaseQuestions) questions, \(found) found"
  }

  private mutating func taken(_ entries: [Entry]) -> [Entry] {
    count -= entries.count
    if leaseQuestions > 0 { leaseQuestions -= Self.leaseQuestions(entries) }
    return entries
  }

  private static func leaseQuestions(_ entries: [Entry]) -> Int {
    entries.reduce(0) { if case .lease(let kind) = $1.waiter { $0 + kind.weight } else { $0 } }
  }
}
