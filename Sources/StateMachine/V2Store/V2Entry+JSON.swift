import Bytes
import GoText
import JSON

extension V2Entry {
  /// What keys of users lie below.
  /// - Source: etcd `StoreKeysPrefix`.
  public static let userRoot = "/1"

  /// A path as its user knows it.
  public static func withoutRoot(_ path: String) -> String {
    path.utf8.starts(with: userRoot.utf8) ? String(path.dropFirst(userRoot.count)) : path
  }

  /// Whole seconds that are left, a part of one counting as one; 0 for a node that stays.
  /// - Parameter now: nanoseconds since 1970.
  public func secondsLeft(_ now: Int64) -> Int64 {
    guard let expiration else { return 0 }
    let left = expiration.subtractingReportingOverflow(now)
    guard !left.overflow else { return expiration > now ? .max / 1_000_000_000 : 0 }
    let seconds = left.partialValue / 1_000_000_000
    return left.partialValue % 1_000_000_000 > 0 ? seconds &+ 1 : seconds
  }

  /// Keeps what is left of a lifetime now.
  mutating func countTTL(_ now: Int64) {
    if expiration != nil { ttl = secondsLeft(now) }
  }

  /// Writes the node as the v2 API shows it, with the nodes that it has.
  /// - Parameters:
  ///   - now: nanoseconds since 1970, for times to live that are counted now; without it they are left out.
  ///   - withRoot: whether the key is shown as the store knows it.
  /// - Source: etcd `v2store/node_extern.go`.
  public func writeJSON(now: Int64?, withRoot: Bool = false, to out: inout ByteWriter) {
    var isFirst = true
    func name(_ text: String) {
      out.append(isFirst ? "{\"\(text)\":" : ",\"\(text)\":")
      isFirst = false
    }
    let path = withRoot ? key : Self.withoutRoot(key)
    if !path.isEmpty {
      name("key")
      JSONWriter.write(path, to: &out, escapeHTML: true)
    }
    if let value {
      name("value")
      JSONWriter.write(value, to: &out, escapeHTML: true)
    }
    if isDirectory {
      name("dir")
      out.append("true")
    }
    if let expiration {
      name("expiration")
      out.append(
        "\"\(CivilTime(nanosecondsSinceEpoch: expiration).rfc3339(fraction: .shortest))\"")
      let seconds = ttl ?? now.map(secondsLeft) ?? 0
      if seconds != 0 {
        name("ttl")
        out.append("\(seconds)")
      }
    }
    if let nodes, !nodes.isEmpty {
      name("nodes")
      out.append("[")
      for (position, child) in nodes.enumerated() {
        if position > 0 { out.append(",") }
        child.writeJSON(now: now, withRoot: withRoot, to: &out)
      }
      out.append("]")
    }
    if modifiedIndex > 0 {
      name("modifiedIndex")
      out.append("\(modifiedIndex)")
    }
    if createdIndex > 0 {
      name("createdIndex")
      out.append("\(createdIndex)")
    }
    out.append(isFirst ? "{}" : "}")
  }
}
