import Auth
import Bytes
import EtcdAPI

/// Linearizable reads waiting for a read index.
///
/// All reads that wait when a round starts share it. A round's context is never used twice, so a late
/// answer to an earlier question cannot confirm a later one.
struct ReadQueue: Sendable {
  struct Entry: Sendable {
    let id: UInt64
    let tick: Int
  }

  /// Reads that came after the round under way was asked.
  var next: [Entry] = []
  /// Reads of the round under way.
  var asked: [Entry] = []
  var context = Bytes()
  var askedTick = 0
  /// Reads confirmed at an index that is not applied yet.
  var confirmed: [(index: UInt64, entries: [Entry])] = []
  /// Rounds that had to be asked again.
  var slow = 0

  mutating func add(_ ids: [UInt64], tick: Int) {
    for id in ids { next.append(Entry(id: id, tick: tick)) }
  }

  /// Whether a round should be asked now.
  var wantsRound: Bool { asked.isEmpty && !next.isEmpty }

  mutating func begin(context: Bytes, tick: Int) {
    asked = next
    next.removeAll()
    self.context = context
    askedTick = tick
  }

  /// Raft answered a round: its reads may run once `index` is applied.
  mutating func confirm(_ context: Bytes, index: UInt64) {
    guard !asked.isEmpty, context == self.context else { return }
    confirmed.append((index, asked))
    asked.removeAll()
  }

  /// Reads whose index is applied.
  mutating func release(applied: UInt64) -> [UInt64] {
    var ids: [UInt64] = []
    confirmed.removeAll { round in
      guard round.index <= applied else { return false }
      ids += round.entries.map(\.id)
      return true
    }
    return ids
  }

  /// Puts the reads of an unanswered round back, to be asked with a new context.
  mutating func retry(tick: Int, after limit: Int) {
    guard !asked.isEmpty, tick - askedTick >= limit else { return }
    slow += 1
    next = asked + next
    asked.removeAll()
  }

  /// Fails reads that waited too long.
  mutating func expire(
    tick: Int, after limit: Int, _ auth: AuthStore, _ out: inout MemberOutput
  ) {
    var expired: [UInt64] = []
    func sweep(_ entries: inout [Entry]) {
      guard let first = entries.first, tick - first.tick >= limit else { return }
      entries.removeAll { entry in
        guard tick - entry.tick >= limit else { return false }
        expired.append(entry.id)
        return true
      }
    }
    sweep(&next)
    sweep(&asked)
    for position in confirmed.indices { sweep(&confirmed[position].entries) }
    confirmed.removeAll { $0.entries.isEmpty }
    if !expired.isEmpty {
      out.reads.append(ReadBatch(ids: expired, result: .failure(.timeout), auth: auth))
    }
  }

  /// The leader changed: the round under way will not be answered.
  mutating func failAsked(_ error: EtcdError, _ auth: AuthStore, _ out: inout MemberOutput) {
    guard !asked.isEmpty else { return }
    out.reads.append(ReadBatch(ids: asked.map(\.id), result: .failure(error), auth: auth))
    asked.removeAll()
  }
}
