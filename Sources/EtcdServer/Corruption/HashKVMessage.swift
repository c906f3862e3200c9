import Bytes
import JSON
import MVCC
import Protobuf

/// What members tell each other about their hashes, on `/members/hashkv`: Go's JSON of `HashKVRequest`
/// and `HashKVResponse`.
///
/// - Shape: `{"revision":N}` → `{"header":{"revision":N},"hash":N,"compact_revision":N}`; zeros are left
///   out.
/// - Source: etcd `etcdserver/corrupt.go`.
enum HashKVMessage {
  static let path = "/members/hashkv"
  static let clusterMismatch = "cluster ID mismatch"
  static let compacted = "mvcc: required revision has been compacted"
  static let futureRevision = "mvcc: required revision is a future revision"
  /// Bytes of a request or an answer, which hold a few numbers.
  static let bytesMax = 64 << 10

  static func request(revision: Int64) -> Bytes {
    var object = JSONObject()
    add("revision", revision, to: &object)
    return JSONValue.object(object).encoded()
  }

  /// - Returns: `nil` when it is not the JSON of a request.
  static func revision(in request: Bytes) -> Int64? {
    guard let value = try? JSONValue.parse(request) else { return nil }
    if value.isNull { return 0 }
    guard let object = value.object else { return nil }
    return number("revision", in: object)
  }

  static func answer(_ hash: MemberHash) -> Bytes {
    var header = JSONObject()
    add("revision", hash.current, to: &header)
    var object = JSONObject([.init("header", .object(header))])
    add("hash", Int64(hash.value.hash), to: &object)
    add("compact_revision", hash.value.compactRevision, to: &object)
    return JSONValue.object(object).encoded()
  }

  /// - Parameter revision: the one that was asked for.
  /// - Returns: `nil` when it is not the JSON of an answer.
  static func hash(in answer: Bytes, at revision: Int64) -> MemberHash? {
    guard let object = (try? JSONValue.parse(answer))?.object,
      let header = object["header"] == nil ? JSONObject() : object["header"]?.object,
      let current = number("revision", in: header),
      let hash = number("hash", in: object).flatMap({ UInt32(exactly: $0) }),
      let compacted = number("compact_revision", in: object)
    else { return nil }
    return MemberHash(
      value: StoreSnapshot.Hash(hash: hash, compactRevision: compacted, revision: revision),
      current: current)
  }

  private static func add(_ name: String, _ value: Int64, to object: inout JSONObject) {
    if value != 0 { object.members.append(.init(name, .integer(value))) }
  }

  /// As Go's decoder takes an int64: names in any case, plain integers only, missing or null is 0.
  private static func number(_ name: String, in object: JSONObject) -> Int64? {
    switch object.members.last(where: { $0.name.lowercased() == name })?.value {
    case nil, .null: 0
    case .number(let text): Int64(text)
    default: nil
    }
  }
}

/// A hash, and the newest revision that its member has.
struct MemberHash: Equatable, Sendable {
  let value: StoreSnapshot.Hash
  let current: Int64
}
