/// `host:port`, split as Go's `net.SplitHostPort` does.
public struct HostPort: Sendable, Hashable {
  /// Without brackets.
  public let host: String
  public let port: String

  /// `nil` when `text` has no port or unbalanced brackets.
  public init?(_ text: String) {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      let after = text[text.index(after: end)...]
      guard after.hasPrefix(":") else { return nil }
      host = String(text[text.index(after: text.startIndex)..<end])
      port = String(after.dropFirst())
    } else {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      host = String(parts[0])
      port = String(parts[1])
    }
    guard !port.contains(where: { "[]:".contains($0) }), !host.contains("[") else { return nil }
  }

  /// Whether the host is a numeric IPv4 or IPv6 address.
  public var isNumeric: Bool { Self.isIPv4(host) || Self.isIPv6(host) }

  static func isIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        !part.isEmpty && part.count <= 3 && part.allSatisfy(\.isASCIIDigit)
          && (part.count == 1 || part.first != "0") && Int(part).map { $0 <= 255 } == true
      }
  }

  static func isIPv6(_ text: String) -> Bool {
    let halves = text.pieces(between: "::")
    guard text.contains(":"), halves.count <= 2, !text.holds(":::") else { return false }
    var groups = 0
    for (index, half) in halves.enumerated() where !half.isEmpty {
      let parts = half.split(separator: ":", omittingEmptySubsequences: false)
      for (position, part) in parts.enumerated() {
        let isLast = index == halves.count - 1 && position == parts.count - 1
        if isLast && isIPv4(String(part)) {
          groups += 2
        } else if (1...4).contains(part.count) && part.allSatisfy({ $0.isHexDigit && $0.isASCII }) {
          groups += 1
        } else {
          return false
        }
      }
    }
    return halves.count == 2 ? groups < 8 : groups == 8
  }
}
