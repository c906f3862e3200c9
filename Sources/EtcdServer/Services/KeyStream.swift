import Bytes
import Calls
import EtcdAPI
import MVCC
import Protobuf

/// A LeaseTimeToLiveResponse with many keys, written piece by piece as the client takes it: however many
/// ask at once, none of the answers is in memory as a whole. Confined to the loop that sends it.
final class KeyStream {
  private var keys: LeaseKeys.Iterator
  private let head: Bytes
  private let length: Int

  private static let pieceBytes = 16 << 10
  /// `repeated bytes keys = 5`.
  private static let keyTag: UInt8 = 0x2a

  /// - Parameter response: without its keys.
  init(_ response: Etcdserverpb.LeaseTimeToLiveResponse, _ keys: LeaseKeys) {
    head = response.encoded()
    length = head.count + keys.fieldBytes
    self.keys = keys.makeIterator()
  }

  var body: MessageBody { .pieces(length: length, first: head) { self.nextPiece() } }

  private func nextPiece() -> Bytes {
    var writer = ByteWriter(capacity: Self.pieceBytes)
    while writer.count < Self.pieceBytes, let key = keys.next() {
      Self.append(key, to: &writer)
    }
    return writer.finish()
  }

  /// Writes a key as its field of the response.
  static func append(_ key: Bytes, to writer: inout ByteWriter) {
    writer.append(keyTag)
    writer.appendVarint(UInt64(key.count))
    writer.append(key)
  }
}
