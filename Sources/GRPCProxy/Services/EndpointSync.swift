import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf

/// Asks the cluster again and again who its members are, so that calls go to those. Confined to the loop of its
/// upstream.
///
/// - Source: etcd `client/v3/client.go`, `autoSync`, `Sync`.
final class EndpointSync: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`.

  private let upstream: Upstream
  private let logger: Logger
  /// Told of the clients' URLs of all members that are no learners.
  private let update: ([String]) -> Void
  private var timer: LoopTimer?

  /// How long a member may take to answer.
  /// - Source: etcd `client/v3/client.go`, autoSync.
  private static let timeout = Duration.seconds(5)

  init(_ upstream: Upstream, logger: Logger, update: @escaping ([String]) -> Void) {
    self.upstream = upstream
    self.logger = logger
    self.update = update
  }

  func start(_ interval: Duration) {
    timer = upstream.loop.schedule(after: interval, repeating: interval) { [weak self] in
      self?.ask()
    }
  }

  func stop() { timer?.cancel() }

  private func ask() {
    UpstreamCall(
      upstream, Etcdserverpb.ClusterService.memberList.path,
      Etcdserverpb.MemberListRequest(linearizable: true).encoded(), [:],
      deadline: upstream.loop.now &+ Self.timeout.nanoseconds
    ) { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let status):
        logger.info(
          "Auto sync endpoints failed.", [LogField("error", .string(status.description))])
      case .success(let answer):
        guard let list = try? Etcdserverpb.MemberListResponse.decode(answer) else { return }
        let members = list.members.filter { !$0.isLearner && !$0.name.isEmpty }
        let urls = members.flatMap(\.clientURLs)
        guard !urls.isEmpty, Set(urls) != Set(upstream.endpoints) else { return }
        logger.info("the members have changed", [LogField("endpoints", .strings(urls))])
        update(urls)
      }
    }.start()
  }
}
