import Bytes
import EtcdAPI
import Foundation
import Protobuf

/// Request bodies for the load: one gRPC message each.
enum Bodies {
  /// 16 bytes.
  static let key: Bytes = "bench/key/000000"

  /// 256 bytes that do not compress.
  static let value = noise(256)

  /// Bytes that do not compress, the same in every run.
  static func noise(_ count: Int) -> Bytes {
    // A fixed xorshift sequence.
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return Bytes(
      (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state)
      })
  }

  /// 16 bytes; neighbouring numbers are not neighbouring keys.
  static func key(_ number: Int) -> Bytes {
    let mixed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
    let digits = String(mixed, radix: 16)
    return Bytes(String(repeating: "0", count: 16 - digits.count) + digits)
  }

  static let put = Etcdserverpb.PutRequest(key: key, value: value).encoded()
  static let range = Etcdserverpb.RangeRequest(key: key).encoded()

  /// Compares the version of the key, puts it and reads it back.
  static let txn: Bytes = {
    let compare = Etcdserverpb.Compare(
      result: .greater, target: .version, key: key, targetUnion: .version(0))
    let put = Etcdserverpb.PutRequest(key: key, value: value)
    return Etcdserverpb.TxnRequest(
      compare: [compare],
      success: [
        Etcdserverpb.RequestOp(request: .requestPut(put)),
        Etcdserverpb.RequestOp(request: .requestRange(Etcdserverpb.RangeRequest(key: key))),
      ]
    ).encoded()
  }()

  /// Writes a message with its gRPC prefix: no compression, length in four bytes.
  static func write(_ message: Bytes, to path: String) throws(BenchError) {
    var writer = ByteWriter(capacity: message.count + 5)
    writer.append(0)
    writer.appendBigEndian(UInt32(message.count))
    writer.append(message)
    guard FileManager.default.createFile(atPath: path, contents: Data(writer.finish())) else {
      throw BenchError("cannot write \(path)")
    }
  }
}
