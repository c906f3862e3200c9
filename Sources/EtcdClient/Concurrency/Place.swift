import Bytes
import EtcdAPI

/// A place in the line of those who want a lock or the lead: a key below a name that ends with a session.
/// Whoever has the key with the smallest create revision is first.
///
/// - Source: etcd `client/v3/concurrency/key.go`, `mutex.go`, `election.go`; clients of both kinds stand in
///   the same line.
struct Place: Sendable {
  let session: EtcdClient.Session
  let name: Bytes
  let key: Bytes
  /// The create revision of the key.
  let revision: Int64
  /// What the key says: something else than was asked for when the session had it before.
  let value: Bytes
  /// The state in which it was found to be first, or in which it was taken.
  var header: Etcdserverpb.ResponseHeader
  /// Whether nobody was in front when the place was taken.
  let isFirst: Bool

  private var client: EtcdClient { session.client }

  /// What keys of a line begin with.
  static func line(_ name: Bytes) -> KeyRange { .prefix(name.followed(by: "/")) }

  /// Whoever is first.
  static func first(_ name: Bytes) -> Etcdserverpb.RangeRequest {
    let line = line(name)
    return Etcdserverpb.RangeRequest(
      key: line.key, rangeEnd: line.end, limit: 1, sortOrder: .ascend, sortTarget: .create)
  }

  /// Takes a place at the end of a line, or finds the one that the session has.
  init(
    _ session: EtcdClient.Session, in name: Bytes, value: Bytes
  ) async throws(EtcdClientError) {
    let key = name.followed(by: Bytes("/" + String(session.lease, radix: 16)))
    let owner = Etcdserverpb.RequestOp(request: .requestRange(Self.first(name)))
    let take = Etcdserverpb.RequestOp(
      request: .requestPut(.init(key: key, value: value, lease: session.lease)))
    let find = Etcdserverpb.RequestOp(request: .requestRange(.init(key: key)))
    // Sent again, it finds what the first one may have done.
    let answer = try await session.persistently { () async throws(EtcdClientError) in
      try await session.client.kv.txn(
        [Self.isCreated(key, at: 0)], success: [take, owner], failure: [find, owner])
    }
    self.session = session
    self.name = name
    self.key = key
    let header = answer.header ?? .init()
    self.header = header
    let parts = answer.responses.map(\.response)
    guard parts.count == 2, case .responseRange(let front) = parts[1] else {
      throw .badAnswer("the answer to a transaction lacks a part: \(answer)")
    }
    let revision: Int64
    if answer.succeeded {
      revision = header.revision
      self.value = value
    } else if case .responseRange(let found) = parts[0], let pair = found.kvs.first {
      revision = pair.createRevision
      self.value = pair.value
    } else {
      throw .badAnswer("a key was neither written nor found: \(answer)")
    }
    self.revision = revision
    isFirst = front.kvs.first.map { $0.createRevision == revision } ?? true
  }

  /// True while the place is held.
  var isHeld: Etcdserverpb.Compare { Self.isCreated(key, at: revision) }

  private static func isCreated(_ key: Bytes, at revision: Int64) -> Etcdserverpb.Compare {
    Etcdserverpb.Compare(
      result: .equal, target: .create, key: key, targetUnion: .createRevision(revision))
  }

  /// Waits until nobody is in front, and sees that the place is still held then.
  /// - Throws: `sessionLost` when it is not.
  mutating func wait() async throws(EtcdClientError) {
    let line = Self.line(name)
    while true {
      let request = Etcdserverpb.RangeRequest(
        key: line.key, rangeEnd: line.end, limit: 1, sortOrder: .descend, sortTarget: .create,
        maxCreateRevision: revision &- 1)
      let (session, client) = (session, client)
      let before = try await session.persistently { () async throws(EtcdClientError) in
        try await client.kv.get(request)
      }
      guard let next = before.kvs.first else { break }
      try await deletion(of: next.key, after: before.header?.revision ?? 0)
    }
    let (session, client, key) = (session, client, key)
    let own = try await session.persistently { () async throws(EtcdClientError) in
      try await client.kv.get(.key(key))
    }
    guard own.kvs.first?.createRevision == revision else {
      throw .sessionLost(lease: session.lease)
    }
    header = own.header ?? header
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
    let failure = await uncancelled { [self] () -> EtcdClientError? in
      do throws(EtcdClientError) {
        _ = try await session.persistently { () async throws(EtcdClientError) in
          try await client.kv.txn(
            [isHeld], success: [.init(request: .requestDeleteRange(.init(key: key)))])
        }
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }
}

extension EtcdClient.Session {
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
