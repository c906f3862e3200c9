/// Checks a whole history by the revisions in its answers.
///
/// 1. Every acknowledged write has a revision of its own.
/// 2. Revisions follow real time: what is called after something returned has a later revision, or,
///    if it is a linearizable read, at least the same.
/// 3. A read at a revision shows, for every key, the last write at or before it.
struct RevisionChecker {
  private let history: [Operation]
  private(set) var problems: [String] = []
  /// Writes to each key by revision; unknown ones enter when a read shows them.
  private var writes: [String: [Int64: Int]] = [:]
  private var operationAt: [Int64: Int] = [:]
  private var operationOfValue: [Int: Int] = [:]

  init(_ history: [Operation]) { self.history = history }

  mutating func check() -> [String] {
    collectWrites()
    checkRealTime()
    for position in history.indices { resolveUnknown(position) }
    for position in history.indices { checkContent(position) }
    return problems
  }

  private mutating func collectWrites() {
    for (position, operation) in history.enumerated() {
      for effect in operation.effects where effect.value != 0 {
        operationOfValue[effect.value] = position
      }
      guard operation.isWrite, case .wrote(let revision) = operation.result else { continue }
      if let other = operationAt[revision] {
        problems.append(
          "revision \(revision) was given to \(history[other]) and to \(operation)")
      }
      operationAt[revision] = position
      for effect in operation.effects { writes[effect.key, default: [:]][revision] = effect.value }
    }
  }

  private mutating func checkRealTime() {
    var events: [(time: Int, position: Int, isCall: Bool)] = []
    for (position, operation) in history.enumerated() where operation.isLinearizable {
      events.append((operation.called, position, true))
      if let returned = operation.returned { events.append((returned, position, false)) }
    }
    events.sort { $0.time < $1.time }
    var newest: Int64 = 0
    var floor = [Int64](repeating: 0, count: history.count)
    for event in events {
      if event.isCall {
        floor[event.position] = newest
        continue
      }
      let operation = history[event.position]
      switch operation.result {
      case .wrote(let revision):
        if revision <= floor[event.position] {
          problems.append(
            "a write got a revision not above \(floor[event.position]), which was returned before "
              + "it was called: \(operation)")
        }
        newest = max(newest, revision)
      case .unchanged(let revision), .read(let revision, _):
        if revision < floor[event.position] {
          problems.append(
            "a stale answer: revision \(floor[event.position]) was returned before the call: "
              + "\(operation)")
        }
        newest = max(newest, revision)
      case .refused, nil: continue
      }
    }
  }

  /// A value seen tells the revision of a write whose answer was lost.
  private mutating func resolveUnknown(_ position: Int) {
    guard case .read(let revision, let values) = history[position].result else { return }
    for (key, seen) in values.sorted(by: { $0.key < $1.key }) where seen.value != 0 {
      guard let writer = operationOfValue[seen.value],
        history[writer].effects.contains(where: { $0.key == key })
      else {
        problems.append("\(key) has the value \(seen.value), which nobody wrote there")
        continue
      }
      if seen.modified > revision {
        problems.append("\(key) was modified after the revision of the read: \(history[position])")
      }
      if history[writer].called > history[position].returned ?? Int.max {
        problems.append("\(key) was read before it was written: \(history[position])")
      }
      if let other = operationAt[seen.modified], other != writer {
        problems.append(
          "revision \(seen.modified) shows \(history[writer]), but belongs to \(history[other])")
      }
      operationAt[seen.modified] = writer
      writes[key, default: [:]][seen.modified] = seen.value
    }
  }

  private mutating func checkContent(_ position: Int) {
    let operation = history[position]
    guard case .read(let revision, let values) = operation.result else { return }
    for (key, seen) in values.sorted(by: { $0.key < $1.key }) {
      let known = writes[key, default: [:]]
      guard let last = known.keys.filter({ $0 <= revision }).max(), let value = known[last] else {
        continue
      }
      if seen.value == 0 {
        guard value != 0, !mayHaveDeleted(key) else { continue }
        problems.append("\(key) is missing, but was written at \(last): \(operation)")
      } else if seen.modified != last || seen.value != value {
        problems.append(
          "\(key) shows revision \(seen.modified), but was last written at \(last): \(operation)")
      }
    }
  }

  /// Whether a delete of the key has an unknown outcome.
  private func mayHaveDeleted(_ key: String) -> Bool {
    history.contains { operation in
      operation.result == nil && operation.effects.contains { $0 == (key, 0) }
    }
  }
}
