/// How the leader treats a follower.
public enum ProgressState: Sendable, Hashable, CustomStringConvertible {
  /// Its last index is not known: one append message a heartbeat interval.
  case probe
  /// Its log matches: entries are sent without waiting for answers.
  case replicate
  /// It needs entries that were compacted; nothing is sent until the snapshot arrived.
  case snapshot

  public var description: String {
    switch self {
    case .probe: "StateProbe"
    case .replicate: "StateReplicate"
    case .snapshot: "StateSnapshot"
    }
  }
}

/// What the leader knows of one member's log.
///
/// - Shape: `match < next`; entries between the two are on the way.
/// - Source: etcd-io/raft `tracker.Progress`.
public struct Progress: Sendable, Hashable, CustomStringConvertible {
  /// Up to here its log is known to equal the leader's.
  public internal(set) var match: UInt64 = 0
  /// The next entry to send.
  public internal(set) var next: UInt64
  /// Highest commit index on the way to it.
  private(set) var sentCommit: UInt64 = 0
  /// How the member is treated now.
  public internal(set) var state = ProgressState.probe
  /// Index of the snapshot on the way, in state `snapshot`.
  public internal(set) var pendingSnapshot: UInt64 = 0
  /// Whether it was heard of since the last quorum check; always true for the leader itself.
  public internal(set) var recentActive = false
  /// Whether appends are held back until the next heartbeat answer.
  public internal(set) var isFlowPaused = false
  /// The append messages on the way to it.
  public internal(set) var inflights: Inflights
  /// Whether it has no vote.
  public internal(set) var isLearner: Bool

  init(
    next: UInt64, inflights: Inflights, isLearner: Bool, match: UInt64 = 0,
    recentActive: Bool = false
  ) {
    self.match = match
    self.next = next
    self.inflights = inflights
    self.isLearner = isLearner
    self.recentActive = recentActive
  }

  private mutating func enter(_ newState: ProgressState) {
    isFlowPaused = false
    pendingSnapshot = 0
    state = newState
    inflights.reset()
  }

  /// Probes after `match`, or after the snapshot that was on the way.
  mutating func becomeProbe() {
    let base = state == .snapshot ? max(match, pendingSnapshot) : match
    enter(.probe)
    next = base + 1
    sentCommit = min(sentCommit, next - 1)
  }

  mutating func becomeReplicate() {
    enter(.replicate)
    next = match + 1
  }

  mutating func becomeSnapshot(at index: UInt64) {
    enter(.snapshot)
    pendingSnapshot = index
    next = index + 1
    sentCommit = index
  }

  /// Counts an append message with `entries` entries of `bytes` payload in.
  mutating func sent(entries: Int, bytes: UInt64) {
    switch state {
    case .replicate:
      if entries > 0 {
        next += UInt64(entries)
        inflights.add(index: next - 1, bytes: bytes)
      }
      // What filled the window, or was sent into a full one, serves as a probe.
      isFlowPaused = inflights.isFull
    case .probe:
      if entries > 0 { isFlowPaused = true }
    case .snapshot:
      preconditionFailure("append sent in \(state)")
    }
  }

  mutating func sent(commit: UInt64) { sentCommit = commit }

  /// Whether sending this commit index can move the follower's.
  func canBumpCommit(to index: UInt64) -> Bool {
    index > sentCommit && sentCommit < next - 1
  }

  /// Takes an acknowledgement; false when it tells nothing new.
  mutating func acknowledge(_ index: UInt64) -> Bool {
    guard index > match else { return false }
    match = index
    next = max(next, index + 1)
    isFlowPaused = false
    return true
  }

  /// Takes a rejection of the append at `rejected`; false when it is out of date.
  /// - Parameter hint: index at which the logs may match.
  mutating func reject(_ rejected: UInt64, hint: UInt64) -> Bool {
    if state == .replicate {
      guard rejected > match else { return false }
      next = match + 1
    } else {
      // Probes go one at a time, so only the answer to the last one counts.
      guard next - 1 == rejected else { return false }
      next = max(min(rejected, hint &+ 1), match + 1)
      isFlowPaused = false
    }
    sentCommit = min(sentCommit, next - 1)
    return true
  }

  /// Whether no entries may be sent now.
  public var isPaused: Bool { state == .snapshot || isFlowPaused }

  public var description: String {
    var text = "\(state) match=\(match) next=\(next)"
    if isLearner { text += " learner" }
    if isPaused { text += " paused" }
    if pendingSnapshot > 0 { text += " pendingSnap=\(pendingSnapshot)" }
    if !recentActive { text += " inactive" }
    if inflights.count > 0 {
      text += " inflight=\(inflights.count)"
      if inflights.isFull { text += "[full]" }
    }
    return text
  }
}

/// The progress of all members, in id order.
public struct ProgressMap: Sendable, Hashable, CustomStringConvertible {
  /// Ids in ascending order; `values` has the same positions.
  public private(set) var ids: [UInt64] = []
  /// The progress of each id in `ids`.
  public internal(set) var values: [Progress] = []

  init() {}

  /// Where `id` is in `values`.
  func slot(of id: UInt64) -> Int? { ids.firstIndex(of: id) }

  /// The progress of a member; `nil` when it is not tracked.
  public internal(set) subscript(id: UInt64) -> Progress? {
    get { slot(of: id).map { values[$0] } }
    set {
      let at = ids.firstIndex { $0 >= id } ?? ids.count
      let isThere = at < ids.count && ids[at] == id
      switch (newValue, isThere) {
      case (let value?, true): values[at] = value
      case (let value?, false):
        ids.insert(id, at: at)
        values.insert(value, at: at)
      case (nil, true):
        ids.remove(at: at)
        values.remove(at: at)
      case (nil, false): break
      }
    }
  }

  public var description: String {
    zip(ids, values).map { "\($0): \($1)\n" }.joined()
  }
}
