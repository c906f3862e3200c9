import Bytes
import EtcdAPI
import JSON
import Protobuf

extension FuzzTarget {
  private static let types: [any ProtobufMessage.Type] =
    Authpb.messages + Etcdserverpb.messages + GrpcHealthV1.messages + Leasepb.messages
    + Membershippb.messages + Mvccpb.messages + Raftpb.messages + Snappb.messages
    + V3electionpb.messages + V3lockpb.messages + Walpb.messages

  /// Every message: the first byte chooses.
  static let messages: [FuzzTarget] = [
    FuzzTarget("protobuf") { bytes in
      guard let (number, rest) = choice(bytes, among: types.count) else { return }
      wire(types[number], rest)
    },
    FuzzTarget("protobuf-json", seeds: [Bytes("\u{1e}{\"key\":\"Zm9v\",\"value\":\"YmFy\"}")]) {
      bytes in
      guard let (number, rest) = choice(bytes, among: types.count) else { return }
      json(types[number], rest)
    },
    // What members tell each other most, and what a log holds.
    FuzzTarget("raft-message") { wire(Raftpb.Message.self, $0) },
    FuzzTarget("raft-request") { wire(Etcdserverpb.InternalRaftRequest.self, $0) },
    FuzzTarget("txn") { wire(Etcdserverpb.TxnRequest.self, $0) },
  ]

  private static func wire<M: ProtobufMessage>(_ type: M.Type, _ bytes: Bytes) {
    guard let message = try? type.decode(bytes) else { return }
    let written = message.encoded()
    precondition(written.count == message.encodedSize, "\(type.fullName): another size")
    guard let again = try? type.decode(written) else {
      preconditionFailure("\(type.fullName): what was written is not read")
    }
    precondition(again.encoded() == written, "\(type.fullName): it changes when it is written")
  }

  private static func json<M: ProtobufMessage>(_ type: M.Type, _ bytes: Bytes) {
    guard let message = try? type.init(json: bytes) else { return }
    let written = message.json()
    guard let again = try? type.init(json: written) else {
      preconditionFailure("\(type.fullName): what was written is not read: \(written.string)")
    }
    precondition(again.encoded() == message.encoded(), "\(type.fullName): it changes as JSON")
  }
}
