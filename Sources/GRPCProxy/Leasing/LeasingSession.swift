import Bytes
import EtcdAPI
import EtcdClient
import EventLoops
import Platform
import Synchronization

/// The keys that a proxy has for itself, and the session that they are bound to. Any thread.
///
/// - Source: etcd `client/v3/leasing/kv.go`, monitorSession, monitorLease, rescind.
final class LeasingSession: Sendable {
  let keys: LeasingKeys
  private let client: EtcdClient
  private let logger: Logger
  private let state = Mutex((table: LeasingTable(), session: EtcdClient.Session?.none))

  private static let pause = Duration.milliseconds(500)
  private static let ttl: Int64 = 60

  /// - Parameter client: sees the keys as clients of the proxy do.
  init(_ client: EtcdClient, prefix: String, logger: Logger) {
    self.client = client
    self.logger = logger
    keys = LeasingKeys(prefix: Bytes(prefix))
  }

  /// The lease that leasing keys are bound to; `nil` while there is none that can be relied on.
  var lease: Int64? { state.withLock { $0.session.flatMap { $0.isAlive ? $0.lease : nil } } }

  /// Looks at the keys, or changes them; those of a session that is not certainly alive are nobody's.
  func withTable<R: Sendable>(_ body: (inout LeasingTable) -> R) -> R {
    state.withLock { state in
      if state.session?.isAlive != true { state.table.clear() }
      return body(&state.table)
    }
  }

  /// Runs until it is cancelled; the keys are given up then.
  func run() async {
    while !Task.isCancelled {
      do {
        try await client.withSession(ttl: Self.ttl) { try await self.follow($0) }
      } catch {
        if Task.isCancelled { return }
        logger.warn("the session of leasing keys is over", [LogField("error", .error(error))])
      }
      state.withLock { state in
        state.session = nil
        state.table.clear()
      }
      try? await Task.sleep(for: Self.pause)
    }
  }

  /// Gives up what others want, as long as the session lives.
  private func follow(_ session: EtcdClient.Session) async throws {
    let options = WatchOptions(createdNotify: true)
    for try await update in client.watch(.prefix(keys.prefix), options) {
      // Nobody is answered from memory before it would be heard that he must not.
      if update.kind == .created { state.withLock { $0.session = session } }
      for event in update.events {
        guard let pair = event.kv else { continue }
        let key = keys.key(pair.key)
        if event.type == .delete {
          withTable { table in
            if table.revision(key) < pair.modRevision { table.giveUp(key, now: Self.now) }
          }
        } else if pair.value == LeasingKeys.revoked, pair.lease == session.lease {
          withTable { $0.giveUp(key, now: Self.now) }
          Task { await self.rescind(key, at: pair.modRevision) }
        }
      }
    }
  }

  private func rescind(_ key: Bytes, at revision: Int64) async {
    while lease != nil {
      do throws(EtcdClientError) {
        try await client.kv.txn(keys.rescind(key, at: revision))
        return
      } catch { try? await Task.sleep(for: Self.pause) }
    }
  }

  static var now: UInt64 { monotonicNanoseconds() }
}
