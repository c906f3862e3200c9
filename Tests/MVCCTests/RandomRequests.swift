import Bytes
import EtcdAPI
import Raft

/// Requests over keys that are easy to confuse: equal when padded, equal in their first 23 bytes.
struct RandomRequests {
  var random: SplitMix64

  static let keys: [Bytes] = [
    "a", Bytes([0x61, 0]), Bytes([0x61, 0, 0]), "aa", "b", Bytes([UInt8(0)]), Bytes([UInt8(255)]),
    Bytes(String(repeating: "k", count: 23)), Bytes(String(repeating: "k", count: 24)),
    Bytes(String(repeating: "k", count: 24) + "x"), Bytes(String(repeating: "k", count: 22)),
    Bytes([UInt8](repeating: 0x6b, count: 22) + [0]),
  ]

  mutating func below(_ n: Int) -> Int { random.below(n) }

  mutating func key() -> Bytes {
    below(3) == 0 ? Bytes("n\(below(150))") : Self.keys[below(Self.keys.count)]
  }

  mutating func rangeEnd() -> Bytes {
    switch below(5) {
    case 0: Bytes([UInt8(0)])
    case 1, 2: key()
    default: Bytes()
    }
  }

  mutating func put() -> Etcdserverpb.PutRequest {
    Etcdserverpb.PutRequest(
      key: key(), value: below(12) == 0 ? Bytes() : Bytes("v\(below(40))"),
      lease: below(40) == 0 ? 77 : 0, prevKv: below(3) == 0, ignoreValue: below(8) == 0)
  }

  mutating func delete() -> Etcdserverpb.DeleteRangeRequest {
    Etcdserverpb.DeleteRangeRequest(
      key: key(), rangeEnd: below(3) == 0 ? rangeEnd() : Bytes(), prevKv: below(2) == 0)
  }

  /// - Parameter revision: the present one; requests go from far below it to just above it.
  mutating func range(_ revision: Int64) -> Etcdserverpb.RangeRequest {
    let orders: [Etcdserverpb.RangeRequest.SortOrder] = [.none, .none, .ascend, .descend]
    let targets: [Etcdserverpb.RangeRequest.SortTarget] = [
      .key, .key, .version, .create, .mod, .value,
    ]
    func some(_ n: Int, _ value: Int64) -> Int64 { n == 0 ? value : 0 }
    let near = max(revision - Int64(below(60)), 1)
    return Etcdserverpb.RangeRequest(
      key: key(), rangeEnd: rangeEnd(), limit: Int64(below(3) == 0 ? below(6) : 0),
      revision: below(2) == 0 ? 0 : revision + 1 - Int64(below(80)), sortOrder: orders[below(4)],
      sortTarget: targets[below(6)], keysOnly: below(6) == 0, countOnly: below(6) == 0,
      minModRevision: some(below(10), near), maxModRevision: some(below(10), near),
      minCreateRevision: some(below(10), near), maxCreateRevision: some(below(10), near))
  }

  mutating func compare(_ revision: Int64) -> Etcdserverpb.Compare {
    let results: [Etcdserverpb.Compare.CompareResult] = [.equal, .notEqual, .greater, .less]
    let near = max(revision - Int64(below(10)), 0)
    var compare = Etcdserverpb.Compare(
      result: results[below(4)], key: key(), rangeEnd: below(4) == 0 ? rangeEnd() : Bytes())
    switch below(4) {
    case 0:
      compare.target = .version
      compare.targetUnion = .version(Int64(below(3)))
    case 1:
      compare.target = .create
      compare.targetUnion = .createRevision(near)
    case 2:
      compare.target = .mod
      compare.targetUnion = .modRevision(near)
    default:
      compare.target = .value
      compare.targetUnion = .value(Bytes("v\(below(40))"))
    }
    return compare
  }

  mutating func txn(_ revision: Int64, depth: Int = 2) -> Etcdserverpb.TxnRequest {
    var request = Etcdserverpb.TxnRequest()
    for _ in 0..<below(3) { request.compare.append(compare(revision)) }
    request.success = operations(revision, depth)
    request.failure = operations(revision, depth)
    return request
  }

  /// A transaction may not put a key twice: later puts of a key, and ignored values of keys that an
  /// earlier operation deletes, are left out.
  private mutating func operations(_ revision: Int64, _ depth: Int) -> [Etcdserverpb.RequestOp] {
    (0..<below(4)).map { _ in
      switch below(6) {
      case 0, 1:
        var request = put()
        request.ignoreValue = false
        return Etcdserverpb.RequestOp(request: .requestPut(request))
      case 2: return Etcdserverpb.RequestOp(request: .requestDeleteRange(delete()))
      case 3 where depth > 0:
        return Etcdserverpb.RequestOp(request: .requestTxn(txn(revision, depth: depth - 1)))
      default:
        var request = range(revision)
        // Checked against the revision before the transaction.
        request.revision = 0
        return Etcdserverpb.RequestOp(request: .requestRange(request))
      }
    }
  }
}
