import Bytes
import EtcdAPI
import Protobuf
import Testing

/// Hostile input ends in a value or a `ProtobufError`.
@Suite struct MalformedTests {
  private func error<M: ProtobufMessage>(_ type: M.Type, _ bytes: Bytes) -> ProtobufError? {
    do {
      _ = try M.decode(bytes)
      return nil
    } catch {
      return error
    }
  }

  @Test func errors() {
    typealias Put = Etcdserverpb.PutRequest
    #expect(error(Put.self, [0x0a]) == .truncated)
    #expect(error(Put.self, [0x0a, 5, 1]) == .truncated)
    #expect(error(Put.self, [0x18]) == .truncated)
    #expect(error(Put.self, [0x18, 0x80]) == .truncated)
    let ones = [UInt8](repeating: 0xff, count: 9)
    #expect(error(Put.self, Bytes([0x0a] + ones + [1])) == .truncated)
    #expect(error(Put.self, Bytes([0x18] + ones + [2])) == .malformedVarint)
    #expect(error(Put.self, Bytes([0x18] + ones + [0x80, 0])) == .malformedVarint)
    #expect(error(Put.self, [0x00, 0]) == .invalidKey)
    #expect(error(Put.self, [0x0e]) == .invalidKey)
    #expect(error(Put.self, [0x80, 0x80, 0x80, 0x80, 0x10, 0]) == .invalidKey)
    #expect(error(Put.self, [0x08, 1]) == .wrongWireType(field: 1))
    #expect(error(Put.self, [0x1a, 0]) == .wrongWireType(field: 3))
    #expect(error(Put.self, [0xfc, 7]) == .unmatchedGroup)
    #expect(error(Put.self, [0xfb, 7]) == .truncated)
    #expect(error(Put.self, [0xfb, 7, 0x0c]) == .unmatchedGroup)
    #expect(error(Put.self, [0xf9, 7, 1]) == .truncated)
    #expect(error(Etcdserverpb.Member.self, [0x12, 1, 0xff]) == .invalidUTF8(field: 2))
    #expect(error(Etcdserverpb.Request.self, [0x12, 1, 0xff]) == nil)
  }

  /// A raft message inside `levels` others.
  private func nested(_ levels: Int) -> Bytes {
    var bytes = Bytes()
    for _ in 0..<levels {
      var writer = ByteWriter()
      writer.appendVarint(14 << 3 | 2)
      writer.appendVarint(UInt64(bytes.count))
      writer.append(bytes)
      bytes = writer.finish()
    }
    return bytes
  }

  @Test func nestingIsBounded() {
    #expect(error(Raftpb.Message.self, nested(100)) == nil)
    #expect(error(Raftpb.Message.self, nested(101)) == .tooDeep)
    #expect(error(Raftpb.Message.self, nested(20_000)) == .tooDeep)
    let groups = Bytes((0..<100_000).flatMap { _ in [0xfb, 7] as [UInt8] })
    #expect(error(Raftpb.Message.self, groups) == .tooDeep)
  }

  @Test func deepestMessageRoundTrips() throws {
    let message = try Raftpb.Message.decode(nested(100))
    #expect(try Raftpb.Message.decode(message.encoded()) == message)
    #expect(try Raftpb.Message(json: message.json()) == message)
  }

  @Test func everyPrefixAndManyBitFlips() throws {
    var random = Random.printed("everyPrefixAndManyBitFlips")
    var rejected = 0
    for type in allMessages { rejected += try mutate(type, &random) }
    #expect(rejected > 1000)
  }

  /// Number of mutants that were not a message any more.
  private func mutate<M: ProtobufMessage>(_ type: M.Type, _ random: inout Random) throws -> Int {
    let maker = MessageMaker(type)
    var rejected = 0
    for _ in 0..<4 {
      let bytes = maker.make(&random).encoded()
      for end in 0..<bytes.count { rejected += try survives(type, bytes[..<end]) }
      guard !bytes.isEmpty else { continue }
      for _ in 0..<60 {
        var mutant = Array(bytes)
        for _ in 0...Int.random(in: 0...2, using: &random) {
          let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
          mutant[Int.random(in: 0..<mutant.count, using: &random)] ^= bit
        }
        rejected += try survives(type, Bytes(mutant))
      }
    }
    return rejected
  }

  private func survives<M: ProtobufMessage>(_ type: M.Type, _ bytes: Bytes) throws -> Int {
    guard let message = try? M.decode(bytes) else { return 1 }
    #expect(try M.decode(message.encoded()) == message)
    return 0
  }
}
