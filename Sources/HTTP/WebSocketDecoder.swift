import Bytes

/// What the client of a websocket sends, cut into messages. Pure.
///
/// - Source: RFC 6455 §5; extensions are not spoken.
public struct WebSocketDecoder {
  public enum Event: Equatable {
    /// A whole text or binary message.
    case message(Bytes)
    /// To be answered with a pong of the same content.
    case ping(Bytes)
    /// The client says goodbye, with its reason.
    case close(UInt16?)
  }

  /// Why the connection has to end.
  public struct Failure: Error, Equatable {
    /// Status of the close frame.
    public let status: UInt16
    public let reason: String
  }

  /// The head of a frame.
  private struct Head {
    let opcode: UInt8
    let isFinal: Bool
    let mask: [UInt8]
    /// Bytes of its payload that are still to come.
    var left: Int
  }

  private let messageBytesMax: Int
  private var head: Head?
  private var headBytes: [UInt8] = []
  /// What has come of a control frame.
  private var control: [UInt8] = []
  /// What has come of a message.
  private var message: [UInt8] = []
  private var isInMessage = false
  /// Place in the mask.
  private var offset = 0

  private static let controlBytesMax: UInt8 = 125

  /// - Parameter messageBytesMax: bytes of a message, in however many frames.
  public init(messageBytesMax: Int) { self.messageBytesMax = messageBytesMax }

  /// Bytes of a message that is not complete.
  public var heldBytes: Int { message.count }

  /// The next event; what it used is taken off `input`. `nil`: more is needed.
  /// - Throws: for what no client may send.
  public mutating func next(_ input: inout Bytes) throws(Failure) -> Event? {
    while true {
      guard var current = head else {
        guard try takeHead(&input) else { return nil }
        continue
      }
      let count = min(current.left, input.count)
      unmask(input[0..<count], current)
      input = input[count..<input.count]
      current.left -= count
      guard current.left == 0 else {
        head = current
        return nil
      }
      head = nil
      offset = 0
      if let event = try finish(current) { return event }
    }
  }

  private mutating func unmask(_ bytes: Bytes, _ head: Head) {
    bytes.withUnsafeBytes { source in
      for byte in source {
        let plain = byte ^ head.mask[offset & 3]
        offset += 1
        if head.opcode >= 8 { control.append(plain) } else { message.append(plain) }
      }
    }
  }

  private mutating func finish(_ head: Head) throws(Failure) -> Event? {
    if head.opcode < 8 {
      isInMessage = !head.isFinal
      guard head.isFinal else { return nil }
      let content = Bytes(exchange(&message, with: []))
      return .message(content)
    }
    let content = exchange(&control, with: [])
    switch head.opcode {
    case 8:
      guard content.count != 1 else { throw Self.bad("a close frame of one byte") }
      return .close(
        content.count < 2
          ? nil : content[..<2].reduce(0) { $0 << 8 | UInt16(truncatingIfNeeded: $1) })
    case 9: return .ping(Bytes(content))
    default: return nil
    }
  }

  // MARK: heads

  /// - Returns: false when more is needed.
  private mutating func takeHead(_ input: inout Bytes) throws(Failure) -> Bool {
    while headBytes.count < 2 || headBytes.count < Self.headLength(headBytes[1]) {
      guard let byte = input.first else { return false }
      input = input[1..<input.count]
      headBytes.append(byte)
      // What is wrong shows before the rest comes.
      if headBytes.count == 2 { try check(headBytes[0], headBytes[1]) }
    }
    let bytes = exchange(&headBytes, with: [])
    let short = bytes[1] & 0x7f
    let length = short < 126 ? [short] : Array(bytes[2..<(short == 126 ? 4 : 10)])
    guard length.count < 8 || length[0] < 0x80 else { throw Self.bad("a negative length") }
    let count = length.reduce(UInt64(0)) { $0 << 8 | UInt64(truncatingIfNeeded: $1) }
    let isControl = bytes[0] & 0x08 != 0
    guard let left = Int(exactly: count), isControl || left <= messageBytesMax - message.count
    else {
      throw Failure(status: 1009, reason: "a message of more than \(messageBytesMax) bytes")
    }
    head = Head(
      opcode: bytes[0] & 0x0f, isFinal: bytes[0] & 0x80 != 0, mask: Array(bytes.suffix(4)),
      left: left)
    return true
  }

  /// Bytes of a head with this second byte, its mask included.
  private static func headLength(_ second: UInt8) -> Int {
    switch second & 0x7f {
    case 126: 8
    case 127: 14
    default: 6
    }
  }

  private func check(_ first: UInt8, _ second: UInt8) throws(Failure) {
    guard first & 0x70 == 0 else { throw Self.bad("reserved bits of a frame") }
    guard second & 0x80 != 0 else { throw Self.bad("a frame without a mask") }
    let opcode = first & 0x0f
    switch opcode {
    case 0:
      if !isInMessage { throw Self.bad("a continuation of nothing") }
    case 1, 2:
      if isInMessage { throw Self.bad("a message inside another") }
    case 8, 9, 10:
      guard first & 0x80 != 0, second & 0x7f <= Self.controlBytesMax else {
        throw Self.bad("a control frame that is too long or in parts")
      }
    default: throw Self.bad("a frame of unknown kind \(opcode)")
    }
  }

  private static func bad(_ reason: String) -> Failure { Failure(status: 1002, reason: reason) }
}

/// What the server of a websocket sends.
public enum WebSocketFrames {
  /// A text message in one frame, in parts.
  public static func text(_ content: Bytes) -> [Bytes] { frame(1, content) }

  public static func pong(_ content: Bytes) -> [Bytes] { frame(10, content) }

  /// - Parameter reason: up to 123 bytes of it are sent.
  public static func close(_ status: UInt16, _ reason: String = "") -> [Bytes] {
    var content = ByteWriter(capacity: 125)
    content.appendBigEndian(status)
    for scalar in reason.unicodeScalars {
      let bytes = Bytes(String(scalar))
      guard content.count + bytes.count <= 125 else { break }
      content.append(bytes)
    }
    return frame(8, content.finish())
  }

  private static func frame(_ opcode: UInt8, _ content: Bytes) -> [Bytes] {
    var head = ByteWriter(capacity: 10)
    head.append(0x80 | opcode)
    if content.count < 126 {
      head.append(UInt8(truncatingIfNeeded: content.count))
    } else if let short = UInt16(exactly: content.count) {
      head.append(126)
      head.appendBigEndian(short)
    } else {
      head.append(127)
      head.appendBigEndian(UInt64(truncatingIfNeeded: content.count))
    }
    return [head.finish(), content]
  }
}
