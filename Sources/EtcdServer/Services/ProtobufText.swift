import Bytes
import EtcdAPI
import Protobuf

/// Requests in the one-line text form of Protobuf, as the log shows them.
///
/// - Source: `proto.CompactTextString` of golang/protobuf; what is said of transactions: etcd
///   `etcdserverpb/raft_internal_stringer.go`.
enum ProtobufText {
  /// Characters of a key that are shown.
  private static let keyShownMax = 1_024

  static func text(_ request: Etcdserverpb.RangeRequest) -> String {
    var out = ""
    func add(_ name: String, _ value: Int64) { if value != 0 { out += "\(name):\(value) " } }
    func add(_ name: String, _ flag: Bool) { if flag { out += "\(name):true " } }
    func add(_ name: String, _ bytes: Bytes) {
      if !bytes.isEmpty { out += "\(name):\(quoted(bytes)) " }
    }
    func add(_ name: String, _ value: some ProtobufEnum) {
      if value.rawValue != 0 { out += "\(name):\(value.protoName ?? String(value.rawValue)) " }
    }
    add("key", request.key)
    add("range_end", request.rangeEnd)
    add("limit", request.limit)
    add("revision", request.revision)
    add("sort_order", request.sortOrder)
    add("sort_target", request.sortTarget)
    add("serializable", request.serializable)
    add("keys_only", request.keysOnly)
    add("count_only", request.countOnly)
    add("min_mod_revision", request.minModRevision)
    add("max_mod_revision", request.maxModRevision)
    add("min_create_revision", request.minCreateRevision)
    add("max_create_revision", request.maxCreateRevision)
    return out
  }

  /// - Parameter request: one that only reads.
  static func text(_ request: Etcdserverpb.TxnRequest) -> String {
    func operations(_ name: String, _ list: [Etcdserverpb.RequestOp]) -> String {
      list.isEmpty ? "" : "\(name):<\(list.map(text).joined(separator: " "))> "
    }
    let compares = request.compare.map { "key:\(quoted($0.key))" }.joined(separator: " ")
    return "compare:<\(compares)> " + operations("success", request.success)
      + operations("failure", request.failure)
  }

  private static func text(_ operation: Etcdserverpb.RequestOp) -> String {
    switch operation.request {
    case .requestRange(let range): "request_range:<\(text(range))>"
    case .requestTxn(let nested): "request_txn:<\(text(nested))>"
    default: ""
    }
  }

  /// A key as traces have it: as it is.
  static func shown(_ key: Bytes) -> String { key[0..<Swift.min(key.count, keyShownMax)].string }

  /// In double quotes, with the octal escapes of C.
  private static func quoted(_ bytes: Bytes) -> String {
    var out = "\""
    for byte in bytes.prefix(keyShownMax) {
      switch byte {
      case UInt8(ascii: "\n"): out += "\\n"
      case UInt8(ascii: "\r"): out += "\\r"
      case UInt8(ascii: "\t"): out += "\\t"
      case UInt8(ascii: "\""): out += "\\\""
      case UInt8(ascii: "\\"): out += "\\\\"
      case 0x20..<0x7f: out.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 8)
        out += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
      }
    }
    return out + (bytes.count > keyShownMax ? "…\"" : "\"")
  }
}
