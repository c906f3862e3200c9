import Bytes
import EtcdAPI
import Glibc
import Protobuf

/// Every message of every package.
let allMessages: [any ProtobufMessage.Type] =
  Authpb.messages + Etcdserverpb.messages + GoogleProtobuf.messages + GoogleRpc.messages
  + GrpcHealthV1.messages + Leasepb.messages + Membershippb.messages + Mvccpb.messages
  + Raftpb.messages + Snappb.messages + V3electionpb.messages + V3lockpb.messages
  + Walpb.messages

/// SplitMix64; the seed is printed so that a failure can be repeated with `ETCD_TEST_SEED`.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// A generator with a fresh seed, or the one asked for.
  static func printed(_ test: String) -> Random {
    let asked = getenv("ETCD_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
    let seed = asked ?? UInt64.random(in: 1...UInt64(UInt32.max))
    print("\(test): ETCD_TEST_SEED=\(seed)")
    return Random(seed: seed)
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Makes messages of a type that it knows only through the type's decoder: a field exists with a
/// wire type when the decoder accepts it and keeps its value.
struct MessageMaker<M: ProtobufMessage> {
  private var varints: [UInt64] = []
  private var delimited: [UInt64] = []
  private let values: [UInt64]

  init(_: M.Type) {
    // Packages with closed enums keep only numbers that have a name.
    let closed = M.fullName.hasPrefix("raftpb.") || M.fullName.hasPrefix("walpb.")
    values = closed ? [0, 1, 2] : [0, 1, 2, 127, 128, 1 << 31, 1 << 63, UInt64.max]
    for number in Array(1...20) + [64, 100, 1000] + Array(1010...1014) + Array(1100...1107)
      + Array(1200...1204) + Array(1300...1302) + [9900] as [UInt64]
    {
      if Self.keeps(Self.varint(number, 1)) { varints.append(number) }
      if Self.keeps(Self.field(number, [])) || Self.keeps(Self.field(number, [0x08, 0x01]))
        || Self.keeps(Self.field(number, [0x0a, 0x00]))
      {
        delimited.append(number)
      }
    }
  }

  private static func keeps(_ bytes: Bytes) -> Bool {
    ((try? M.decode(bytes)) ?? M()) != M()
  }

  private static func varint(_ number: UInt64, _ value: UInt64) -> Bytes {
    var writer = ByteWriter()
    writer.appendVarint(number << 3)
    writer.appendVarint(value)
    return writer.finish()
  }

  private static func field(_ number: UInt64, _ payload: Bytes) -> Bytes {
    var writer = ByteWriter()
    writer.appendVarint(number << 3 | 2)
    writer.appendVarint(UInt64(payload.count))
    writer.append(payload)
    return writer.finish()
  }

  /// Bytes that are likely both a text and a message with some fields.
  private func payload(_ random: inout Random, depth: Int) -> Bytes {
    var writer = ByteWriter()
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      let number = UInt64.random(in: 1...8, using: &random)
      if Bool.random(using: &random) {
        writer.append(Self.varint(number, values.randomElement(using: &random)!))
      } else {
        let inner = depth == 0 ? Bytes("abc") : payload(&random, depth: depth - 1)
        writer.append(Self.field(number, inner))
      }
    }
    return writer.finish()
  }

  /// A message with a random choice of its fields.
  func make(_ random: inout Random) -> M {
    var bytes = Bytes()
    for _ in 0..<12 {
      let addition: Bytes
      if let number = varints.randomElement(using: &random), Bool.random(using: &random) {
        addition = Self.varint(number, values.randomElement(using: &random)!)
      } else if let number = delimited.randomElement(using: &random) {
        addition = Self.field(number, payload(&random, depth: 3))
      } else {
        continue
      }
      var writer = ByteWriter()
      writer.append(bytes)
      writer.append(addition)
      let longer = writer.finish()
      if (try? M.decode(longer)) != nil { bytes = longer }
    }
    return (try? M.decode(bytes)) ?? M()
  }

  /// Whether any field was found.
  var hasFields: Bool { !varints.isEmpty || !delimited.isEmpty }
}
