import Bytes
import Calls
import EtcdAPI
import MVCC
import Protobuf

extension KVResult {
  /// Responses up to this size are written into one buffer; larger ones are sent row by row.
  static let joinedBytesMax = 64 << 10

  /// The response as it is sent: small ones as one buffer, a large range as slices of the store that
  /// are fetched as the client takes them.
  func body(header: Etcdserverpb.ResponseHeader) -> MessageBody {
    guard case .range(let result) = self,
      result.rows.reduce(0, { $0 + $1.count }) > Self.joinedBytesMax
    else {
      let response = response(header: header)
      return .framed(response.size) { response.encode(into: &$0) }
    }
    var header = header
    header.revision = result.revision
    return RowStream(result, header: header).body
  }
}

/// A large range response, fetched piece by piece. Confined to the loop that sends it.
private final class RowStream {
  private let rows: [Bytes]
  private var next = 0
  private let head: Bytes
  private var tail = Bytes()
  private let length: Int

  init(_ result: RangeResult, header: Etcdserverpb.ResponseHeader) {
    rows = result.rows
    var start = ByteWriter(capacity: 64)
    start.append(0x0a)
    start.appendVarint(UInt64(header.encodedSize))
    header.encode(into: &start)
    var end = ByteWriter(capacity: 16)
    if result.more {
      end.append(0x18)
      end.append(1)
    }
    if result.count != 0 {
      end.append(0x20)
      end.appendVarint(UInt64(bitPattern: result.count))
    }
    head = start.finish()
    tail = end.finish()
    length =
      head.count + tail.count
      + rows.reduce(0) { $0 + 1 + WireSize.delimited($1.count) }
  }

  var body: MessageBody { .pieces(length: length, first: head) { self.nextPiece() } }

  private static let pieceBytes = 16 << 10
  private var pendingRow: Bytes?

  /// Many small rows make one piece; a large row is a slice of its own.
  private func nextPiece() -> Bytes {
    if let row = pendingRow {
      pendingRow = nil
      return row
    }
    var writer = ByteWriter(capacity: Self.pieceBytes)
    while next < rows.count, writer.count < Self.pieceBytes {
      let row = rows[next]
      next += 1
      writer.append(0x12)
      writer.appendVarint(UInt64(row.count))
      if row.count > Self.pieceBytes / 4 {
        pendingRow = row
        return writer.finish()
      }
      writer.append(row)
    }
    if next == rows.count, pendingRow == nil, !tail.isEmpty {
      writer.append(tail)
      tail = Bytes()
    }
    return writer.finish()
  }
}
