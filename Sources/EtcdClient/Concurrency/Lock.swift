import Bytes
import EtcdAPI

extension EtcdClient {
  /// A lock that a session holds, until it is given back or the session ends.
  public struct Lock: Sendable {
    let place: Place

    /// The key that says who holds it.
    public var key: Bytes { place.key }
    /// The fencing token: larger than that of everybody who held the lock before. What is guarded by the
    /// lock should refuse whoever comes with a smaller one than it has seen.
    public var revision: Int64 { place.revision }
    /// The state of the cluster in which the lock was had.
    public var header: Etcdserverpb.ResponseHeader { place.header }
    /// True while the lock is held: for transactions that must not happen otherwise.
    public var isHeld: Etcdserverpb.Compare { place.isHeld }

    /// Gives the lock back; nothing when it is not held any more. Runs to its end in a cancelled task.
    public func unlock() async throws(EtcdClientError) { try await place.leave() }
  }
}

extension EtcdClient.Session {
  /// Waits for a lock. Locks of a name are had in the order in which they were asked for, together with
  /// users of Go's `concurrency.Mutex` and of `etcdctl lock`. A session has a lock once: asking again gives
  /// the same one.
  /// - Throws: `EtcdClientError`, `cancelled` among them; the place in the line is given up then.
  public func lock(_ name: Bytes) async throws(EtcdClientError) -> EtcdClient.Lock {
    var place = try await Place(self, in: name, value: Bytes())
    if place.isFirst { return EtcdClient.Lock(place: place) }
    do throws(EtcdClientError) { try await place.wait() } catch {
      // The lease takes the place along should this fail.
      try? await place.leave()
      throw error
    }
    return EtcdClient.Lock(place: place)
  }

  /// Takes a lock that nobody has.
  /// - Returns: `nil` when somebody has it.
  public func tryLock(_ name: Bytes) async throws(EtcdClientError) -> EtcdClient.Lock? {
    let place = try await Place(self, in: name, value: Bytes())
    if place.isFirst { return EtcdClient.Lock(place: place) }
    try await place.leave()
    return nil
  }

  /// Runs `body` while this session holds a lock, and gives it back.
  /// - Throws: as `lock(_:)`, and what `body` throws.
  public func withLock<R>(
    _ name: Bytes, isolation actor: isolated (any Actor)? = #isolation,
    _ body: (EtcdClient.Lock) async throws -> R
  ) async throws -> R {
    let lock = try await lock(name)
    let result: R
    do { result = try await body(lock) } catch {
      // Why the body failed says more; the lease takes the lock along should this fail.
      try? await lock.unlock()
      throw error
    }
    try await lock.unlock()
    return result
  }
}
