import EtcdClient
import EventLoops

/// Asks the cluster again and again who its members are, so that calls go to those.
///
/// - Source: etcd `client/v3/client.go`, `autoSync`, `Sync`.
struct EndpointSync: Sendable {
  let client: EtcdClient
  let interval: Duration
  let logger: Logger
  /// Told of the clients' URLs of all members that are no learners.
  let update: @Sendable ([String]) -> Void

  /// Runs until it is cancelled.
  func run() async {
    while true {
      do { try await Task.sleep(for: interval) } catch { return }
      do throws(EtcdClientError) {
        let members = try await client.cluster.members().members
        let urls = members.filter { !$0.isLearner && !$0.name.isEmpty }.flatMap(\.clientURLs)
        if !urls.isEmpty { update(urls) }
      } catch {
        if error == .cancelled { return }
        logger.info("Auto sync endpoints failed.", [LogField("error", .error(error))])
      }
    }
  }
}
