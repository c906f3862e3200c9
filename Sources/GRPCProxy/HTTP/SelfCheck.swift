import EtcdClient

/// Asks the proxy what a client asks, at the address that clients are told.
///
/// - Source: etcd `grpcproxy.checkProxyHealth`.
final class SelfCheck: Sendable {
  private let client: EtcdClient

  private static let timeout = Duration.seconds(1)
  private static let watchTimeout = Duration.seconds(3)

  /// - Throws: for an address that is none.
  init(_ url: String, _ tls: EtcdClientConfiguration.TLS?) throws(EtcdClientError) {
    client = try EtcdClient(
      EtcdClientConfiguration(endpoints: [url], tls: tls, requestTimeout: Self.timeout))
  }

  func close() { client.close() }

  /// What is wrong; empty when nothing is.
  func reason() async -> String {
    do throws(EtcdClientError) { _ = try await client.kv.get("a") } catch {
      if error.etcdError != .permissionDenied { return "GET ERROR:\(error)" }
    }
    let isWatched = await withTaskGroup(of: Bool.self) { [client] group in
      group.addTask {
        let updates = client.watch("a", WatchOptions(createdNotify: true)).makeAsyncIterator()
        return (try? await updates.next()) != nil
      }
      group.addTask {
        try? await Task.sleep(for: Self.watchTimeout)
        return false
      }
      defer { group.cancelAll() }
      return await group.next() ?? false
    }
    return isWatched ? "" : "WATCH TIMEOUT"
  }
}
