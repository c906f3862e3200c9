import Bytes
import CommandLineTool
import HTTP
import JSON

/// A node of the v2 store as the API shows it.
struct V2Node: Sendable {
  let key: String
  let isDirectory: Bool
  let value: String
  let nodes: [V2Node]?
  let createdIndex: UInt64
  let modifiedIndex: UInt64
  let expiration: String?
  let ttl: Int64

  /// - Throws: when a field has another type.
  init(_ json: JSONValue) throws(V2Failure) {
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

  /// As Go's client writes it: of fields that are empty, it leaves out three.
  fileprivate var json: JSONValue {
    var object = GoObject()
    object.always("key", .string(key))
    object.bool("dir", isDirectory)
    object.always("value", .string(value))
    object.always("nodes", nodes.map { .array($0.map(\.json)) } ?? .null)
    object.always("createdIndex", .integer(createdIndex))
    object.always("modifiedIndex", .integer(modifiedIndex))
    object.optional("expiration", expiration.map { .string($0) })
    object.number("ttl", ttl)
    return object.json
  }

  /// Its path and those of all below it.
  fileprivate func lines(slashes: Bool) -> [String] {
    [slashes && isDirectory ? key + "/" : key]
      + (nodes ?? []).flatMap { $0.lines(slashes: slashes) }
  }
}

/// What became of a request about keys.
///
/// - Source: etcd 3.5 `client/v2/keys.go`.
struct V2Response: Sendable {
  let action: String
  let node: V2Node
  let previous: V2Node?
  /// Of the store, when the answer was given.
  let index: UInt64

  /// - Throws: the refusal that the answer is; `nil` stands for an answer without a body.
  init?(_ answer: V2Answer) throws(V2Failure) {
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

  /// - Source: etcd `ctlv2/command/format.go`.
  func show(_ invocation: V2Invocation) {
    let format = invocation.globals.string("output")
    switch format {
    case "simple":
      let isDelete = action == "delete"
      let text = isDelete ? "PrevNode.Value: \(previous?.value ?? "")" : node.value
      invocation.console.print(text + "\n")
    case "extended": invocation.console.print(extended)
    case "json":
      var object = GoObject()
      object.always("action", .string(action))
      object.always("node", node.json)
      object.always("prevNode", previous?.json ?? .null)
      var out = ByteWriter(capacity: 256)
      JSONWriter.write(object.json, to: &out, escapeHTML: true)
      invocation.console.print(out.finish().string + "\n")
    default: invocation.console.printError("Unsupported output format: \(format)\n")
    }
  }

  private var extended: String {
    var lines = [
      "Key: \(node.key)", "Created-Index: \(node.createdIndex)",
      "Modified-Index: \(node.modifiedIndex)",
    ]
    if let previous { lines.append("PrevNode.Value: \(previous.value)") }
    lines += ["TTL: \(node.ttl)", "Index: \(index)"]
    if action != "delete" { lines += ["", node.value] }
    return lines.map { $0 + "\n" }.joined()
  }

  /// Shows a directory as `ls` does, one path a line.
  func list(_ invocation: V2Invocation) {
    guard invocation.globals.string("output") == "simple" else { return show(invocation) }
    let slashes = invocation.words.bool("p")
    let own = node.isDirectory ? [] : [node.key]
    let lines = own + (node.nodes ?? []).flatMap { $0.lines(slashes: slashes) }
    invocation.console.print(lines.map { $0 + "\n" }.joined())
  }
}
