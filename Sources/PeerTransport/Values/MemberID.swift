import Bytes

/// Text form of member and cluster IDs: lower-case hexadecimal without padding.
public enum MemberID {
  /// `8e9e05c52164694d`.
  public static func text(_ id: UInt64) -> String { String(id, radix: 16) }

  /// Parses 1 to 16 hexadecimal digits (leading zeros may make it longer), either case.
  /// - Returns: `nil` for anything else, such as a sign or a prefix.
  public static func parse(_ text: some StringProtocol) -> UInt64? {
    guard !text.isEmpty, text.utf8.count <= 64 else { return nil }
    var value: UInt64 = 0
    for byte in text.utf8 {
      guard let digit = byte.hexValue, value >> 60 == 0 else { return nil }
      value = value << 4 | UInt64(digit)
    }
    return value
  }
}
