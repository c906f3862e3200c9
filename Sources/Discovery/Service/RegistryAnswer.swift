import Bytes
import EtcdAPI
import JSON

/// An answer of a discovery service, in the form of the v2 API. Pure.
struct RegistryAnswer: Sendable {
  var status = 200
  /// Revision of the etcd behind it, as etcd's index; `nil` for what is no key's.
  var index: Int64?
  var body: Bytes
  var isJSON = true

  init(_ action: String, _ key: Mvccpb.KeyValue, status: Int = 200, index: Int64) {
    self.init(action, Self.node(key), status: status, index: index)
  }

  /// A directory with its entries, in the order of their names.
  init(directory: String, _ keys: [Mvccpb.KeyValue], index: Int64) {
    let node: JSONObject = [
      "key": .string(directory), "dir": true,
      "nodes": .array(keys.map { .object(Self.node($0)) }),
    ]
    self.init("get", node, status: 200, index: index)
  }

  private init(_ action: String, _ node: JSONObject, status: Int, index: Int64) {
    self.status = status
    self.index = index
    let object: JSONObject = ["action": .string(action), "node": .object(node)]
    body = Bytes(JSONValue.object(object).encoded(escapeHTML: true).string + "\n")
  }

  /// A text.
  init(text: String, status: Int = 200) {
    self.status = status
    body = Bytes(text)
    isJSON = false
  }

  init(_ refusal: RegistryRefusal) {
    status = refusal.status
    guard let code = refusal.code else {
      body = Bytes(refusal.message + "\n")
      isJSON = false
      return
    }
    index = refusal.index
    let object: JSONObject = [
      "errorCode": .integer(code.rawValue), "message": .string(refusal.message),
      "cause": .string(refusal.cause), "index": .integer(refusal.index),
    ]
    body = Bytes(JSONValue.object(object).encoded(escapeHTML: true).string + "\n")
  }

  private static func node(_ key: Mvccpb.KeyValue) -> JSONObject {
    [
      "key": .string(key.key.string), "value": .string(key.value.string),
      "modifiedIndex": .integer(key.modRevision), "createdIndex": .integer(key.createRevision),
    ]
  }
}
