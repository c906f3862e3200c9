import Bytes
import EtcdAPI
import Protobuf

/// Reads the records of one segment, front to back, verifying the checksum chain.
struct SegmentReader {
  enum Step {
    case record(Record)
    /// A zero length or the end of the file.
    case end
  }

  let path: String
  let bytes: Bytes
  /// Only the last segment may end in a torn record.
  let isLast: Bool
  /// Running checksum after the last record.
  private(set) var crc: UInt32
  /// Offset behind the last good record.
  private(set) var validEnd = 0

  init(path: String, bytes: Bytes, isLast: Bool, crc: UInt32) {
    self.path = path
    self.bytes = bytes
    self.isLast = isLast
    self.crc = crc
  }

  /// - Throws: `torn` for a cut-off or partly written record at the end of the last segment;
  ///   `crcMismatch` or `malformed` for damage anywhere else.
  mutating func next() throws(WALError) -> Step {
    var reader = ByteReader(bytes[validEnd..<bytes.count])
    guard let length = reader.readLittleEndian(UInt64.self) else {
      return try endOfFile(reader.remaining)
    }
    if length == 0 { return .end }
    let size = Int(length & ~(0xff << 56))
    let padding = length >> 63 == 1 ? Int((length >> 56) & 7) : 0
    guard size + padding <= reader.remaining else {
      throw problem(
        isLast ? .torn : .malformed,
        "record of \(size + padding) bytes exceeds the \(reader.remaining) bytes left")
    }
    let body = reader.read(size + padding)!
    let record: Record
    do throws(WALError) { record = try decode(body[0..<size]) } catch {
      if isTorn(body) { throw problem(.torn, error.description) }
      throw error
    }
    if record.kind == .crc {
      // A segment opens with the checksum that the one before ended with.
      if crc != 0 && crc != record.crc { throw crcProblem(body, expected: crc, got: record.crc) }
      crc = record.crc
    } else {
      let running = CRC32C.update(crc, record.data)
      guard running == record.crc else {
        throw crcProblem(body, expected: record.crc, got: running)
      }
      crc = running
    }
    validEnd += Record.frameBytes + body.count
    return .record(record)
  }

  /// Fewer bytes than a length field: the end, or a torn length.
  private func endOfFile(_ left: Int) throws(WALError) -> Step {
    if left == 0 { return .end }
    throw problem(isLast ? .torn : .malformed, "\(left) bytes are too few for a record length")
  }

  private func decode(_ body: Bytes) throws(WALError) -> Record {
    do {
      let wire = try Walpb.Record.decode(body)
      guard let kind = Record.Kind(rawValue: UInt64(bitPattern: wire.type)) else {
        throw problem(.malformed, "unexpected block type \(wire.type)")
      }
      return Record(kind: kind, crc: wire.crc, data: wire.data)
    } catch let error as WALError {
      throw error
    } catch {
      throw problem(.malformed, "record is not decodable: \(error)")
    }
  }

  private func crcProblem(_ body: Bytes, expected: UInt32, got: UInt32) -> WALError {
    isTorn(body)
      ? problem(.torn, "record was partly written")
      : problem(
        .crcMismatch,
        "crc mismatch: expected \(String(expected, radix: 16)), computed "
          + "\(String(got, radix: 16))")
  }

  /// A torn write of the last record leaves a sector that is all zero.
  /// - Source: etcd `decoder.isTornEntry`.
  private func isTorn(_ body: Bytes) -> Bool {
    guard isLast else { return false }
    var offset = 0
    while offset < body.count {
      let inFile = validEnd + Record.frameBytes + offset
      let chunk = Swift.min(Record.sectorBytes - inFile % Record.sectorBytes, body.count - offset)
      if body[offset..<(offset + chunk)].allSatisfy({ $0 == 0 }) { return true }
      offset += chunk
    }
    return false
  }

  func problem(_ reason: WALError.Reason, _ text: String) -> WALError {
    WALError(reason, "wal: \(path) at offset \(validEnd): \(text)")
  }
}
