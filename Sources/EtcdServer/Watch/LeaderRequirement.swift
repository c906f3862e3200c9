import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Member

/// A stream whose client asked for a member that has a leader: it is ended when there has been none for
/// three election timeouts. Confined to the stream's loop.
///
/// - Source: etcd `v3rpc/interceptor.go` newStreamInterceptor, monitorLeader.
final class LeaderRequirement {
  private static let name: Bytes = "hasleader"
  private static let wanted: Bytes = "true"
  private static let timeouts = 3

  private var timer: LoopTimer?
  private var missing = 0

  /// - Returns: `nil` when the client did not ask for it.
  /// - Throws: the status that refuses the stream: there is no leader now.
  static func begin(
    _ stream: ServerStream, _ member: RunningMember
  ) throws(GRPCStatus) -> LeaderRequirement? {
    guard stream.metadata.first(name) == wanted else { return nil }
    guard member.host.status.leader != .none else { throw GRPCStatus(.noLeader) }
    return LeaderRequirement(stream, member)
  }

  private init(_ stream: ServerStream, _ member: RunningMember) {
    let period = Duration.milliseconds(member.config.electionTimeout)
    timer = stream.loop.schedule(after: period, repeating: period) { [unowned self] in
      missing = member.host.status.leader == .none ? missing + 1 : 0
      guard missing >= Self.timeouts else { return }
      end()
      stream.interrupt(GRPCStatus(.noLeader))
    }
  }

  func end() {
    timer?.cancel()
    timer = nil
  }
}
