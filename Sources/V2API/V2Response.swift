import HTTP
import JSON

/// A node of the v2 store as the API shows it.
package struct V2Node: Sendable {
  package let key: String
  package let isDirectory: Bool
  package let value: String
  package let nodes: [V2Node]?
  package let createdIndex: UInt64
  package let modifiedIndex: UInt64
  package let expiration: String?
  package let ttl: Int64

  /// - Throws: when a field has another type.
  package init(_ json: JSONValue) throws(V2Failure) {
    func field<T>(_ name: String, _ none: T, _ read: (JSONValue) -> T?) throws(V2Failure) -> T {
      guard let value = json[name], !value.isNull else { return none }
      guard let read = read(value) else { throw .invalidJSON }
      return read
    }
    guard json.object != nil else { throw .invalidJSON }
    key = try field("key", "", \.string)
    isDirectory = try field("dir", false, \.bool)
    value = try field("value", "", \.string)
    createdIndex = try field("createdIndex", 0) { $0.integer() }
    modifiedIndex = try field("modifiedIndex", 0) { $0.integer() }
    expiration = try field("expiration", nil) { $0.string.map(Optional.some) }
    ttl = try field("ttl", 0) { $0.integer() }
    guard let list = try field("nodes", nil, { $0.array.map(Optional.some) }) else {
      nodes = nil
      return
    }
    var children: [V2Node] = []
    for child in list { children.append(try V2Node(child)) }
    nodes = children
  }
}

/// What became of a request about keys.
///
/// - Source: etcd 3.5 `client/v2/keys.go`.
package struct V2Response: Sendable {
  package let action: String
  package let node: V2Node
  package let previous: V2Node?
  /// Of the store, when the answer was given.
  package let index: UInt64

  /// - Throws: the refusal that the answer is; `nil` stands for an answer without a body.
  package init?(_ answer: V2Answer) throws(V2Failure) {
    guard answer.status == 200 || answer.status == 201 else { throw Self.refusal(answer) }
    guard !answer.body.isEmpty else { return nil }
    guard let body = JSONValue.body(of: answer), let node = body["node"] else {
      throw .invalidJSON
    }
    action = body["action"]?.string ?? ""
    self.node = try V2Node(node)
    previous =
      if let node = body["prevNode"], !node.isNull { try V2Node(node) } else { nil }
    index = answer.headers["x-etcd-index"].flatMap { UInt64($0) } ?? 0
  }

  private static func refusal(_ answer: V2Answer) -> V2Failure {
    guard let body = JSONValue.body(of: answer), body.object != nil else { return .invalidJSON }
    return .refused(
      code: body["errorCode"]?.integer() ?? 0, message: body["message"]?.string ?? "",
      cause: body["cause"]?.string ?? "", index: body["index"]?.integer() ?? 0)
  }
}
