import EtcdAPI

/// Events that wait for the member core, and who works there. A value: the host keeps it behind a
/// mutex, the simulation drives it by hand.
///
/// One thread at a time works at the core. A thread that leaves a few events while nobody works does
/// the turn itself: waking the core's thread would cost more than the turn. Many events, or a member
/// with many requests under way, go to the core's thread, so that the network and the log have their
/// threads to themselves.
public struct CoreInbox: Sendable {
  /// What a thread that left events has to do.
  public enum Duty: Sendable {
    /// Someone else takes the events.
    case nothing
    /// Take them and work.
    case work
    /// Wake the core's thread.
    case wake
  }

  private enum State: Sendable {
    case idle
    /// The core's thread was asked to come.
    case called
    case working
    case closed
  }

  private var state = State.working
  private var events: [MemberEvent] = []
  private var weight = 0
  private var isBusy = false

  /// Requests and entries up to which a turn is done by whoever brings them, and requests under way
  /// up to which the member counts as quiet.
  public static let lightWeight = 16
  /// Turns in a row that a thread does before it hands over to the core's.
  public static let turnsMax = 4

  /// An inbox at which the caller works; `finish` ends that.
  public init() {}

  /// Leaves events.
  public mutating func leave(_ new: [MemberEvent]) -> Duty {
    guard state != .closed else { return .nothing }
    events += new
    for event in new { weight += event.weight }
    guard state == .idle else { return .nothing }
    return takeOver()
  }

  private mutating func takeOver() -> Duty {
    let isLight = !isBusy && weight <= Self.lightWeight
    state = isLight ? .working : .called
    return isLight ? .work : .wake
  }

  /// The core's thread has come.
  /// - Returns: whether it is its turn; if not, another thread works, and looks for events at its end.
  public mutating func arrive() -> Bool {
    guard state == .called else { return false }
    state = .working
    return true
  }

  /// Everything that waits, for the thread that works.
  public mutating func take() -> [MemberEvent] {
    weight = 0
    return exchange(&events, with: [])
  }

  /// A turn is over.
  /// - Parameters:
  ///   - pending: requests under way.
  ///   - turns: turns that the thread has done in a row.
  /// - Returns: what the thread does next: `work` when it should take what came meanwhile.
  public mutating func finish(pending: Int, turns: Int) -> Duty {
    isBusy = pending > Self.lightWeight || turns >= Self.turnsMax
    guard state == .working else { return .nothing }
    state = .idle
    return events.isEmpty ? .nothing : takeOver()
  }

  /// Nobody begins a turn from now on.
  /// - Returns: whether a thread is at a turn, which ends with `finish`.
  public mutating func close() -> Bool {
    let isWorking = state == .working
    state = .closed
    events.removeAll()
    return isWorking
  }

  public var isClosed: Bool { state == .closed }
}

extension MemberEvent {
  /// Work that it brings, in requests and entries; changes of the whole state weigh more than any
  /// number.
  fileprivate var weight: Int {
    switch self {
    case .propose(let proposals): proposals.count
    // However many, they share one round and are read elsewhere.
    case .read(let ids), .readLocal(let ids): 1 + ids.count / 64
    case .askLeases(let questions): questions.reduce(0) { $0 + $1.kind.weight }
    case .askV2(let questions): questions.count
    case .receive(let messages): messages.reduce(0) { $0 + 1 + $1.entries.count }
    case .appended(let append): 1 + append.entries.count
    case .committed, .installed, .replacedBackend, .snapshotSaved, .resume:
      CoreInbox.lightWeight + 1
    default: 1
    }
  }
}
