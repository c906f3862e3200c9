import Bytes
import EtcdAPI
import JSON
import Protobuf

/// Messages as Go's encoding/json shows its structs: numbers as numbers, enums as numbers, bytes in
/// base64, and what is zero left out.
struct GoObject {
  private(set) var object = JSONObject()

  var json: JSONValue { .object(object) }

  mutating func number(_ name: String, _ value: some FixedWidthInteger) {
    if value != 0 { object.members.append(.init(name, .integer(value))) }
  }
  mutating func text(_ name: String, _ value: String) {
    if !value.isEmpty { object.members.append(.init(name, .string(value))) }
  }
  mutating func bytes(_ name: String, _ value: Bytes) {
    if !value.isEmpty {
      object.members.append(.init(name, .string(Base64.standard.encode(value).string)))
    }
  }
  mutating func bool(_ name: String, _ value: Bool) {
    if value { object.members.append(.init(name, true)) }
  }
  mutating func list(_ name: String, _ values: [JSONValue]) {
    if !values.isEmpty { object.members.append(.init(name, .array(values))) }
  }
  mutating func optional(_ name: String, _ value: JSONValue?) {
    if let value { object.members.append(.init(name, value)) }
  }
  mutating func always(_ name: String, _ value: JSONValue) {
    object.members.append(.init(name, value))
  }
  /// The fields of an embedded struct.
  mutating func embed(_ other: GoObject?) { object.members += other?.object.members ?? [] }

  /// An object that begins with a header.
  init(header: Etcdserverpb.ResponseHeader?) { optional("header", header?.goObject.json) }
  init() {}
}

extension Etcdserverpb.ResponseHeader {
  var goObject: GoObject {
    var object = GoObject()
    object.number("cluster_id", clusterID)
    object.number("member_id", memberID)
    object.number("revision", revision)
    object.number("raft_term", raftTerm)
    return object
  }
}

extension Mvccpb.KeyValue {
  var goJSON: JSONValue {
    var object = GoObject()
    object.bytes("key", key)
    object.number("create_revision", createRevision)
    object.number("mod_revision", modRevision)
    object.number("version", version)
    object.bytes("value", value)
    object.number("lease", lease)
    return object.json
  }
}

extension Etcdserverpb.RangeResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.list("kvs", kvs.map(\.goJSON))
    object.bool("more", more)
    object.number("count", count)
    return object.json
  }
}

extension Etcdserverpb.PutResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.optional("prev_kv", prevKv?.goJSON)
    return object.json
  }
}

extension Etcdserverpb.DeleteRangeResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.number("deleted", deleted)
    object.list("prev_kvs", prevKvs.map(\.goJSON))
    return object.json
  }
}

extension Etcdserverpb.TxnResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.bool("succeeded", succeeded)
    object.list(
      "responses",
      responses.map { operation in
        var one = GoObject()
        switch operation.response {
        case .responseRange(let reply): one.always("response_range", reply.goJSON)
        case .responsePut(let reply): one.always("response_put", reply.goJSON)
        case .responseDeleteRange(let reply): one.always("response_delete_range", reply.goJSON)
        case .responseTxn(let reply): one.always("response_txn", reply.goJSON)
        case nil: return ["Response": .null]
        }
        return ["Response": one.json]
      })
    return object.json
  }
}

extension Etcdserverpb.Member {
  var goJSON: JSONValue {
    var object = GoObject()
    object.number("ID", id)
    object.text("name", name)
    object.list("peerURLs", peerURLs.map { .string($0) })
    object.list("clientURLs", clientURLs.map { .string($0) })
    object.bool("isLearner", isLearner)
    return object.json
  }
}

extension Etcdserverpb.StatusResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.text("version", version)
    object.number("dbSize", dbSize)
    object.number("leader", leader)
    object.number("raftIndex", raftIndex)
    object.number("raftTerm", raftTerm)
    object.number("raftAppliedIndex", raftAppliedIndex)
    object.list("errors", errors.map { .string($0) })
    object.number("dbSizeInUse", dbSizeInUse)
    object.bool("isLearner", isLearner)
    return object.json
  }
}

extension Etcdserverpb.HashKVResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.number("hash", hash)
    object.number("compact_revision", compactRevision)
    return object.json
  }
}

extension Etcdserverpb.AlarmResponse {
  var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.list(
      "alarms",
      alarms.map { alarm in
        var one = GoObject()
        one.number("memberID", alarm.memberID)
        one.number("alarm", alarm.alarm.rawValue)
        return one.json
      })
    return object.json
  }
}

extension Mvccpb.Event {
  var goJSON: JSONValue {
    var object = GoObject()
    object.number("type", type.rawValue)
    object.optional("kv", kv?.goJSON)
    object.optional("prev_kv", prevKv?.goJSON)
    return object.json
  }
}

extension Etcdserverpb.WatchResponse {
  /// - Source: etcd `clientv3.WatchResponse`, whose fields have no names of their own in JSON.
  var goJSON: JSONValue {
    var object = GoObject()
    object.always("Header", (header ?? .init()).goObject.json)
    // A response that Go's client makes itself has none at all.
    object.always("Events", header == nil ? .null : .array(events.map(\.goJSON)))
    object.always("CompactRevision", .integer(compactRevision))
    object.always("Canceled", .bool(canceled))
    object.always("Created", .bool(created))
    return object.json
  }
}
