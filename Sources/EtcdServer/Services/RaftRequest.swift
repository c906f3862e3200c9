import Auth
import Bytes
import EtcdAPI
import Member
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
    case authEnable = 1000
    case authDisable = 1011
    case authenticate = 1012
    case authStatus = 1013
    case authUserAdd = 1100
    case authUserDelete = 1101
    case authUserGet = 1102
    case authUserChangePassword = 1103
    case authUserGrantRole = 1104
    case authUserRevokeRole = 1105
    case authUserList = 1106
    case authRoleList = 1107
    case authRoleAdd = 1200
    case authRoleDelete = 1201
    case authRoleGet = 1202
    case authRoleGrantPermission = 1203
    case authRoleRevokePermission = 1204
    case downgradeInfoSet = 1302
  }

  private static let header: UInt64 = 100

  /// - Parameter caller: who asks, while auth is on: what the checks at apply go by.
  static func encode(
    _ field: Field, _ request: Bytes, id: RequestID, caller: AuthInfo? = nil
  ) -> Bytes {
    var writer = ByteWriter(capacity: request.count + 32)
    writer.appendVarint(field.rawValue << 3 | 2)
    writer.appendVarint(UInt64(request.count))
    writer.append(request)
    let inner = Etcdserverpb.RequestHeader(
      id: id.rawValue, username: caller?.username ?? "", authRevision: caller?.revision ?? 0)
    writer.appendVarint(header << 3 | 2)
    writer.appendVarint(UInt64(inner.encodedSize))
    inner.encode(into: &writer)
    return writer.finish()
  }

  /// A v2 request that sets a path.
  static func put(path: String, value: String, id: RequestID) -> Bytes {
    Etcdserverpb.Request(id: id.rawValue, method: "PUT", path: path, val: value).encoded()
  }

  /// A v2 request that ends the keys whose time is over.
  /// - Parameter now: nanoseconds since 1970.
  static func sync(now: Int64, id: RequestID) -> Bytes {
    Etcdserverpb.Request(id: id.rawValue, method: "SYNC", time: now).encoded()
  }
}
