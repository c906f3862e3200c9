import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Member

/// Calls whose clients ask for a member that has a leader are refused by one that has none, and a stream is
/// ended when there has been none for three election timeouts. Confined to the stream's loop.
///
/// - Source: etcd `v3rpc/interceptor.go` newUnaryInterceptor, newStreamInterceptor, monitorLeader.
final class LeaderRequirement {
  private static let name: Bytes = "hasleader"
  private static let wanted: Bytes = "true"
  private static let timeouts = 3

  private var timer: LoopTimer?
  private var missing = 0

  /// Why a call is not served now.
  static func refusal(_ metadata: Metadata, _ member: RunningMember) -> GRPCStatus? {
    guard metadata.first(name) == wanted, member.host.status.leader == .none else { return nil }
    return GRPCStatus(.noLeader)
  }

  /// Watches over a stream.
  /// - Returns: `nil` when the client did not ask for it.
  static func begin(_ stream: ServerStream, _ member: RunningMember) -> LeaderRequirement? {
    guard stream.metadata.first(name) == wanted else { return nil }
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
