import Bytes
import Calls
import EtcdAPI
import GRPC
import Protobuf
import Synchronization

extension EtcdClient {
  /// States of members, alarms and snapshots. Every call throws `EtcdClientError`.
  ///
  /// What is about one member takes its endpoint; without one, the member is whichever is next.
  public struct Maintenance: Sendable {
    let client: EtcdClient

    /// Version, database size and raft state of a member.
    public func status(
      of endpoint: String? = nil
    ) async throws(EtcdClientError) -> Etcdserverpb.StatusResponse {
      try await call(
        Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(), endpoint,
        client.deadline)
    }

    /// The alarms that are raised.
    public func alarms() async throws(EtcdClientError) -> Etcdserverpb.AlarmResponse {
      try await client.call(
        Etcdserverpb.MaintenanceService.alarm, Etcdserverpb.AlarmRequest(action: .get))
    }

    /// Ends an alarm of a member.
    @discardableResult
    public func disarm(
      _ alarm: Etcdserverpb.AlarmType, of member: UInt64
    ) async throws(EtcdClientError) -> Etcdserverpb.AlarmResponse {
      try await client.call(
        Etcdserverpb.MaintenanceService.alarm,
        Etcdserverpb.AlarmRequest(action: .deactivate, memberID: member, alarm: alarm))
    }

    /// Gives the free space in a member's database back to the file system.
    /// - Parameter timeout: how long to wait for it; `nil` for as long as it takes.
    @discardableResult
    public func defragment(
      _ endpoint: String? = nil, timeout: Duration? = nil
    ) async throws(EtcdClientError) -> Etcdserverpb.DefragmentResponse {
      try await call(
        Etcdserverpb.MaintenanceService.defragment, Etcdserverpb.DefragmentRequest(), endpoint,
        timeout.map { .now + $0 })
    }

    /// A hash over a member's keys.
    /// - Parameter revision: the newest revision that is hashed; 0 for all.
    public func hashKV(
      of endpoint: String? = nil, revision: Int64 = 0
    ) async throws(EtcdClientError) -> Etcdserverpb.HashKVResponse {
      try await call(
        Etcdserverpb.MaintenanceService.hashKV, Etcdserverpb.HashKVRequest(revision: revision),
        endpoint, client.deadline)
    }

    /// Makes another member the leader.
    /// - Parameter leader: the endpoint of the one that leads now, which alone can do it.
    @discardableResult
    public func moveLeader(
      to member: UInt64, from leader: String
    ) async throws(EtcdClientError) -> Etcdserverpb.MoveLeaderResponse {
      try await call(
        Etcdserverpb.MaintenanceService.moveLeader,
        Etcdserverpb.MoveLeaderRequest(targetID: member), leader, client.deadline)
    }

    /// The database of a member, in parts, followed by the 32 bytes of its SHA-256.
    public func snapshot() -> Snapshot { Snapshot(client: client) }

    private func call<Reply: ProtobufMessage>(
      _ method: MethodDescriptor, _ request: some ProtobufMessage, _ endpoint: String?,
      _ deadline: ContinuousClock.Instant?
    ) async throws(EtcdClientError) -> Reply {
      try await client.call(method, request, to: endpoint, deadline: deadline)
    }
  }

  /// A database as it is sent. Every walk asks for it anew; parts are sent as fast as they are taken.
  public struct Snapshot: AsyncSequence, Sendable {
    public typealias Element = Bytes
    public typealias Failure = EtcdClientError

    let client: EtcdClient

    /// Begins a download with the first part.
    public func makeAsyncIterator() -> Iterator { Iterator(download: Download(client)) }

    /// Takes part after part. Giving it up ends the download.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
      let download: Download

      /// The next part; `nil` behind the last one.
      public func next() async throws(EtcdClientError) -> Bytes? { try await download.next() }

      /// The next part; `nil` behind the last one.
      public func next(
        isolation actor: isolated (any Actor)?
      ) async throws(EtcdClientError) -> Bytes? { try await download.next() }
    }
  }
}

/// One download of a database. Has one reader.
final class Download: Sendable {
  private enum State {
    case waiting
    case running(ClientStream)
    case ended
  }
  private let client: EtcdClient
  private let state = Mutex(State.waiting)

  init(_ client: EtcdClient) { self.client = client }

  deinit {
    if case .running(let stream) = state.withLock({ $0 }) { stream.cancel() }
  }

  func next() async throws(EtcdClientError) -> Bytes? {
    try await client.run { (session) async throws(GRPCStatus) in
      guard let message = try await self.message(session) else { return nil }
      do { return try Etcdserverpb.SnapshotResponse.decode(message).blob } catch {
        throw ClientSession.status(error)
      }
    }
  }

  private func message(_ session: ClientSession) async throws(GRPCStatus) -> Bytes? {
    let stream: ClientStream
    switch state.withLock({ $0 }) {
    case .ended: return nil
    case .running(let running): stream = running
    case .waiting:
      let (first, rest) = try await session.answers(
        Etcdserverpb.MaintenanceService.snapshot, Etcdserverpb.SnapshotRequest(), deadline: nil)
      state.withLock { $0 = first == nil ? .ended : .running(rest) }
      return first
    }
    do {
      let message = try await stream.next()
      if message == nil { state.withLock { $0 = .ended } }
      return message
    } catch {
      state.withLock { $0 = .ended }
      throw ClientSession.status(error)
    }
  }
}
