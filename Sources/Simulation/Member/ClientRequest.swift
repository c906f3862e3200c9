import Auth
import Bytes
import EtcdAPI
import Member
import Protobuf

/// Requests as clients of the simulation send them.
public enum ClientRequest: Sendable, Hashable {
  case put(key: String, value: Int)
  case delete(key: String)
  /// Puts `new` when the value is `expected`, reads the key otherwise.
  case compareAndPut(key: String, expected: Int, new: Int)
  /// Puts one value under two keys in one transaction.
  case putBoth(String, String, value: Int)
  /// Puts one key and deletes all others in one transaction, which compares and reads them all before: done in
  /// many steps.
  case keepOnly(String, value: Int, others: [String])
  /// Puts a key and reads it at an earlier revision, which may be compacted, in one transaction.
  case putAndLook(key: String, value: Int, at: Int64)
  /// Removes history below a revision.
  case compact(Int64)
  /// Reads everything from a key to the end, or one key.
  case range(key: String, toEnd: Bool, serializable: Bool)
  /// Reads everything as it was at a revision, while compactions follow behind it.
  case past(Int64)

  /// Some values are long, so that records of the log cross sectors and rows cross pages.
  static func bytes(_ value: Int) -> Bytes {
    Bytes(
      "v\(value)." + String(repeating: "x", count: value % 7 == 0 ? 100 + value * 37 % 3000 : 0))
  }

  /// The number of a value; −1 when it is none of ours.
  static func value(_ bytes: Bytes) -> Int {
    guard let end = bytes.firstIndex(of: UInt8(ascii: ".")) else { return -1 }
    return Int(bytes[1..<end].string) ?? -1
  }

  /// The entry's payload; `nil` for requests that do not go through the log.
  /// - Parameter caller: in whose name.
  public func encoded(id: RequestID, _ caller: AuthInfo? = nil) -> Bytes? {
    var request = Etcdserverpb.InternalRaftRequest(
      header: Etcdserverpb.RequestHeader(
        id: id.rawValue, username: caller?.username ?? "", authRevision: caller?.revision ?? 0))
    switch self {
    case .put(let key, let value):
      request.put = Etcdserverpb.PutRequest(key: Bytes(key), value: Self.bytes(value))
    case .delete(let key):
      request.deleteRange = Etcdserverpb.DeleteRangeRequest(key: Bytes(key))
    case .compareAndPut(let key, let expected, let new):
      request.txn = Self.compareAndPut(key, expected, new)
    case .putBoth(let first, let second, let value):
      request.txn = Etcdserverpb.TxnRequest(
        success: [first, second].map { Self.putOperation($0, value) })
    case .keepOnly(let key, let value, _): request.txn = Self.keepOnly(key, value)
    case .putAndLook(let key, let value, let revision):
      let look = Etcdserverpb.RangeRequest(key: Bytes(key), revision: revision)
      request.txn = Etcdserverpb.TxnRequest(
        success: [Self.putOperation(key, value), .init(request: .requestRange(look))])
    case .compact(let revision):
      request.compaction = Etcdserverpb.CompactionRequest(revision: revision)
    case .range, .past: return nil
    }
    return request.encoded()
  }

  private static func putOperation(_ key: String, _ value: Int) -> Etcdserverpb.RequestOp {
    Etcdserverpb.RequestOp(
      request: .requestPut(Etcdserverpb.PutRequest(key: Bytes(key), value: bytes(value))))
  }

  private static func keepOnly(_ key: String, _ value: Int) -> Etcdserverpb.TxnRequest {
    let behind = Bytes(Array(key.utf8) + [0])
    func delete(_ start: Bytes, _ end: Bytes) -> Etcdserverpb.RequestOp {
      Etcdserverpb.RequestOp(
        request: .requestDeleteRange(
          Etcdserverpb.DeleteRangeRequest(key: start, rangeEnd: end, prevKv: true)))
    }
    return Etcdserverpb.TxnRequest(
      compare: [
        Etcdserverpb.Compare(
          result: .greater, target: .create, key: "k", targetUnion: .createRevision(-1),
          rangeEnd: "l")
      ],
      success: [
        Etcdserverpb.RequestOp(
          request: .requestRange(Etcdserverpb.RangeRequest(key: "k", rangeEnd: "l"))),
        delete("k", Bytes(key)), putOperation(key, value), delete(behind, "l"),
      ])
  }

  private static func compareAndPut(
    _ key: String, _ expected: Int, _ new: Int
  ) -> Etcdserverpb.TxnRequest {
    let compare =
      expected == 0
      ? Etcdserverpb.Compare(
        result: .equal, target: .create, key: Bytes(key), targetUnion: .createRevision(0))
      : Etcdserverpb.Compare(
        result: .equal, target: .value, key: Bytes(key), targetUnion: .value(bytes(expected)))
    return Etcdserverpb.TxnRequest(
      compare: [compare], success: [putOperation(key, new)],
      failure: [
        Etcdserverpb.RequestOp(
          request: .requestRange(Etcdserverpb.RangeRequest(key: Bytes(key))))
      ])
  }

  /// The range request, for requests that read.
  public var range: Etcdserverpb.RangeRequest? {
    switch self {
    case .range(let key, let toEnd, let serializable):
      return Etcdserverpb.RangeRequest(
        key: Bytes(key), rangeEnd: toEnd ? Bytes([UInt8(0)]) : Bytes(), serializable: serializable)
    case .past(let revision):
      return Etcdserverpb.RangeRequest(
        key: "k", rangeEnd: "l", revision: revision, serializable: true)
    default: return nil
    }
  }
}
