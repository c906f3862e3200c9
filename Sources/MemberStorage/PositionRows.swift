import Bolt
import Bytes

/// The raft position of a database that no member has open, as `MVCCStore.freeze` writes it for those that do.
///
/// - Source: etcd 3.5 `schema/cindex.go`; a database of 3.4 has no term.
extension BoltOperation {
  static let indexKey: Bytes = "consistent_index"
  static let termKey: Bytes = "term"

  static func position(index: UInt64) -> BoltOperation {
    BoltOperation(key: indexKey, value: bigEndian(index))
  }

  static func position(term: UInt64) -> BoltOperation {
    BoltOperation(key: termKey, value: bigEndian(term))
  }

  private static func bigEndian(_ value: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(value)
    return writer.finish()
  }
}
