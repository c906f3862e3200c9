import Calls
import EtcdAPI

extension EtcdClient {
  /// Leases and their renewal. Every call throws `EtcdClientError`.
  public struct Leases: Sendable {
    let client: EtcdClient

    /// Makes a lease.
    /// - Parameters:
    ///   - ttl: seconds that it lives without being renewed; a server may give more.
    ///   - id: its id; 0 for one of the server's choice.
    public func grant(
      ttl: Int64, id: Int64 = 0
    ) async throws(EtcdClientError) -> Etcdserverpb.LeaseGrantResponse {
      try await client.call(
        Etcdserverpb.LeaseService.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: ttl, id: id))
    }

    /// Ends a lease and deletes its keys.
    @discardableResult
    public func revoke(
      _ lease: Int64
    ) async throws(EtcdClientError) -> Etcdserverpb.LeaseRevokeResponse {
      try await client.call(
        Etcdserverpb.LeaseService.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: lease))
    }

    /// How long a lease still lives, in seconds; -1 when there is none.
    /// - Parameter keys: whether its keys are listed, those that this client can see.
    public func timeToLive(
      _ lease: Int64, keys: Bool = false
    ) async throws(EtcdClientError) -> Etcdserverpb.LeaseTimeToLiveResponse {
      client.names.visible(
        try await client.call(
          Etcdserverpb.LeaseService.leaseTimeToLive,
          Etcdserverpb.LeaseTimeToLiveRequest(id: lease, keys: keys)))
    }

    /// All leases.
    public func list() async throws(EtcdClientError) -> Etcdserverpb.LeaseLeasesResponse {
      try await client.call(
        Etcdserverpb.LeaseService.leaseLeases, Etcdserverpb.LeaseLeasesRequest())
    }

    /// Renews a lease.
    /// - Throws: `refused(.leaseNotFound)` when there is none.
    @discardableResult
    public func keepAliveOnce(
      _ lease: Int64
    ) async throws(EtcdClientError) -> Etcdserverpb.LeaseKeepAliveResponse {
      try await renew(lease, until: client.deadline)
    }

    /// Renews a lease whenever a third of its time is over, as long as the sequence is held, whether its
    /// elements are read or not: the newest answer waits for who reads. What fails is tried again while the
    /// lease may live.
    /// - Returns: the answers; ends with the error of the last attempt, `refused(.leaseNotFound)` when the
    ///   lease is gone.
    public func keepAlive(
      _ lease: Int64
    ) -> AsyncThrowingStream<Etcdserverpb.LeaseKeepAliveResponse, any Error> {
      AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { answers in
        let task = Task {
          do { try await renew(lease) { answers.yield($0) } } catch {
            answers.finish(throwing: error)
          }
        }
        answers.onTermination = { _ in task.cancel() }
      }
    }

    /// How long a lease may live of which nothing is known yet.
    private static let unknownLife = Duration.seconds(5)
    /// Go's client waits as long after a failed renewal.
    static let pauseAfterFailure = Duration.milliseconds(500)

    private func renew(
      _ lease: Int64, _ tell: (Etcdserverpb.LeaseKeepAliveResponse) -> Void
    ) async throws {
      var end = ContinuousClock.now + Self.unknownLife
      while true {
        do throws(EtcdClientError) {
          let answer = try await renew(lease, until: end)
          tell(answer)
          end = .now + .seconds(answer.ttl)
          try await Self.pause(.seconds(answer.ttl) / 3)
        } catch {
          switch error {
          case .refused(.leaseNotFound), .cancelled, .closed: throw error
          default: break
          }
          guard .now < end else { throw error }
          try await Self.pause(min(Self.pauseAfterFailure, ContinuousClock.now.duration(to: end)))
        }
      }
    }

    func renew(
      _ lease: Int64, until deadline: ContinuousClock.Instant?
    ) async throws(EtcdClientError) -> Etcdserverpb.LeaseKeepAliveResponse {
      let answer = try await client.run { (session) async throws(GRPCStatus) in
        try await session.renew(lease, newToken: false, deadline: deadline)
      }
      guard answer.ttl > 0 else { throw .refused(.leaseNotFound) }
      return answer
    }

    private static func pause(_ time: Duration) async throws(EtcdClientError) {
      do { try await Task.sleep(for: time) } catch { throw .cancelled }
    }
  }
}
