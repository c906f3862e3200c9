import EtcdAPI
import EventLoops
import Member
import Platform
import Synchronization

/// What a member that runs is asked for by supervisors.
struct Supervised: Sendable {
  let host: MemberHost
  let replay: PhaseWatch
  /// Whether clients are served.
  var isReady = false
}

extension EtcdServer {
  /// What the member is doing. Any thread.
  public var phase: MemberPhase {
    guard let running = supervised.withLock({ $0 }) else { return .reading }
    let status = running.host.status
    return running.replay.phase(
      applied: status.appliedIndex.rawValue, committed: status.commitIndex.rawValue,
      isReady: running.isReady, hasLeader: status.leader != .none,
      isLeader: status.leader == running.host.memberID, isLearner: status.isLearner)
  }
}

/// Watches from outside that core and log thread move. Not for several threads at once.
public struct MemberVigil {
  private let server: EtcdServer
  private var gate: MovementGate
  private var host: ObjectIdentifier?

  /// - Parameter patience: how long a part may be still.
  public init(_ server: EtcdServer, patience: Duration) {
    self.server = server
    gate = MovementGate(patience: patience, now: monotonicNanoseconds())
  }

  /// Parts that have been still for too long, to be asked for several times within the patience; none
  /// while the member does not run.
  public mutating func stuck() -> [String] {
    let now = monotonicNanoseconds()
    guard let host = server.supervised.withLock({ $0?.host }) else { return [] }
    if self.host != ObjectIdentifier(host) {
      self.host = ObjectIdentifier(host)
      gate = MovementGate(patience: .nanoseconds(Int64(clamping: gate.patience)), now: now)
    }
    let stuck = gate.stuck(host.movement.sight, now: now)
    host.askLog()
    return stuck
  }
}
