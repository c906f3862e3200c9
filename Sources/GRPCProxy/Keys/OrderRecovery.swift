import EtcdAPI
import EtcdClient
import EventLoops

/// Learns how far the cluster is, before anybody is served.
///
/// - Source: etcd `etcdmain.newGRPCProxyServer`.
struct OrderRecovery: Sendable {
  let client: EtcdClient
  let order: RevisionOrder
  let logger: Logger

  private static let pause = Duration.seconds(1)

  /// - Returns: false when it was cancelled.
  func run() async -> Bool {
    logger.info("waiting for linearized read from cluster to recover ordering")
    while !Task.isCancelled {
      do throws(EtcdClientError) {
        let answer = try await client.kv.get(Etcdserverpb.RangeRequest(key: "_", keysOnly: true))
        order.show(answer.header?.revision ?? 0)
        return true
      } catch {
        // Who may not read has been answered all the same.
        if error.etcdError == .permissionDenied || error.etcdError == .userEmpty { return true }
        logger.warn(
          "ordering recovery failed, retrying in 1s", [LogField("error", .error(error))])
      }
      try? await Task.sleep(for: Self.pause)
    }
    return false
  }
}
