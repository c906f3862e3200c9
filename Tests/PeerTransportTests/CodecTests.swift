import Bytes
import EtcdAPI
import PeerTransport
import Protobuf
import TestSupport
import Testing

@Suite struct CodecTests {
  /// What a leader sends: mostly entries that follow, sometimes a jump or another term.
  private func messages(_ count: Int, _ random: inout SeededGenerator) -> [Raftpb.Message] {
    var term: UInt64 = 1
    var index: UInt64 = 0
    return (0..<count).map { _ in
      switch Int.random(in: 0..<12, using: &random) {
      case 0: return Raftpb.Message(type: .heartbeat)
      case 1:
        term += 1
        index += UInt64.random(in: 0..<5, using: &random)
      case 2: index = UInt64.random(in: 0..<1000, using: &random)
      default: break
      }
      let entries = (0..<Int.random(in: 0..<4, using: &random)).map { at in
        let size = Int.random(in: 0..<200, using: &random)
        return Raftpb.Entry(
          term: term, index: index + UInt64(at) + 1,
          data: Bytes((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }))
      }
      defer { index += UInt64(entries.count) }
      return Raftpb.Message(
        type: .app, to: 2, from: 1, term: term, logTerm: term, index: index, entries: entries,
        commit: UInt64.random(in: 0...UInt64.max, using: &random))
    }
  }

  @Test(arguments: StreamKind.allCases) func roundTripAtAnyCut(_ kind: StreamKind) throws {
    var random = SeededGenerator.printed("roundTripAtAnyCut \(kind)")
    for _ in 0..<60 {
      let sent = messages(40, &random)
      var encoder = StreamEncoder(kind)
      var out = ByteWriter()
      for message in sent { encoder.encode(message, into: &out) }
      let bytes = out.finish()
      var decoder = StreamDecoder(kind, local: 2, remote: 1)
      var got: [Raftpb.Message] = []
      var at = 0
      let longest = Int.random(in: 1...400, using: &random)
      while at < bytes.count {
        let end = min(bytes.count, at + Int.random(in: 1...longest, using: &random))
        var piece = bytes[at..<end]
        while let message = try decoder.next(&piece) { got.append(message) }
        #expect(piece.isEmpty)
        at = end
      }
      #expect(got == sent)
    }
  }

  @Test func followingEntriesTakeTheCompactForm() throws {
    var encoder = StreamEncoder(.msgAppV2)
    func bytes(_ message: Raftpb.Message) -> [UInt8] {
      var out = ByteWriter()
      encoder.encode(message, into: &out)
      return Array(out.finish())
    }
    let entry = Raftpb.Entry(term: 3, index: 6, data: "ab")
    let first = Raftpb.Message(
      type: .app, to: 2, from: 1, term: 3, logTerm: 3, index: 5, entries: [entry], commit: 4)
    let whole = bytes(first)
    #expect(whole[0] == 2)
    #expect(Array(whole[1..<9]) == [0, 0, 0, 0, 0, 0, 0, UInt8(first.encodedSize)])
    #expect(Array(whole[9...]) == Array(first.encoded()))
    let next = Raftpb.Message(
      type: .app, to: 2, from: 1, term: 3, logTerm: 3, index: 6,
      entries: [Raftpb.Entry(term: 3, index: 7, data: "c")], commit: 6)
    #expect(
      bytes(next) == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]
        + [0x08, 0, 0x10, 3, 0x18, 7, 0x22, 1, 0x63] + [0, 0, 0, 0, 0, 0, 0, 6])
    #expect(bytes(Raftpb.Message(type: .heartbeat)) == [0])
    // Another term of the last entry, or a gap: whole again.
    var other = next
    other.logTerm = 2
    other.index = 7
    #expect(bytes(other)[0] == 2)
  }

  @Test func hostileInputIsRefusedAndNeverTraps() {
    var random = SeededGenerator.printed("hostileInput")
    for round in 0..<4000 {
      let kind = StreamKind.allCases[round % 2]
      var bytes: [UInt8]
      if round % 3 == 0 {
        bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
      } else {
        var encoder = StreamEncoder(kind)
        var out = ByteWriter()
        for message in messages(6, &random) { encoder.encode(message, into: &out) }
        bytes = Array(out.finish())
        for _ in 0..<Int.random(in: 1..<6, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] =
            [0, 1, 0xff, 0x80, UInt8.random(in: 0...255, using: &random)]
            .randomElement(using: &random)!
        }
      }
      var decoder = StreamDecoder(kind, local: 2, remote: 1, limit: 1 << 20)
      var input = Bytes(bytes)
      var count = 0
      do {
        while (try decoder.next(&input)) != nil { count += 1 }
        #expect(input.isEmpty)
      } catch {
        #expect(!error.description.isEmpty)
      }
      #expect(count <= bytes.count)
    }
  }

  @Test func lengthsAreLimited() {
    func failure(_ kind: StreamKind, _ bytes: [UInt8], limit: Int = 1000) -> StreamDecodeError? {
      var decoder = StreamDecoder(kind, local: 2, remote: 1, limit: limit)
      var input = Bytes(bytes)
      do {
        while (try decoder.next(&input)) != nil {}
        return nil
      } catch {
        return error
      }
    }
    let ones = [UInt8](repeating: 0xff, count: 8)
    #expect(failure(.message, ones) == .tooLarge(.max, limit: 1000))
    #expect(failure(.message, [0, 0, 0, 0, 0, 0, 3, 0xe9]) == .tooLarge(1001, limit: 1000))
    #expect(failure(.message, [0, 0, 0, 0, 0, 0, 3, 0xe8]) == nil)
    #expect(failure(.msgAppV2, [1] + ones) == .tooManyEntries(.max))
    #expect(failure(.msgAppV2, [2] + ones) == .tooLarge(.max, limit: 1000))
    #expect(failure(.msgAppV2, [3]) == .unknownType(3))
    // All entries of a message together.
    let entry: [UInt8] = [0, 0, 0, 0, 0, 0, 2, 0x58] + [UInt8](repeating: 0, count: 600)
    #expect(
      failure(.msgAppV2, [1, 0, 0, 0, 0, 0, 0, 0, 2] + entry + entry)
        == .tooLarge(600, limit: 1000))
    #expect(failure(.message, [0, 0, 0, 0, 0, 0, 0, 1, 8]) == .malformed(.truncated))
    // A claim of the largest size takes no memory before the bytes arrive.
    let large = UInt64(StreamDecoder.messageLimit)
    let claim = (0..<8).map { UInt8(truncatingIfNeeded: large >> (56 - 8 * UInt64($0))) }
    #expect(failure(.message, claim, limit: StreamDecoder.messageLimit) == nil)
  }
}
