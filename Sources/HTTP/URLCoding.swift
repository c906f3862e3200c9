import Bytes

/// Percent coding of the parts of a request target.
///
/// - Source: RFC 3986 §2.1; what stays as it is when encoding is Go's `url.URL.EscapedPath`.
public enum URLCoding {
  /// The bytes that a path or a query's part stands for.
  /// - Parameter plusIsSpace: in a query and a form `+` is a blank, in a path it is itself.
  /// - Returns: `nil` for a percent sign without two hexadecimal digits; Go answers it with 400.
  public static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> Bytes? {
    let input = Array(text.utf8)
    var out = ByteWriter(capacity: input.count)
    var at = 0
    while at < input.count {
      switch input[at] {
      case UInt8(ascii: "%"):
        guard at + 2 < input.count, let high = input[at + 1].hexValue,
          let low = input[at + 2].hexValue
        else { return nil }
        out.append(high << 4 | low)
        at += 3
      case UInt8(ascii: "+") where plusIsSpace:
        out.append(0x20)
        at += 1
      default:
        out.append(input[at])
        at += 1
      }
    }
    return out.finish()
  }

  /// A path whose bytes may all appear in a request line.
  public static func encodePath(_ path: Bytes) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in path {
      if isPlain(byte) {
        out.append(byte)
      } else {
        out += [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    case 0x24, 0x26, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x3a, 0x3b, 0x3d, 0x40, 0x5f, 0x7e: true
    default: false
    }
  }
}
