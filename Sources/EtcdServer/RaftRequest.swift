import Bytes
import EtcdAPI
import Protobuf

/// Builds InternalRaftRequest bytes around a request that is encoded already.
///
/// The request that came from the wire is copied once into the entry; it is not encoded again.
enum RaftRequest {
  /// Field numbers of InternalRaftRequest.
  enum Field: UInt64 {
    case put = 4
    case deleteRange = 5
    case txn = 6
    case compaction = 7
    case leaseGrant = 8
    case leaseRevoke = 9
    case alarm = 10
  }

  private static let header: UInt64 = 100

  static func encode(_ field: Field, _ request: Bytes, id: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: request.count + 32)
    writer.appendVarint(field.rawValue << 3 | 2)
    writer.appendVarint(UInt64(request.count))
    writer.append(request)
    let inner = Etcdserverpb.RequestHeader(id: id)
    writer.appendVarint(header << 3 | 2)
    writer.appendVarint(UInt64(inner.encodedSize))
    inner.encode(into: &writer)
    return writer.finish()
  }

  /// A v2 request that sets a path.
  static func put(path: String, value: String, id: UInt64) -> Bytes {
    Etcdserverpb.Request(id: id, method: "PUT", path: path, val: value).encoded()
  }

  /// A v2 request that ends the keys whose time is over.
  /// - Parameter now: nanoseconds since 1970.
  static func sync(now: Int64, id: UInt64) -> Bytes {
    Etcdserverpb.Request(id: id, method: "SYNC", time: now).encoded()
  }
}
