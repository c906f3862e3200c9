import Bytes
import EtcdAPI
import Protobuf

/// What of a request for keys decides how it is served; the rest is left as it came.
struct RangePeek: WireDecodable {
  var key = Bytes()
  var end = Bytes()
  var revision: Int64 = 0
  var isSerializable = false

  init() {}

  mutating func merge(field number: UInt32, from reader: inout WireReader) throws(ProtobufError) {
    switch number {
    case 1: key = try reader.bytes()
    case 2: end = try reader.bytes()
    case 4: revision = try reader.varint() as Int64
    case 7: isSerializable = try reader.varint() as Bool
    default: try reader.skip()
    }
  }
}

/// The keys that a put or a deletion is about: the first fields of both.
struct WritePeek: WireDecodable {
  var key = Bytes()
  /// Empty for a put, whose second field is the value.
  var second = Bytes()

  init() {}

  mutating func merge(field number: UInt32, from reader: inout WireReader) throws(ProtobufError) {
    switch number {
    case 1: key = try reader.bytes()
    case 2: second = try reader.bytes()
    default: try reader.skip()
    }
  }
}

/// The revision of an answer.
struct HeaderPeek: WireDecodable {
  var header = Etcdserverpb.ResponseHeader()
  init() {}

  mutating func merge(field number: UInt32, from reader: inout WireReader) throws(ProtobufError) {
    if number == 1 { try reader.message(into: &header) } else { try reader.skip() }
  }
}

extension Etcdserverpb.TxnRequest {
  /// All keys that it may write or has compared; what it really did is not looked at.
  var intervals: [RangeCache.Interval] {
    compare.map { .init(key: $0.key, end: $0.rangeEnd) }
      + (success + failure).flatMap { operation -> [RangeCache.Interval] in
        switch operation.request {
        case .requestPut(let put): [.init(key: put.key, end: Bytes())]
        case .requestDeleteRange(let range): [.init(key: range.key, end: range.rangeEnd)]
        case .requestTxn(let txn): txn.intervals
        case .requestRange, nil: []
        }
      }
  }
}
