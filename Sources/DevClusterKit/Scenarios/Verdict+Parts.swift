import Checkers

extension HistoryOperation {
  /// The lock that it is about.
  var lockName: String? {
    switch action {
    case .lock(let name), .unlock(let name, _), .guarded(let name, _): name
    default: nil
    }
  }
}

/// What is wrong with one lock. Pure.
struct LockVerdict {
  private let history: History
  private let name: String
  private(set) var problems: [HistoryProblem] = []

  /// A client that was told to hold the lock.
  private struct Hold {
    let client: Int
    let token: Int64
    let asked: Int
    let told: Int
    /// When it could not be sure any more to hold it.
    var until: Int
    let position: Int
  }

  init(_ history: History, _ name: String) {
    self.history = history
    self.name = name
    checkHolds()
    checkWrites()
  }

  private mutating func checkHolds() {
    var holds: [Hold] = []
    var places: [Int64: Int] = [:]
    for (position, operation) in history.operations.enumerated() where operation.lockName == name {
      switch (operation.action, operation.outcome) {
      case (.lock, .locked(let token)):
        places[token] = holds.count
        // Until it says something else it believes to hold it for no time at all.
        holds.append(
          Hold(
            client: operation.client, token: token, asked: operation.called, told: operation.ended,
            until: operation.ended, position: position))
      case (.unlock(_, let token), _):
        guard let place = places[token] else { continue }
        holds[place].until = operation.heldUntil ?? operation.called
      default: continue
      }
    }
    holds.sort { $0.told < $1.told }
    var ledger = LockLedger()
    for hold in holds {
      let believers = ledger.holds.indices.filter { holds[$0].until > hold.told }
      let found =
        ledger.problems(client: hold.client, token: hold.token, asked: hold.asked)
        + ledger.hold(
          hold.client, token: hold.token, asked: hold.asked, told: hold.told, besides: believers)
      problems += found.map { problem in
        HistoryProblem(
          "\(name): \(problem.text)",
          problem.operations.map { holds[$0].position } + [hold.position])
      }
    }
  }

  /// What was written under the lock is in the order of the tokens.
  private mutating func checkWrites() {
    var writes: [(revision: Int64, token: Int64, position: Int)] = []
    for (position, operation) in history.operations.enumerated() {
      guard case .guarded(name, let token) = operation.action,
        case .wrote(let revision) = operation.outcome
      else { continue }
      writes.append((revision, token, position))
    }
    writes.sort { $0.revision < $1.revision }
    for (write, next) in zip(writes, writes.dropFirst()) where next.token < write.token {
      problems.append(
        HistoryProblem(
          "\(name): a write with token \(next.token) came after one with \(write.token)",
          [write.position, next.position]))
    }
  }
}

/// What is wrong with watches: all that happened, once, in order, to everybody alike. Pure.
struct WatchVerdict {
  private let history: History
  private(set) var problems: [HistoryProblem] = []
  /// What the keys begin with that are watched.
  static let prefix = "register/"

  init(_ history: History) {
    self.history = history
    check()
  }

  private struct Watcher {
    var from: Int64 = 1
    var told: [Int64: [History.Change]] = [:]
    var next: Int64 = 1
    var isWhole = false
    let name: String
    let member: String
  }

  private mutating func check() {
    var ledger = WatchLedger<History.Change>()
    var watchers: [Int: Watcher] = [:]
    for record in history.watches.sorted(by: { $0.time < $1.time }) {
      var watcher =
        watchers[record.client]
        ?? Watcher(name: "the watcher of client \(record.client)", member: record.member)
      if let from = record.from { (watcher.from, watcher.next) = (from, from) }
      let (found, wrong) = ledger.tell(
        record.changes.map { ($0.revision, $0) }, next: watcher.next, seesAll: true, isDense: false,
        (watcher.name, watcher.member))
      problems += wrong.map { HistoryProblem("\($0) (\(HistoryOperation.seconds(record.time)) s)") }
      watcher.told.merge(found) { $0 + $1 }
      // checked: revisions are below 2^62
      if let last = record.changes.last { watcher.next = max(watcher.next, last.revision + 1) }
      watcher.isWhole = watcher.isWhole || record.isWhole
      watchers[record.client] = watcher
    }
    for (_, watcher) in watchers.sorted(by: { $0.key < $1.key }) { check(watcher, ledger) }
    checkWrites(ledger, from: watchers.values.map(\.from).min())
  }

  private mutating func check(_ watcher: Watcher, _ ledger: WatchLedger<History.Change>) {
    let last = watcher.told.keys.max() ?? 0
    if !watcher.isWhole {
      problems.append(
        HistoryProblem(
          "\(watcher.name) at \(watcher.member) did not come to the end, only to \(last)"))
    }
    let missing = ledger.missing(
      watcher.told, upTo: last, wants: { _ in true }, isExcused: { $0 < watcher.from })
    guard let first = missing.first else { return }
    problems.append(
      HistoryProblem(
        "\(watcher.name) at \(watcher.member) was not told all of revision \(first.revision): "
          + "\(first.wanted.map(\.text)), but \(first.told.map(\.text))"))
  }

  /// What was acknowledged is told, as it was written.
  private mutating func checkWrites(_ ledger: WatchLedger<History.Change>, from: Int64?) {
    guard let from, let last = ledger.changes.keys.max() else { return }
    for (position, operation) in history.operations.enumerated() {
      guard case .wrote(let revision) = operation.outcome, revision >= from, revision <= last else {
        continue
      }
      for effect in operation.effects where effect.key.hasPrefix(Self.prefix) {
        let wanted = History.Change(revision: revision, key: effect.key, value: effect.value)
        guard ledger.changes[revision]?.contains(wanted) != true else { continue }
        problems.append(
          HistoryProblem(
            "no watcher was told of \(wanted.text), which was acknowledged", [position]))
      }
    }
  }
}

extension History.Change {
  /// For people.
  var text: String { "\(key) = \(value) at \(revision)" }
}
