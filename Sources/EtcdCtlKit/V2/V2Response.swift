import Bytes
import CommandLineTool
import JSON
import V2API

extension V2Node {
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

extension V2Response {
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
