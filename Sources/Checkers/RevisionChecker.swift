/// Checks a whole history by the revisions in its answers.
///
/// 1. Every acknowledged write has a revision of its own.
/// 2. Revisions follow real time: what is called after something returned has a later revision, or,
///    if it is a linearizable read, at least the same.
/// 3. A read at a revision shows, for every key, the last write at or before it.
public struct RevisionChecker<Entry: ClientOperation> {
  private let history: [Entry]
  private var problems: [HistoryProblem] = []
  /// Writes to each key by revision; unknown ones enter when a read shows them.
  private var writes: [String: [Int64: Int]] = [:]
  private var operationAt: [Int64: Int] = [:]
  private var operationOfValue: [Int: Int] = [:]
  /// Keys with a delete of unknown outcome.
  private var maybeDeleted: Set<String> = []
  /// Revisions of the writes to each key, in order.
  private var revisions: [String: [Int64]] = [:]

  public init(_ history: [Entry]) { self.history = history }

  public mutating func check() -> [HistoryProblem] {
    collectWrites()
    checkRealTime()
    for position in history.indices { resolveUnknown(position) }
    revisions = writes.mapValues { $0.keys.sorted() }
    for position in history.indices { checkContent(position) }
    return problems
  }

  private mutating func report(_ text: String, _ positions: Int...) {
    problems.append(HistoryProblem(text, positions))
  }

  private mutating func collectWrites() {
    for (position, operation) in history.enumerated() {
      for effect in operation.effects {
        if effect.value != 0 { operationOfValue[effect.value] = position }
        if effect.value == 0, operation.result == nil { maybeDeleted.insert(effect.key) }
      }
      guard operation.isWrite, case .wrote(let revision) = operation.result else { continue }
      if let other = operationAt[revision] {
        report(
          "revision \(revision) was given to \(history[other]) and to \(operation)", other, position
        )
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
    var newest: (revision: Int64, position: Int) = (0, 0)
    var floor = [(revision: Int64, position: Int)](repeating: newest, count: history.count)
    for event in events {
      if event.isCall {
        floor[event.position] = newest
        continue
      }
      let operation = history[event.position]
      let before = floor[event.position]
      switch operation.result {
      case .wrote(let revision):
        if revision <= before.revision {
          report(
            "a write got a revision not above \(before.revision), which was returned before "
              + "it was called: \(operation)", before.position, event.position)
        }
        if revision > newest.revision { newest = (revision, event.position) }
      case .unchanged(let revision), .read(let revision, _):
        if revision < before.revision {
          report(
            "a stale answer: revision \(before.revision) was returned before the call: "
              + "\(operation)", before.position, event.position)
        }
        if revision > newest.revision { newest = (revision, event.position) }
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
        report("\(key) has the value \(seen.value), which nobody wrote there", position)
        continue
      }
      if case .refused = history[writer].result {
        report("\(key) shows \(history[writer]), which was refused", position, writer)
      }
      if seen.modified > revision {
        report(
          "\(key) was modified after the revision of the read: \(history[position])", position)
      }
      if history[writer].called > history[position].returned ?? Int.max {
        report("\(key) was read before it was written: \(history[position])", position, writer)
      }
      if let other = operationAt[seen.modified], other != writer {
        report(
          "revision \(seen.modified) shows \(history[writer]), but belongs to \(history[other])",
          position, writer, other)
      }
      operationAt[seen.modified] = writer
      writes[key, default: [:]][seen.modified] = seen.value
    }
  }

  private mutating func checkContent(_ position: Int) {
    let operation = history[position]
    guard case .read(let revision, let values) = operation.result else { return }
    for (key, seen) in values.sorted(by: { $0.key < $1.key }) {
      guard let last = lastWrite(to: key, upTo: revision), let value = writes[key]?[last] else {
        continue
      }
      if seen.value == 0 {
        guard value != 0, !maybeDeleted.contains(key) else { continue }
        report(
          "\(key) is missing, but was written at \(last): \(operation)",
          operationAt[last] ?? position,
          position)
      } else if seen.modified != last || seen.value != value {
        report(
          "\(key) shows revision \(seen.modified), but was last written at \(last): \(operation)",
          operationAt[last] ?? position, position)
      }
    }
  }

  /// Revision of the newest write to a key that a state of this revision has.
  private func lastWrite(to key: String, upTo revision: Int64) -> Int64? {
    guard let all = revisions[key] else { return nil }
    var (low, high) = (0, all.count)
    while low < high {
      let middle = (low + high) / 2  // checked: indices
      if all[middle] <= revision { low = middle + 1 } else { high = middle }  // checked: the same
    }
    return low > 0 ? all[low - 1] : nil  // checked: above 0
  }
}
