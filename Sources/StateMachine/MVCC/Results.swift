import Bytes
import EtcdAPI
import Protobuf

/// Key-value pairs are carried as they are stored: encoded mvccpb.KeyValue, embedded into a response
/// without decoding.
public struct RangeResult: Sendable {
  /// Revision that the reader saw as current.
  public var revision: Int64
  /// Encoded mvccpb.KeyValue in the order asked for.
  public var rows: [Bytes] = []
  /// More keys than the limit.
  public var more = false
  /// Keys in the range, regardless of the limit.
  public var count: Int64 = 0
}

/// What an operation inside a transaction, or a request of its own, returned.
public enum KVResult: Sendable {
  case range(RangeResult)
  case put(revision: Int64, previous: Bytes?)
  case deleteRange(revision: Int64, deleted: Int64, previous: [Bytes])
  case txn(revision: Int64, succeeded: Bool, responses: [KVResult])
  case compaction(revision: Int64)
  /// A range, or a deletion with its pairs, of very many keys inside a transaction; see `completed`.
  indirect case pending(PendingRead)

  /// Revision for the response header.
  public var revision: Int64 {
    switch self {
    case .range(let result): return result.revision
    case .put(let revision, _), .deleteRange(let revision, _, _), .txn(let revision, _, _),
      .compaction(let revision):
      return revision
    case .pending(let read): return read.revision
    }
  }
}

extension KVResult {
  /// The response message: RangeResponse, PutResponse, ….
  ///
  /// Sizes are computed first, then everything is written once.
  /// - Parameter header: cluster, member and term; its revision is replaced by the result's.
  public func encoded(header: Etcdserverpb.ResponseHeader) -> Bytes {
    let response = response(header: header)
    var writer = ByteWriter(capacity: response.size)
    response.encode(into: &writer)
    return writer.finish()
  }

  /// The response message, measured.
  public func response(header: Etcdserverpb.ResponseHeader) -> KVResponse {
    KVResponse(self, header: header)
  }

  /// Bytes of the response without its header.
  fileprivate var bodySize: Int {
    switch self {
    case .range(let result):
      return result.rows.reduce(0) { $0 + Self.messageSize($1.count) }
        + (result.more ? 2 : 0) + Self.varintField(result.count)
    case .put(_, let previous): return previous.map { Self.messageSize($0.count) } ?? 0
    case .deleteRange(_, let deleted, let previous):
      return Self.varintField(deleted) + previous.reduce(0) { $0 + Self.messageSize($1.count) }
    case .txn(_, let succeeded, let responses):
      return (succeeded ? 2 : 0)
        + responses.reduce(0) { $0 + Self.messageSize(Self.messageSize($1.nestedSize)) }
    case .compaction: return 0
    case .pending: preconditionFailure("what is still to be read is encoded")
    }
  }

  /// Bytes of the response inside a transaction: its header holds only the revision.
  private var nestedSize: Int { Self.messageSize(nestedHeaderSize) + bodySize }

  private var nestedHeaderSize: Int {
    if case .txn(0, _, _) = self { return 0 }
    return revision == 0 ? 0 : 1 + WireSize.of(UInt64(bitPattern: revision))
  }

  fileprivate func appendBody(to writer: inout ByteWriter) {
    switch self {
    case .range(let result):
      for row in result.rows { Self.appendMessage(2, row, &writer) }
      if result.more { Self.appendVarintField(3, 1, &writer) }
      Self.appendVarintField(4, result.count, &writer)
    case .put(_, let previous): if let previous { Self.appendMessage(2, previous, &writer) }
    case .deleteRange(_, let deleted, let previous):
      Self.appendVarintField(2, deleted, &writer)
      for row in previous { Self.appendMessage(3, row, &writer) }
    case .txn(_, let succeeded, let responses):
      if succeeded { Self.appendVarintField(2, 1, &writer) }
      for response in responses { response.appendOperation(to: &writer) }
    case .compaction, .pending: break
    }
  }

  /// A ResponseOp: field 3 of TxnResponse, holding one of range 1, put 2, delete 3, txn 4.
  private func appendOperation(to writer: inout ByteWriter) {
    let size = nestedSize
    Self.appendTag(3, Self.messageSize(size), &writer)
    let field: UInt64
    switch self {
    case .range: field = 1
    case .put: field = 2
    case .deleteRange: field = 3
    case .txn: field = 4
    case .compaction, .pending: preconditionFailure("no result of an operation")
    }
    Self.appendTag(field, size, &writer)
    Self.appendTag(1, nestedHeaderSize, &writer)
    if nestedHeaderSize > 0 { Self.appendVarintField(3, revision, &writer) }
    appendBody(to: &writer)
  }

  /// Tag, length and payload of a field numbered below 16.
  fileprivate static func messageSize(_ payload: Int) -> Int {
    1 + WireSize.delimited(payload)
  }

  private static func varintField(_ value: Int64) -> Int {
    value == 0 ? 0 : 1 + WireSize.of(UInt64(bitPattern: value))
  }

  fileprivate static func appendTag(_ field: UInt64, _ length: Int, _ writer: inout ByteWriter) {
    writer.append(UInt8(field << 3 | 2))
    writer.appendVarint(UInt64(length))
  }

  private static func appendMessage(_ field: UInt64, _ payload: Bytes, _ writer: inout ByteWriter) {
    appendTag(field, payload.count, &writer)
    writer.append(payload)
  }

  private static func appendVarintField(
    _ field: UInt64, _ value: Int64, _ writer: inout ByteWriter
  ) {
    guard value != 0 else { return }
    writer.append(UInt8(field << 3))
    writer.appendVarint(UInt64(bitPattern: value))
  }
}

/// A response message ready to be written.
public struct KVResponse {
  private let result: KVResult
  private let header: Etcdserverpb.ResponseHeader
  private let headerSize: Int
  /// Bytes of the message.
  public let size: Int

  init(_ result: KVResult, header: Etcdserverpb.ResponseHeader) {
    self.result = result
    var header = header
    header.revision = result.revision
    self.header = header
    headerSize = header.encodedSize
    size = result.bodySize + KVResult.messageSize(headerSize)
  }

  /// Appends exactly `size` bytes.
  public func encode(into writer: inout ByteWriter) {
    KVResult.appendTag(1, headerSize, &writer)
    header.encode(into: &writer)
    result.appendBody(to: &writer)
  }
}
