import Bytes
import EtcdAPI

extension EtcdClient {
  /// Keys, transactions and compaction. Every call throws `EtcdClientError`.
  public struct KV: Sendable {
    let client: EtcdClient

    /// Reads keys.
    /// - Parameters:
    ///   - limit: how many at most; 0 for all.
    ///   - revision: the state to read; 0 for the newest.
    ///   - serializable: whether one member's state will do, which may be an older one.
    ///   - order: in which order; `nil` for that of the keys.
    public func get(
      _ keys: KeyRange, limit: Int64 = 0, revision: Int64 = 0, serializable: Bool = false,
      order: Order? = nil
    ) async throws(EtcdClientError) -> Etcdserverpb.RangeResponse {
      try await get(
        Etcdserverpb.RangeRequest(
          key: keys.key, rangeEnd: keys.end, limit: limit, revision: revision,
          sortOrder: order?.direction ?? .none, sortTarget: order?.target ?? .key,
          serializable: serializable))
    }

    /// Reads keys, with everything that can be asked for: order, filters, counts.
    public func get(
      _ request: Etcdserverpb.RangeRequest
    ) async throws(EtcdClientError) -> Etcdserverpb.RangeResponse {
      client.names.visible(
        try await client.call(Etcdserverpb.KVService.range, client.names.whole(request)))
    }

    /// Writes a key.
    /// - Parameters:
    ///   - lease: the lease that the key ends with; 0 for none.
    ///   - previous: whether the answer has what was there before.
    @discardableResult
    public func put(
      _ key: Bytes, _ value: Bytes, lease: Int64 = 0, previous: Bool = false
    ) async throws(EtcdClientError) -> Etcdserverpb.PutResponse {
      try await put(
        Etcdserverpb.PutRequest(key: key, value: value, lease: lease, prevKv: previous))
    }

    /// Writes a key, with everything that can be asked for.
    @discardableResult
    public func put(
      _ request: Etcdserverpb.PutRequest
    ) async throws(EtcdClientError) -> Etcdserverpb.PutResponse {
      client.names.visible(
        try await client.call(Etcdserverpb.KVService.put, client.names.whole(request)))
    }

    /// Deletes keys.
    /// - Parameter previous: whether the answer has what was there before.
    @discardableResult
    public func delete(
      _ keys: KeyRange, previous: Bool = false
    ) async throws(EtcdClientError) -> Etcdserverpb.DeleteRangeResponse {
      let request = Etcdserverpb.DeleteRangeRequest(
        key: keys.key, rangeEnd: keys.end, prevKv: previous)
      return client.names.visible(
        try await client.call(Etcdserverpb.KVService.deleteRange, client.names.whole(request)))
    }

    /// Carries out `success` when all comparisons hold, `failure` otherwise, in one revision.
    @discardableResult
    public func txn(
      _ compare: [Etcdserverpb.Compare] = [], success: [Etcdserverpb.RequestOp],
      failure: [Etcdserverpb.RequestOp] = []
    ) async throws(EtcdClientError) -> Etcdserverpb.TxnResponse {
      try await txn(
        Etcdserverpb.TxnRequest(compare: compare, success: success, failure: failure))
    }

    /// Carries out a transaction.
    @discardableResult
    public func txn(
      _ request: Etcdserverpb.TxnRequest
    ) async throws(EtcdClientError) -> Etcdserverpb.TxnResponse {
      client.names.visible(
        try await client.call(Etcdserverpb.KVService.txn, client.names.whole(request)))
    }

    /// Forgets what was before a revision.
    /// - Parameter physical: whether to wait until it is gone from the database.
    @discardableResult
    public func compact(
      _ revision: Int64, physical: Bool = false
    ) async throws(EtcdClientError) -> Etcdserverpb.CompactionResponse {
      try await client.call(
        Etcdserverpb.KVService.compact,
        Etcdserverpb.CompactionRequest(revision: revision, physical: physical))
    }
  }
}
