import Bytes
import JSON

/// Why the payload of a raft snapshot cannot be read.
public struct V2DocumentError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  init(_ text: String) { description = "v2 store of the snapshot: " + text }
}

/// The store as JSON, the payload of a raft snapshot.
///
/// ```
/// {"Root":NODE,"WatcherHub":{"EventHistory":{…}},"CurrentIndex":N,"Stats":{…},"CurrentVersion":2}
/// NODE = {"Path":"/…","CreatedIndex":N,"ModifiedIndex":N,"ExpireTime":"RFC 3339","Value":"…",
///         "Children":{"name":NODE,…} or null for a file}
/// ```
/// - Source: etcd `v2store/store.go` (`Save`, `Recovery`), `event_history.go`.
extension V2Store {
  private static let version = 2

  /// The document.
  public func document() -> Bytes {
    var out = ByteWriter(capacity: 4096)
    out.append("{\"Root\":")
    write(root, "/", to: &out)
    out.append(",\"WatcherHub\":{\"EventHistory\":")
    history.write(to: &out, index: index)
    out.append("},\"CurrentIndex\":\(index),\"Stats\":{")
    let counts = V2Stats.fields.map { "\"\($0.name)\":\(stats[keyPath: $0.field])" }
    out.append("\(counts.joined(separator: ","))},\"CurrentVersion\":\(Self.version)}")
    return out.finish()
  }

  private func write(_ node: V2Node, _ path: String, to out: inout ByteWriter) {
    out.append("{\"Path\":")
    JSONWriter.write(path, to: &out, escapeHTML: true)
    out.append(
      ",\"CreatedIndex\":\(node.createdIndex),\"ModifiedIndex\":\(node.modifiedIndex),"
        + "\"ExpireTime\":\"\(V2Time.text(node.expiration))\",\"Value\":")
    JSONWriter.write(node.value, to: &out, escapeHTML: true)
    out.append(",\"Children\":")
    if node.isDirectory {
      let base = path == "/" ? path : path + "/"
      out.append("{")
      for (position, child) in node.sortedChildren.enumerated() {
        if position > 0 { out.append(",") }
        JSONWriter.write(child.name.text, to: &out, escapeHTML: true)
        out.append(":")
        write(child.node, base + child.name.text, to: &out)
      }
      out.append("}")
    } else {
      out.append("null")
    }
    out.append("}")
  }

  /// The store inside a document; a new one when it is empty.
  /// - Throws: `V2DocumentError` naming what is wrong.
  public init(document bytes: Bytes) throws(V2DocumentError) {
    self.init()
    guard !bytes.isEmpty else { return }
    let value: JSONValue
    // Two levels of JSON for a directory, and some around the tree.
    let limits = JSONLimits(depth: 2 * V2Path.depthMax + 16, bytes: .max)
    do { value = try JSONValue.parse(bytes, limits: limits) } catch {
      throw V2DocumentError("not JSON: \(error)")
    }
    guard value.object != nil else { throw V2DocumentError("not a JSON object") }
    if let tree = value["Root"], !tree.isNull {
      root = try Self.node(tree, "/", depth: 0)
      guard root.isDirectory else { throw V2DocumentError("the root is not a directory") }
      addNamespaces()
    }
    index = try Self.integer(value, "CurrentIndex")
    history = try V2History(value["WatcherHub"]?["EventHistory"], index: index)
    if let counts = value["Stats"] {
      for (name, field) in V2Stats.fields {
        stats[keyPath: field] = try Self.integer(counts, name)
      }
    }
    indexExpiries()
  }

  private static func node(
    _ value: JSONValue, _ path: String, depth: Int
  ) throws(V2DocumentError) -> V2Node {
    guard value.object != nil else { throw V2DocumentError("node \(path) is not an object") }
    guard depth <= V2Path.depthMax else {
      throw V2DocumentError("more than \(V2Path.depthMax) directories in each other")
    }
    var expiration: Int64?
    if let text = value["ExpireTime"]?.string {
      guard let time = V2Time.parse(text) else {
        throw V2DocumentError("node \(path) ends at \(text), which is no time")
      }
      expiration = time
    }
    var children: [V2Name: V2Node]?
    if let object = value["Children"]?.object {
      var nodes: [V2Name: V2Node] = [:]
      nodes.reserveCapacity(object.members.count)
      for member in object.members {
        let base = path == "/" ? path : path + "/"
        nodes[V2Name(text: member.name)] = try node(
          member.value, base + member.name, depth: depth + 1)
      }
      children = nodes
    }
    return V2Node(
      createdIndex: try integer(value, "CreatedIndex"),
      modifiedIndex: try integer(value, "ModifiedIndex"), expiration: expiration,
      value: value["Value"]?.string ?? "", children: children)
  }

  /// A count that may be missing, as in documents of other releases.
  static func integer(
    _ value: JSONValue, _ name: String
  ) throws(V2DocumentError) -> UInt64 {
    guard let member = value[name], !member.isNull else { return 0 }
    guard let number: UInt64 = member.integer() else {
      throw V2DocumentError("\(name) is not a count")
    }
    return number
  }
}
