import Bytes
import GoText
import HTTP
import JSON
import V2Store

/// Answers of the v2 API as JSON, each a line.
///
/// - Source: etcd `v2store/{event,node_extern}.go`, `v2error/error.go`.
enum V2JSON {
  /// What keys of users lie below.
  /// - Source: etcd `StoreKeysPrefix`.
  static let root = "/1"

  /// - Parameters:
  ///   - now: nanoseconds since 1970, for times to live.
  ///   - withNodes: whether the nodes are shown.
  static func line(_ event: V2Event, now: Int64, withNodes: Bool = true) -> Bytes {
    var out = ByteWriter(capacity: 256)
    out.append("{\"action\":\"\(event.action.rawValue)\"")
    if withNodes {
      out.append(",\"node\":")
      write(event.node, now, to: &out)
      if let previous = event.previous {
        out.append(",\"prevNode\":")
        write(previous, now, to: &out)
      }
    }
    out.append("}\n")
    return out.finish()
  }

  private static func write(_ node: V2Entry, _ now: Int64, to out: inout ByteWriter) {
    var isFirst = true
    func name(_ text: String) {
      out.append(isFirst ? "{\"\(text)\":" : ",\"\(text)\":")
      isFirst = false
    }
    let key = withoutRoot(node.key)
    if !key.isEmpty {
      name("key")
      JSONWriter.write(key, to: &out, escapeHTML: true)
    }
    if let value = node.value {
      name("value")
      JSONWriter.write(value, to: &out, escapeHTML: true)
    }
    if node.isDirectory {
      name("dir")
      out.append("true")
    }
    if let expiration = node.expiration {
      name("expiration")
      out.append(
        "\"\(CivilTime(nanosecondsSinceEpoch: expiration).rfc3339(fraction: .shortest))\"")
      let seconds = secondsLeft(until: expiration, now)
      if seconds != 0 {
        name("ttl")
        out.append("\(seconds)")
      }
    }
    if let nodes = node.nodes, !nodes.isEmpty {
      name("nodes")
      out.append("[")
      for (position, child) in nodes.enumerated() {
        if position > 0 { out.append(",") }
        write(child, now, to: &out)
      }
      out.append("]")
    }
    if node.modifiedIndex > 0 {
      name("modifiedIndex")
      out.append("\(node.modifiedIndex)")
    }
    if node.createdIndex > 0 {
      name("createdIndex")
      out.append("\(node.createdIndex)")
    }
    out.append(isFirst ? "{}" : "}")
  }

  /// Whole seconds, a part of one counting as one.
  private static func secondsLeft(until expiration: Int64, _ now: Int64) -> Int64 {
    let left = expiration.subtractingReportingOverflow(now)
    guard !left.overflow else { return expiration > now ? .max / 1_000_000_000 : 0 }
    let seconds = left.partialValue / 1_000_000_000
    return left.partialValue % 1_000_000_000 > 0 ? seconds &+ 1 : seconds
  }

  /// A path as its user knows it.
  static func withoutRoot(_ path: String) -> String {
    path.utf8.starts(with: root.utf8) ? String(path.dropFirst(root.count)) : path
  }

  /// The answer to a request that was refused.
  static func line(_ error: V2Error) -> Bytes {
    var out = ByteWriter(capacity: 128)
    out.append("{\"errorCode\":\(error.code.rawValue),\"message\":")
    JSONWriter.write(error.message, to: &out, escapeHTML: true)
    let cause = withoutRoot(error.cause)
    if !cause.isEmpty {
      out.append(",\"cause\":")
      JSONWriter.write(cause, to: &out, escapeHTML: true)
    }
    out.append(",\"index\":\(error.index)}\n")
    return out.finish()
  }
}
