import Bytes
import Concurrency
import EtcdAPI

/// A place in the line of those who want a lock or the lead: a contender that goes with a session.
struct Place: Sendable {
  let session: EtcdClient.Session
  let contender: Contender
  /// What the key says: something else than was asked for when the session had it before.
  let value: Bytes
  /// The state in which it was found to be first, or in which it was taken.
  var header: Etcdserverpb.ResponseHeader
  /// Whether nobody was in front when the place was taken.
  let isFirst: Bool

  private var client: EtcdClient { session.client }

  var key: Bytes { contender.key }
  /// The create revision of the key.
  var revision: Int64 { contender.revision }
  /// True while the place is held.
  var isHeld: Etcdserverpb.Compare { contender.isThere }

  /// Takes a place at the end of a line, or finds the one that the session has.
  init(
    _ session: EtcdClient.Session, in name: Bytes, value: Bytes
  ) async throws(EtcdClientError) {
    var contender = Contender(name, lease: session.lease)
    let answer = try await session.ask(contender.entry(value))
    let entry: Contender.Entry
    do throws(Contender.OddAnswer) { entry = try contender.entered(answer) } catch {
      throw .badAnswer("\(error): \(answer)")
    }
    self.session = session
    self.contender = contender
    self.value = entry.earlier?.value ?? value
    header = entry.header
    isFirst = entry.isOldest
  }

  /// Waits until nobody is in front, and sees that the place is still held then.
  /// - Throws: `sessionLost` when it is not.
  mutating func wait() async throws(EtcdClientError) {
    while true {
      let answer = try await look()
      let standing: Contender.Standing
      do throws(Contender.OddAnswer) { standing = try contender.standing(answer) } catch {
        throw .badAnswer("\(error): \(answer)")
      }
      switch standing {
      case .first(let header):
        self.header = header
        return
      case .gone: throw .sessionLost(lease: session.lease)
      case .behind(let older, let revision): try await deletion(of: older, after: revision)
      }
    }
  }

  /// Asks who is in front, to the end though the task may be cancelled: etcd before 3.5.5 panics when a
  /// transaction that only reads is given up while it runs.
  private func look() async throws(EtcdClientError) -> Etcdserverpb.TxnResponse {
    let answer = try await finished(contender.look)
    if Task.isCancelled { throw .cancelled }
    return answer
  }

  private func deletion(of key: Bytes, after revision: Int64) async throws(EtcdClientError) {
    let options = WatchOptions(startRevision: revision &+ 1, puts: false)
    do throws(EtcdClientError) {
      for try await update in client.watch(.key(key), options) where update.kind == .events {
        return
      }
    } catch {
      // Whether it is still there the next look tells.
      guard case .compacted = error else { throw error }
    }
  }

  /// Leaves the line, though the task may be cancelled.
  func leave() async throws(EtcdClientError) {
    _ = try await finished(contender.withdrawal)
  }

  /// Asks, whether the task is cancelled or not.
  private func finished(
    _ request: Etcdserverpb.TxnRequest
  ) async throws(EtcdClientError) -> Etcdserverpb.TxnResponse {
    try await uncancelled { [session] () -> Result<_, EtcdClientError> in
      do throws(EtcdClientError) { return .success(try await session.ask(request)) } catch {
        return .failure(error)
      }
    }.get()
  }
}

extension EtcdClient.Session {
  /// Asks with patience; see `persistently`.
  func ask(
    _ request: Etcdserverpb.TxnRequest
  ) async throws(EtcdClientError) -> Etcdserverpb.TxnResponse {
    try await persistently { [client] () async throws(EtcdClientError) in
      try await client.kv.txn(request)
    }
  }

  /// Sends what may be sent twice again while a server is unavailable and the session lives.
  func persistently<R: Sendable>(
    _ body: @Sendable () async throws(EtcdClientError) -> R
  ) async throws(EtcdClientError) -> R {
    while true {
      do throws(EtcdClientError) { return try await body() } catch {
        switch error {
        case .unavailable where isAlive,
          .refused(.noLeader) where isAlive, .refused(.leaderChanged) where isAlive,
          .refused(.timeout) where isAlive, .refused(.timeoutLeaderFailure) where isAlive,
          .refused(.timeoutConnectionLost) where isAlive:
          break
        default: throw error
        }
      }
      do { try await Task.sleep(for: .milliseconds(Int.random(in: 20...60))) } catch {
        throw .cancelled
      }
    }
  }
}
