import Bytes
import EtcdAPI
import Synchronization

extension EtcdClient {
  /// Runs `body` with a lease that is renewed meanwhile: what is bound to it, locks and leadership among
  /// them, is given back when `body` ends, and taken away by the cluster when this process dies.
  ///
  /// When the lease is lost, the task that runs `body` is cancelled. Until it notices, others may hold what
  /// it thinks it holds: what must not happen twice belongs into a transaction that compares
  /// (`Lock.isHeld`), or carries the lock's revision to whoever does it.
  ///
  /// - Parameters:
  ///   - ttl: seconds after which a cluster that hears nothing ends the lease, and this side gives it up.
  ///   - lease: a lease to go on with, of a process that ended; 0 for a new one.
  /// - Returns: what `body` returns. The lease is revoked by then; should no server be reached for that, it
  ///   ends by itself.
  /// - Throws: `EtcdClientError.sessionLost` when the lease was lost first, whatever `body` did then; what
  ///   `body` throws; an `EtcdClientError` when there is no lease to be had.
  public func withSession<R: Sendable>(
    ttl: Int64 = 60, lease: Int64 = 0, _ body: @escaping @Sendable (Session) async throws -> R
  ) async throws -> R {
    let session = try await Session(begin: self, ttl: ttl, lease: lease)
    let result = await withTaskGroup(of: Session.End<R>.self) { group in
      group.addTask {
        do { return .body(.success(try await body(session))) } catch {
          return .body(.failure(error))
        }
      }
      group.addTask { .renewal(isLost: await session.keepAlive()) }
      var result: Result<R, any Error>?
      for await end in group {
        switch end {
        case .body(let ended): result = result ?? ended
        case .renewal(let isLost):
          if isLost, result == nil {
            result = .failure(EtcdClientError.sessionLost(lease: session.lease))
          }
        }
        group.cancelAll()
      }
      return result
    }
    if session.isAlive { await session.revoke() }
    // The group has run `body`, which has ended one way or the other.
    guard let result else { throw EtcdClientError.cancelled }
    return try result.get()
  }

  /// A lease that is renewed while `withSession(ttl:lease:_:)` runs its body.
  public final class Session: Sendable {
    /// How the parts of a session end.
    fileprivate enum End<R: Sendable>: Sendable {
      case body(Result<R, any Error>)
      case renewal(isLost: Bool)
    }

    /// The client that the session is of.
    public let client: EtcdClient
    /// The lease's id, for keys that are to end with the session.
    public let lease: Int64
    private let state: Mutex<State>

    private struct State {
      var ttl: Int64
      var end: ContinuousClock.Instant
      var isLost = false
    }

    fileprivate init(
      begin client: EtcdClient, ttl: Int64, lease: Int64
    ) async throws(EtcdClientError) {
      self.client = client
      let asked = ContinuousClock.now
      let granted: Int64
      if lease == 0 {
        let answer = try await client.leases.grant(ttl: ttl)
        self.lease = answer.id
        granted = answer.ttl
      } else {
        granted = try await client.leases.keepAliveOnce(lease).ttl
        self.lease = lease
      }
      state = Mutex(State(ttl: granted, end: asked + .seconds(granted)))
    }

    /// Until when the cluster keeps the lease for certain, as far as is known: a TTL after the last renewal
    /// that was answered was sent.
    public var validUntil: ContinuousClock.Instant { state.withLock { $0.end } }

    /// Whether the lease can still be relied on.
    public var isAlive: Bool { state.withLock { !$0.isLost && $0.end > .now } }

    /// Renews the lease until that fails for good.
    /// - Returns: whether the lease is lost; false when the task was cancelled.
    fileprivate func keepAlive() async -> Bool {
      var pause = state.withLock { Duration.seconds($0.ttl) / 3 }
      while true {
        do { try await Task.sleep(for: pause) } catch { return false }
        let sent = ContinuousClock.now
        let end = validUntil
        do throws(EtcdClientError) {
          let answer = try await client.leases.renew(lease, until: end)
          state.withLock { state in
            state.ttl = answer.ttl
            state.end = sent + .seconds(answer.ttl)
          }
          pause = .seconds(answer.ttl) / 3
        } catch {
          if error == .cancelled, Task.isCancelled { return false }
          if error == .closed || error == .refused(.leaseNotFound) || end <= .now {
            state.withLock { $0.isLost = true }
            return true
          }
          pause = Swift.min(
            Leases.pauseAfterFailure, Swift.max(.zero, ContinuousClock.now.duration(to: end)))
        }
      }
    }

    /// Ends the lease, if that is possible before it ends by itself.
    fileprivate func revoke() async {
      let end = validUntil
      await uncancelled { [client, lease] in
        // What cannot be told to a server it finds out by itself, when the lease runs out.
        _ = try? await client.revoke(lease, until: end)
      }
    }
  }

  fileprivate func revoke(
    _ lease: Int64, until end: ContinuousClock.Instant
  ) async throws(EtcdClientError) -> Etcdserverpb.LeaseRevokeResponse {
    try await call(
      Etcdserverpb.LeaseService.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: lease), to: nil,
      deadline: end)
  }
}

/// Runs `body` to its end though the task around it may be cancelled, and waits for it: to give back what
/// others wait for.
func uncancelled<R: Sendable>(_ body: @escaping @Sendable () async -> R) async -> R {
  await Task(operation: body).value
}
