import Bytes
import Protobuf

/// One record of a segment.
///
/// ```
/// length i64 LE: low 56 bits = bytes of the record; if padded, top byte = 0x80 | padding
/// record: protobuf {1 type i64, 2 crc u32, 3 data bytes}
/// zeros up to a multiple of 8
/// ```
/// `crc` is the running CRC-32C over the data of every record so far. A zero length is the end.
///
/// - Source: etcd `wal/encoder.go`, `walpb/record.proto`.
struct Record {
  enum Kind: UInt64 {
    case metadata = 1
    case entry = 2
    case state = 3
    case crc = 4
    case snapshot = 5
  }

  var kind: Kind
  var crc: UInt32
  var data: Bytes

  static let frameBytes = 8
  /// A torn write loses whole sectors.
  static let sectorBytes = 512

  /// Appends a framed record and returns its running checksum.
  static func append(
    _ kind: Kind, crc: UInt32, data: UnsafeRawBufferPointer?, to out: inout ByteWriter
  ) {
    var size = 2 + 1 + WireSize.of(UInt64(crc))
    if let data { size += 1 + WireSize.of(UInt64(data.count)) + data.count }
    let padding = (8 - size % 8) % 8
    var length = UInt64(size)
    if padding != 0 { length |= UInt64(0x80 | padding) << 56 }
    out.reserve(frameBytes + size + padding)
    out.appendLittleEndian(length)
    out.append(0x08)
    out.append(UInt8(kind.rawValue))
    out.append(0x10)
    out.appendVarint(UInt64(crc))
    if let data {
      out.append(0x1a)
      out.appendVarint(UInt64(data.count))
      out.append(data)
    }
    out.append(repeating: 0, count: padding)
  }
}
