import GoText

/// Times as Go's encoding/json writes them (RFC 3339 with up to nine digits of a second).
enum V2Time {
  /// Go's zero time: a node that stays.
  static let never = "0001-01-01T00:00:00Z"

  /// - Parameter nanoseconds: since 1970, `nil` for Go's zero time.
  static func text(_ nanoseconds: Int64?) -> String {
    guard let nanoseconds else { return never }
    return CivilTime(nanosecondsSinceEpoch: nanoseconds).rfc3339(fraction: .shortest)
  }

  /// - Returns: nanoseconds since 1970; `.some(nil)` for Go's zero time; `nil` when the text is no
  ///   time or lies beyond 64 bits of nanoseconds.
  static func parse(_ text: String) -> Int64?? {
    if text == never { return .some(nil) }
    guard let time = CivilTime(rfc3339: text)?.nanosecondsSinceEpoch else { return nil }
    return .some(time)
  }
}
