import Bytes
import Calls

extension Metadata {
  /// What a name that ends in `-bin` has on the wire: without padding, as gRPC asks senders to do.
  static func encodeBinary(_ value: Bytes) -> Bytes { Base64.rawStandard.encode(value) }

  /// With or without padding; `nil` for anything that is not base64.
  /// - Source: grpc-go's `decodeBinHeader`.
  package static func decodeBinary(_ value: Bytes) -> Bytes? {
    (value.count % 4 == 0 ? Base64.standard : .rawStandard).decode(value)
  }
}

/// `grpc-timeout`: at most 8 digits and a unit.
package enum TimeoutCoding {
  /// Longest timeout in nanoseconds, 292 years: grpc-go's `maxInt64`.
  static let nanosecondsMax = UInt64(Int64.max)

  /// Nanoseconds, at most `nanosecondsMax`; `nil` when malformed.
  /// - Source: grpc-go's `decodeTimeout`, which clamps what a `time.Duration` cannot hold: hours beyond
  ///   2,562,047.
  package static func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64? {
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
