import Bytes

/// RFC 4648 base64.
public enum Base64 {
  /// Appends the standard alphabet with padding.
  public static func write(_ bytes: Bytes, to out: inout ByteWriter) {
    bytes.withUnsafeBytes { source in
      out.append(uninitialized: (source.count + 2) / 3 * 4) { target in
        var to = 0
        for from in stride(from: 0, to: source.count, by: 3) {
          let left = source.count - from
          let group =
            UInt32(source[from]) << 16 | (left > 1 ? UInt32(source[from + 1]) << 8 : 0)
            | (left > 2 ? UInt32(source[from + 2]) : 0)
          target[to] = digit(group >> 18)
          target[to + 1] = digit(group >> 12)
          target[to + 2] = left > 1 ? digit(group >> 6) : UInt8(ascii: "=")
          target[to + 3] = left > 2 ? digit(group) : UInt8(ascii: "=")
          to += 4
        }
      }
    }
  }

  /// The standard alphabet with padding.
  public static func encode(_ bytes: Bytes) -> String {
    var out = ByteWriter(capacity: bytes.count * 4 / 3 + 4)
    write(bytes, to: &out)
    return out.finish().string
  }

  /// Reads the standard or the URL-safe alphabet, padded or not.
  /// - Returns: `nil` for other characters or an impossible length.
  public static func decode(_ text: String) -> Bytes? {
    var digits = Array(text.utf8)
    if digits.count % 4 == 0 {
      for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
    }
    guard digits.count % 4 != 1 else { return nil }
    var out = ByteWriter(capacity: digits.count * 3 / 4 + 1)
    var group: UInt32 = 0
    var bits = 0
    for character in digits {
      guard let value = value(character) else { return nil }
      group = group << 6 | value
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
      }
    }
    return out.finish()
  }

  private static func digit(_ bits: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: bits & 0x3f)
    return switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func value(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) - 48 + 52
    case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
    case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
