import Bytes
import JSON

/// Answers of the v2 API as JSON, each a line.
///
/// - Source: etcd `v2store/{event,node_extern}.go`, `v2error/error.go`.
public enum V2JSON {
  /// - Parameters:
  ///   - now: nanoseconds since 1970, for times to live that are counted now.
  ///   - withNodes: whether the nodes are shown.
  public static func line(_ event: V2Event, now: Int64, withNodes: Bool = true) -> Bytes {
    var out = ByteWriter(capacity: 256)
    out.append("{\"action\":\"\(event.action.rawValue)\"")
    if withNodes {
      out.append(",\"node\":")
      event.node.writeJSON(now: now, to: &out)
      if let previous = event.previous {
        out.append(",\"prevNode\":")
        previous.writeJSON(now: now, to: &out)
      }
    }
    out.append("}\n")
    return out.finish()
  }

  /// The answer to a request that was refused.
  public static func line(_ error: V2Error) -> Bytes {
    var out = ByteWriter(capacity: 128)
    out.append("{\"errorCode\":\(error.code.rawValue),\"message\":")
    JSONWriter.write(error.message, to: &out, escapeHTML: true)
    let cause = V2Entry.withoutRoot(error.cause)
    if !cause.isEmpty {
      out.append(",\"cause\":")
      JSONWriter.write(cause, to: &out, escapeHTML: true)
    }
    out.append(",\"index\":\(error.index)}\n")
    return out.finish()
  }
}
