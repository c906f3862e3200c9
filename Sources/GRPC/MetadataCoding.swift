import Bytes
import Calls

/// Base64 of RFC 4648 with or without padding.
enum Base64 {
  private static let alphabet: StaticString =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

  /// Without padding, as gRPC asks senders to do.
  static func encode(_ bytes: Bytes) -> Bytes {
    var out = ByteWriter(capacity: (bytes.count * 4 + 2) / 3)
    var accumulator: UInt32 = 0
    var bits = 0
    for byte in bytes {
      accumulator = accumulator << 8 | UInt32(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        out.append(alphabet.utf8Start[Int(accumulator >> UInt32(bits) & 63)])
      }
    }
    if bits > 0 { out.append(alphabet.utf8Start[Int(accumulator << UInt32(6 - bits) & 63)]) }
    return out.finish()
  }

  /// `nil` for anything that is not base64.
  static func decode(_ bytes: Bytes) -> Bytes? {
    var end = bytes.count
    while end > 0, bytes.count - end < 2, bytes[end - 1] == 0x3d { end -= 1 }
    guard end % 4 != 1 else { return nil }
    var out = ByteWriter(capacity: end * 3 / 4 + 1)
    var accumulator: UInt32 = 0
    var bits = 0
    for index in 0..<end {
      let value: UInt8
      switch bytes[index] {
      case 0x41...0x5a: value = bytes[index] - 0x41
      case 0x61...0x7a: value = bytes[index] - 0x61 + 26
      case 0x30...0x39: value = bytes[index] - 0x30 + 52
      case 0x2b: value = 62
      case 0x2f: value = 63
      default: return nil
      }
      accumulator = accumulator << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: accumulator >> UInt32(bits)))
      }
    }
    return out.finish()
  }
}

/// `grpc-timeout`: at most 8 digits and a unit.
enum TimeoutCoding {
  /// Longest timeout in nanoseconds, 292 years: grpc-go's `maxInt64`.
  static let nanosecondsMax = UInt64(Int64.max)

  /// Nanoseconds, at most `nanosecondsMax`; `nil` when malformed.
  /// - Source: grpc-go's `decodeTimeout`, which clamps what a `time.Duration` cannot hold: hours beyond
  ///   2,562,047.
  static func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64? {
    guard bytes.count >= 2, bytes.count <= 9 else { return nil }
    var value: UInt64 = 0
    for byte in bytes.dropLast() {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + UInt64(byte - 0x30)
    }
    guard let unit = nanoseconds(unit: bytes[bytes.count - 1]) else { return nil }
    let (product, overflow) = value.multipliedReportingOverflow(by: unit)
    return overflow ? nanosecondsMax : min(product, nanosecondsMax)
  }

  private static func nanoseconds(unit: UInt8) -> UInt64? {
    switch unit {
    case UInt8(ascii: "H"): 3_600_000_000_000
    case UInt8(ascii: "M"): 60_000_000_000
    case UInt8(ascii: "S"): 1_000_000_000
    case UInt8(ascii: "m"): 1_000_000
    case UInt8(ascii: "u"): 1_000
    case UInt8(ascii: "n"): 1
    default: nil
    }
  }

  static func encode(nanoseconds: UInt64) -> String {
    let steps: [(UInt64, String)] = [
      (1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S"), (60_000_000_000, "M"),
    ]
    for (unit, name) in steps {
      let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: unit)
      let count = rest == 0 ? whole : whole + 1
      if count < 100_000_000 { return "\(count)\(name)" }
    }
    return "\(min(nanoseconds / 3_600_000_000_000, 99_999_999))H"
  }
}
