import Bytes

/// Percent coding of `grpc-message`: printable ASCII except the percent sign stays.
enum PercentCoding {
  static func encode(_ text: String) -> Bytes {
    var out = ByteWriter(capacity: text.utf8.count)
    let hex: StaticString = "0123456789ABCDEF"
    for byte in text.utf8 {
      if byte >= 0x20 && byte < 0x7f && byte != 0x25 {
        out.append(byte)
      } else {
        out.append(0x25)
        out.append(hex.utf8Start[Int(byte >> 4)])
        out.append(hex.utf8Start[Int(byte & 15)])
      }
    }
    return out.finish()
  }

  /// Malformed escapes stay as they are.
  static func decode(_ bytes: Bytes) -> String {
    var out = ByteWriter(capacity: bytes.count)
    var at = 0
    while at < bytes.count {
      if bytes[at] == 0x25, at + 2 < bytes.count, let high = bytes[at + 1].hexValue,
        let low = bytes[at + 2].hexValue
      {
        out.append(high << 4 | low)
        at += 3
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return out.finish().string
  }
}
