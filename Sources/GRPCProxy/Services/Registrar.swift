import Bytes
import EtcdClient
import EventLoops

/// Keeps a proxy registered in a cluster as long as it runs, and knows who else is.
///
/// - Source: etcd `grpcproxy/register.go`, `cluster.go`.
final class Registrar: Sendable {
  let members = ProxyMembers()
  private let client: EtcdClient
  /// The client as clients of the proxy see the cluster.
  private let view: EtcdClient
  private let prefix: String
  private let entry: ProxyMembers.Entry
  private let ttl: Int64
  private let logger: Logger

  /// Between attempts.
  private static let pause = Duration.seconds(1)

  init(_ client: EtcdClient, _ options: GRPCProxyOptions, host: String, logger: Logger) {
    self.client = client
    view = options.namespace.isEmpty ? client : client.namespace(Bytes(options.namespace))
    prefix = options.resolverPrefix
    entry = ProxyMembers.Entry(address: options.advertiseClientURL, name: host)
    ttl = Int64(options.resolverTTL)
    self.logger = logger
  }

  /// Runs until it is cancelled; the registration ends with it.
  func run() async {
    await withTaskGroup { group in
      group.addTask { await self.register() }
      group.addTask { await self.follow() }
    }
  }

  private func register() async {
    while !Task.isCancelled {
      do {
        try await view.withSession(ttl: ttl) { [view, prefix, entry, ttl, logger] session in
          try await view.kv.put(
            Bytes("\(prefix)/\(entry.address)"), ProxyMembers.value(entry), lease: session.lease)
          logger.info(
            "registered session with lease",
            [
              LogField("addr", .string(entry.address)), LogField("lease-ttl", .int(Int(ttl))),
            ])
          while true { try await Task.sleep(for: .seconds(3_600)) }
        }
      } catch {
        if Task.isCancelled { return }
        if case .sessionLost? = error as? EtcdClientError {
          logger.warn("session expired; possible network partition or server restart")
          logger.warn("creating a new session to rejoin")
        } else {
          logger.warn("failed to create a session", [LogField("error", .error(error))])
        }
      }
      try? await Task.sleep(for: Self.pause)
    }
  }

  /// Reads who is registered, and what becomes of that.
  private func follow() async {
    let keys = KeyRange.prefix(Bytes(prefix))
    while !Task.isCancelled {
      do throws(EtcdClientError) {
        let found = try await view.kv.get(keys, serializable: true)
        members.replace(found.kvs)
        // checked: a revision of a server
        let next = (found.header?.revision ?? 0) &+ 1
        let updates = view.watch(keys, WatchOptions(startRevision: next)).makeAsyncIterator()
        while let update = try await updates.next() { members.take(update.events) }
      } catch {
        if Task.isCancelled { return }
        logger.warn(
          "failed to establish endpoint watch",
          [LogField("prefix", .string(prefix)), LogField("error", .error(error))])
      }
      try? await Task.sleep(for: Self.pause)
    }
  }
}
