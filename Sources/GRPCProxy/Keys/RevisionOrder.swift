import Calls
import Protobuf
import Synchronization

/// The newest revision that a proxy has shown to anybody: no read goes back behind it. Any thread.
///
/// - Source: etcd `client/v3/ordering`.
final class RevisionOrder: Sendable {
  private let newest = Atomic<Int64>(0)

  var revision: Int64 { newest.load(ordering: .acquiring) }

  /// An answer has shown a revision.
  func show(_ revision: Int64) { newest.max(revision, ordering: .acquiringAndReleasing) }

  /// Answers that are too old before a read is given up, for each member.
  static let attemptsPerMemberMax = 5
  /// All members are behind.
  static let failure = GRPCStatus(
    .unknown,
    "etcdclient: no cluster members have a revision higher than the previously received revision")
}
