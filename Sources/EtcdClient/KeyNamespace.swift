import Bytes
import EtcdAPI

/// Keys that begin with a prefix, named without it: how requests go out and answers come in.
///
/// - Source: etcd `client/v3/namespace`.
package struct KeyNamespace: Sendable {
  package let prefix: Bytes

  /// - Parameter prefix: empty for all keys as they are.
  package init(_ prefix: Bytes) { self.prefix = prefix }

  // MARK: Out

  /// A key as the cluster knows it.
  /// - Throws: etcd's refusal of an empty key, which the cluster could not see any more.
  package func whole(key: Bytes) throws(EtcdClientError) -> Bytes {
    guard !prefix.isEmpty else { return key }
    guard !key.isEmpty else { throw .refused(.emptyKey) }
    return prefix.followed(by: key)
  }

  /// A range as the cluster knows it.
  package func whole(_ keys: KeyRange) -> KeyRange {
    let (key, end) = whole(keys.key, keys.end)
    return .range(key, end)
  }

  private func whole(_ key: Bytes, _ end: Bytes) -> (key: Bytes, end: Bytes) {
    guard !prefix.isEmpty else { return (key, end) }
    let key = prefix.followed(by: key)
    if end.isEmpty { return (key, end) }
    // A zero byte stands for everything that follows: here, up to the last key with the prefix.
    return (key, end == Self.everything ? prefix.endOfPrefix : prefix.followed(by: end))
  }

  /// Makes a key, or a range of keys, those that the cluster knows.
  private func place(_ key: inout Bytes, _ end: inout Bytes) throws(EtcdClientError) {
    if end.isEmpty { key = try whole(key: key) } else { (key, end) = whole(key, end) }
  }

  private static let everything = Bytes([0])

  package func whole(
    _ request: Etcdserverpb.RangeRequest
  ) throws(EtcdClientError) -> Etcdserverpb.RangeRequest {
    var request = request
    try place(&request.key, &request.rangeEnd)
    return request
  }

  package func whole(
    _ request: Etcdserverpb.PutRequest
  ) throws(EtcdClientError) -> Etcdserverpb.PutRequest {
    var request = request
    request.key = try whole(key: request.key)
    return request
  }

  package func whole(
    _ request: Etcdserverpb.DeleteRangeRequest
  ) throws(EtcdClientError) -> Etcdserverpb.DeleteRangeRequest {
    var request = request
    try place(&request.key, &request.rangeEnd)
    return request
  }

  package func whole(
    _ request: Etcdserverpb.TxnRequest
  ) throws(EtcdClientError) -> Etcdserverpb.TxnRequest {
    guard !prefix.isEmpty else { return request }
    var request = request
    for index in request.compare.indices {
      let compare = request.compare[index]
      (request.compare[index].key, request.compare[index].rangeEnd) =
        whole(compare.key, compare.rangeEnd)
    }
    request.success = try whole(request.success)
    request.failure = try whole(request.failure)
    return request
  }

  private func whole(
    _ operations: [Etcdserverpb.RequestOp]
  ) throws(EtcdClientError) -> [Etcdserverpb.RequestOp] {
    var whole: [Etcdserverpb.RequestOp] = []
    for operation in operations {
      switch operation.request {
      case .requestRange(let range):
        whole.append(.init(request: .requestRange(try self.whole(range))))
      case .requestPut(let put): whole.append(.init(request: .requestPut(try self.whole(put))))
      case .requestDeleteRange(let delete):
        whole.append(.init(request: .requestDeleteRange(try self.whole(delete))))
      // A server takes transactions inside of others only as deep as its stack allows.
      case .requestTxn(let txn): whole.append(.init(request: .requestTxn(try self.whole(txn))))
      case nil: whole.append(operation)
      }
    }
    return whole
  }

  // MARK: In

  /// A key as the user of this client knows it.
  package func visible(key: Bytes) -> Bytes {
    key.hasPrefix(prefix) ? key[prefix.count..<key.count] : key
  }

  package func visible(_ pair: Mvccpb.KeyValue) -> Mvccpb.KeyValue {
    var pair = pair
    pair.key = visible(key: pair.key)
    return pair
  }

  package func visible(_ response: Etcdserverpb.RangeResponse) -> Etcdserverpb.RangeResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.kvs = response.kvs.map(visible)
    return response
  }

  package func visible(_ response: Etcdserverpb.PutResponse) -> Etcdserverpb.PutResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.prevKv = response.prevKv.map(visible)
    return response
  }

  package func visible(
    _ response: Etcdserverpb.DeleteRangeResponse
  ) -> Etcdserverpb.DeleteRangeResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.prevKvs = response.prevKvs.map(visible)
    return response
  }

  package func visible(_ response: Etcdserverpb.TxnResponse) -> Etcdserverpb.TxnResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.responses = response.responses.map { operation in
      switch operation.response {
      case .responseRange(let range): .init(response: .responseRange(visible(range)))
      case .responsePut(let put): .init(response: .responsePut(visible(put)))
      case .responseDeleteRange(let delete):
        .init(response: .responseDeleteRange(visible(delete)))
      case .responseTxn(let txn): .init(response: .responseTxn(visible(txn)))
      case nil: operation
      }
    }
    return response
  }

  package func visible(_ response: Etcdserverpb.WatchResponse) -> Etcdserverpb.WatchResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.events = response.events.map { visible($0) }
    return response
  }

  package func visible(_ event: Mvccpb.Event) -> Mvccpb.Event {
    guard !prefix.isEmpty else { return event }
    var event = event
    event.kv = event.kv.map(visible)
    event.prevKv = event.prevKv.map(visible)
    return event
  }

  /// Keys of a lease that are in the namespace.
  package func visible(
    _ response: Etcdserverpb.LeaseTimeToLiveResponse
  ) -> Etcdserverpb.LeaseTimeToLiveResponse {
    guard !prefix.isEmpty else { return response }
    var response = response
    response.keys = response.keys.filter { $0.hasPrefix(prefix) }.map { visible(key: $0) }
    return response
  }
}
