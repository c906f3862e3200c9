import Auth
import EtcdAPI
import Protobuf

/// The requests that nearly all entries hold, read from InternalRaftRequest without the other thirty
/// fields: that message has more than 1000 bytes, which every entry would set up and take down.
struct DataRequest: WireDecodable {
  /// From field `ID`, or else from the header.
  var id: RequestID { RequestID(topID != 0 ? topID : header.id) }
  private(set) var put: Etcdserverpb.PutRequest?
  private(set) var txn: Etcdserverpb.TxnRequest?
  /// Who proposed it; asked for only while auth is on.
  var caller: AuthInfo { AuthInfo(header) }
  private var topID: UInt64 = 0
  private var header = Etcdserverpb.RequestHeader()
  private var holdsOther = false
  // Comparing `put` and `txn` with nil copies them; every entry asks.
  private(set) var isPut = false
  private var isTxn = false

  /// Whether the entry holds one put or one transaction and nothing else.
  var isComplete: Bool { !holdsOther && isPut != isTxn }

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: topID = try reader.varint()
    case 4:
      isPut = true
      try reader.message(into: &put)
    case 6:
      isTxn = true
      try reader.message(into: &txn)
    case 100: try reader.message(into: &header)
    default:
      holdsOther = true
      try reader.skip()
    }
  }
}
