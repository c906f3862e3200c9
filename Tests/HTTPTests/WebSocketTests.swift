import Bytes
import HTTP
import TestSupport
import Testing

@Suite struct WebSocketTests {
  private static let mask: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]

  /// A frame of a client.
  static func frame(
    _ opcode: UInt8, _ content: [UInt8], isFinal: Bool = true, length: [UInt8]? = nil
  ) -> [UInt8] {
    let size: [UInt8] =
      content.count < 126
      ? [UInt8(content.count)] : [126, UInt8(content.count >> 8), UInt8(content.count & 0xff)]
    var head = [(isFinal ? 0x80 : 0) | opcode] + (length ?? size)
    head[1] |= 0x80
    return head + mask + content.enumerated().map { $1 ^ mask[$0 & 3] }
  }

  /// The events of input that comes in pieces.
  private func events(
    _ input: [UInt8], pieces: Int = .max, limit: Int = 1_000
  ) throws(WebSocketDecoder.Failure) -> [WebSocketDecoder.Event] {
    var decoder = WebSocketDecoder(messageBytesMax: limit)
    var events: [WebSocketDecoder.Event] = []
    var rest = input[...]
    while !rest.isEmpty {
      var piece = Bytes(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
      while let event = try decoder.next(&piece) { events.append(event) }
      #expect(piece.isEmpty)
    }
    return events
  }

  @Test(arguments: [1, 2, 5, Int.max])
  func messagesAreDecoded(pieces: Int) throws {
    let long = [UInt8](repeating: 0x61, count: 300)
    let input =
      Self.frame(1, Array("Hello".utf8)) + Self.frame(2, long) + Self.frame(1, [])
      + Self.frame(1, Array("one".utf8), isFinal: false) + Self.frame(9, [1, 2])
      + Self.frame(0, Array(", two".utf8), isFinal: false) + Self.frame(0, [])
      + Self.frame(10, [3]) + Self.frame(8, [0x03, 0xe9, 0x78]) + Self.frame(8, [])
    #expect(
      try events(input, pieces: pieces) == [
        .message("Hello"), .message(Bytes(long)), .message(""), .ping([1, 2]), .message("one, two"),
        .close(1001), .close(nil),
      ])
  }

  /// RFC 6455 §5.7's example.
  @Test func theExampleOfTheStandard() throws {
    let input: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
    #expect(try events(input) == [.message("Hello")])
  }

  @Test func liesAreRefused() {
    let cases: [([UInt8], UInt16)] = [
      // No mask, reserved bits, unknown kinds.
      ([0x81, 0x05], 1002), ([0xc1, 0x85], 1002), ([0x83, 0x80], 1002), ([0x8b, 0x80], 1002),
      // Control frames in parts or too long, a close frame of one byte.
      ([0x09, 0x80], 1002), ([0x89, 0xfe], 1002), (Self.frame(8, [3]), 1002),
      // A continuation of nothing, a message inside another.
      ([0x80, 0x80], 1002), (Self.frame(1, [1], isFinal: false) + [0x81, 0x80], 1002),
      // Lengths that are negative or beyond the limit, before anything of it has come.
      ([0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0] + Self.mask, 1002),
      ([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] + Self.mask, 1009),
      ([0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0] + Self.mask, 1009),
      ([0x81, 0xfe, 0x03, 0xe9] + Self.mask, 1009),
      // Parts that are small enough each.
      (
        Self.frame(1, [UInt8](repeating: 1, count: 600), isFinal: false)
          + Self.frame(0, [UInt8](repeating: 1, count: 600)), 1009
      ),
    ]
    for (input, status) in cases {
      let failure = #expect(throws: WebSocketDecoder.Failure.self) { try events(input, pieces: 3) }
      #expect(failure?.status == status, "\(input.prefix(16))")
    }
  }

  /// Whatever comes, the decoder ends, and holds no more than its limit.
  @Test func noise() {
    var random = SeededGenerator(state: 11)
    for _ in 0..<2_000 {
      let input = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      _ = try? events(input, pieces: Int.random(in: 1...9, using: &random))
    }
  }

  @Test func framesOfTheServer() {
    func bytes(_ parts: [Bytes]) -> [UInt8] { parts.flatMap { Array($0) } }
    #expect(bytes(WebSocketFrames.text("Hello")) == [0x81, 0x05] + Array("Hello".utf8))
    #expect(bytes(WebSocketFrames.pong([1])) == [0x8a, 1, 1])
    #expect(bytes(WebSocketFrames.close(1000)) == [0x88, 2, 0x03, 0xe8])
    let long = WebSocketFrames.close(1002, String(repeating: "\u{e9}", count: 100))
    #expect(bytes(long)[1] == 124)
    for (count, head) in [
      (125, [0x81, 125]), (126, [0x81, 126, 0, 126]), (65_535, [0x81, 126, 255, 255]),
      (65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] as [(Int, [UInt8])] {
      let parts = WebSocketFrames.text(Bytes(repeatElement(0x61, count: count)))
      #expect(Array(parts[0]) == head)
      #expect(parts[1].count == count)
    }
  }
}
