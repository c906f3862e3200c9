import Bytes
import EtcdAPI

/// The leasing keys of a cluster: which they are, and the transactions that take, heed and give them up.
///
/// A leasing key is the key behind a prefix. It exists while somebody owns the key, bound to his session's lease; its
/// value is empty, or "REVOKE" when somebody else wants to write the key.
///
/// - Source: etcd `client/v3/leasing/{kv,txn}.go`.
struct LeasingKeys: Sendable {
  let prefix: Bytes
  static let revoked: Bytes = "REVOKE"

  func name(_ key: Bytes) -> Bytes { prefix.followed(by: key) }

  /// The key of a leasing key.
  func key(_ name: Bytes) -> Bytes {
    name.hasPrefix(prefix) ? name[prefix.count..<name.count] : name
  }

  /// The leasing keys of keys.
  func name(_ interval: RangeCache.Interval) -> RangeCache.Interval {
    let end: Bytes =
      interval.end.isEmpty
      ? Bytes() : interval.end == Bytes([0]) ? prefix.endOfPrefix : name(interval.end)
    return .init(key: name(interval.key), end: end)
  }

  /// Holds while every leasing key of some keys is no younger than a revision.
  func isNotYounger(_ interval: RangeCache.Interval, than revision: Int64) -> Etcdserverpb.Compare {
    let names = name(interval)
    return Etcdserverpb.Compare(
      result: .less, target: .create, key: names.key,
      targetUnion: .createRevision(revision &+ 1), rangeEnd: names.end)
  }

  static func read(_ interval: RangeCache.Interval) -> Etcdserverpb.RequestOp {
    .init(request: .requestRange(.init(key: interval.key, rangeEnd: interval.end)))
  }

  /// Takes a key, and reads it; reads it and its leasing key where that is not possible. Keys that are bound to a lease
  /// go without anybody's write, and are nobody's.
  func acquire(_ key: Bytes, lease: Int64) -> Etcdserverpb.TxnRequest {
    let read = Self.read(.init(key: key, end: Bytes()))
    return Etcdserverpb.TxnRequest(
      compare: [
        .init(result: .equal, target: .create, key: name(key), targetUnion: .createRevision(0)),
        .init(result: .equal, target: .lease, key: key, targetUnion: .lease(0)),
      ],
      success: [
        read, .init(request: .requestPut(.init(key: name(key), lease: lease))),
      ],
      failure: [read, Self.read(.init(key: name(key), end: Bytes()))])
  }

  /// Asks the owner of a key to give it up, unless its leasing key is no younger than a revision or gone.
  func revoke(_ key: Bytes, than revision: Int64) -> Etcdserverpb.TxnRequest {
    Etcdserverpb.TxnRequest(
      compare: [isNotYounger(.init(key: key, end: Bytes()), than: revision)],
      failure: [
        .init(
          request: .requestPut(
            .init(key: name(key), value: Self.revoked, ignoreLease: true)))
      ])
  }

  /// Gives a key up that was asked for at a revision.
  func rescind(_ key: Bytes, at revision: Int64) -> Etcdserverpb.TxnRequest {
    Etcdserverpb.TxnRequest(
      compare: [isNotYounger(.init(key: key, end: Bytes()), than: revision)],
      success: [.init(request: .requestDeleteRange(.init(key: name(key))))])
  }
}

extension Etcdserverpb.TxnRequest {
  /// The keys that it may write.
  var written: [RangeCache.Interval] {
    (success + failure).flatMap { operation -> [RangeCache.Interval] in
      switch operation.request {
      case .requestPut(let put): [.init(key: put.key, end: Bytes())]
      case .requestDeleteRange(let range): [.init(key: range.key, end: range.rangeEnd)]
      case .requestTxn(let txn): txn.written
      case .requestRange, nil: []
      }
    }
  }
}
