import Bytes

/// Cuts a message body out of a connection's bytes. Pure.
///
/// - Source: RFC 9112 §6 and §7.1; a message with both a length and chunked coding is refused.
struct HTTPBodyDecoder {
  enum Event: Equatable {
    case data(Bytes)
    case end
  }

  private enum State: Equatable {
    case counted(Int)
    case untilClose
    case chunkSize
    case chunkData(Int)
    case chunkEnd
    case trailers
    case ended
  }

  private var state: State
  private var line: [UInt8] = []
  private var trailerBytes = 0

  /// Longest chunk-size line and all trailers.
  private static let lineBytesMax = 1_024
  private static let trailerBytesMax = 16_384

  /// Whether there is nothing to read.
  var isEnded: Bool { state == .ended }
  /// Whether only the end of the connection ends the body.
  var isUntilClose: Bool { state == .untilClose }

  /// Whatever comes until the connection ends.
  static let raw = HTTPBodyDecoder(.untilClose)

  private init(_ state: State) { self.state = state }

  /// The body of a request.
  /// - Throws: 400 for contradicting lengths, 501 for an unknown coding.
  init(request head: HTTPRequestHead) throws(HTTPParseError) {
    state = try Self.framing(head.headers, head.minorVersion) ?? .ended
  }

  /// The body of a response to `method`.
  init(response head: HTTPResponseHead, method: String) throws(HTTPParseError) {
    if method == "HEAD" || head.isBodyless {
      state = .ended
    } else {
      state = try Self.framing(head.headers, head.minorVersion) ?? .untilClose
    }
  }

  private static func framing(
    _ headers: HTTPHeaders, _ minorVersion: Int
  ) throws(HTTPParseError) -> State? {
    let lengths = headers.all("content-length")
    let codings = headers.all("transfer-encoding")
    if !codings.isEmpty {
      guard lengths.isEmpty, minorVersion >= 1 else {
        throw HTTPParseError(400, "contradicting message length")
      }
      guard codings.count == 1, HTTPHeaders.same(codings[0], "chunked") else {
        throw HTTPParseError(501, "unsupported transfer encoding")
      }
      return .chunkSize
    }
    guard let first = lengths.first else { return nil }
    guard lengths.allSatisfy({ $0 == first }), let length = HeadParser.decimal(Bytes(first)) else {
      throw HTTPParseError(400, "bad Content-Length")
    }
    return length == 0 ? .ended : .counted(length)
  }

  /// The next piece of the body; what it used is taken off `input`. `nil`: more is needed.
  /// - Throws: 400 for malformed chunks.
  mutating func next(_ input: inout Bytes) throws(HTTPParseError) -> Event? {
    while true {
      switch state {
      case .ended: return .end
      case .untilClose: return take(&input, input.count)
      case .counted(let left):
        guard let event = take(&input, left) else { return nil }
        return advance(event, left, { .counted($0) }, .ended)
      case .chunkData(let left):
        guard let event = take(&input, left) else { return nil }
        return advance(event, left, { .chunkData($0) }, .chunkEnd)
      case .chunkSize:
        guard let size = try takeLine(&input, Self.lineBytesMax) else { return nil }
        let count = try Self.chunkSize(size)
        state = count == 0 ? .trailers : .chunkData(count)
      case .chunkEnd:
        guard let empty = try takeLine(&input, 2) else { return nil }
        guard empty.isEmpty else { throw HTTPParseError(400, "malformed chunked encoding") }
        state = .chunkSize
      case .trailers:
        guard let trailer = try takeLine(&input, Self.trailerBytesMax) else { return nil }
        trailerBytes += trailer.count + 2
        guard trailerBytes <= Self.trailerBytesMax else {
          throw HTTPParseError(400, "trailers too large")
        }
        if trailer.isEmpty { state = .ended }
      }
    }
  }

  /// The connection ended.
  /// - Throws: 400 when the body was cut off.
  mutating func inputEnded() throws(HTTPParseError) {
    guard state == .ended || state == .untilClose else {
      throw HTTPParseError(400, "unexpected EOF")
    }
    state = .ended
  }

  private func take(_ input: inout Bytes, _ most: Int) -> Event? {
    guard !input.isEmpty else { return nil }
    let count = min(most, input.count)
    let data = input[0..<count]
    input = input[count..<input.count]
    return .data(data)
  }

  private mutating func advance(
    _ event: Event, _ left: Int, _ more: (Int) -> State, _ done: State
  ) -> Event {
    guard case .data(let data) = event else { return event }
    state = data.count == left ? done : more(left - data.count)
    return event
  }

  /// A line without CR LF.
  private mutating func takeLine(
    _ input: inout Bytes, _ limit: Int
  ) throws(HTTPParseError) -> [UInt8]? {
    while let byte = input.first {
      input = input[1..<input.count]
      if byte == 0x0a {
        guard line.last == 0x0d else { throw HTTPParseError(400, "malformed chunked encoding") }
        line.removeLast()
        defer { line.removeAll(keepingCapacity: true) }
        return line
      }
      guard line.last != 0x0d, line.count < limit else {
        throw HTTPParseError(400, "malformed chunked encoding")
      }
      line.append(byte)
    }
    return nil
  }

  /// Hexadecimal size before an optional extension.
  private static func chunkSize(_ line: [UInt8]) throws(HTTPParseError) -> Int {
    let digits = line.prefix { $0 != 0x3b && $0 != 0x20 && $0 != 0x09 }
    guard !digits.isEmpty, digits.count <= 15 else {
      throw HTTPParseError(400, "malformed chunked encoding")
    }
    var value = 0
    for byte in digits {
      guard let digit = byte.hexValue else {
        throw HTTPParseError(400, "malformed chunked encoding")
      }
      value = value << 4 | Int(truncatingIfNeeded: digit)
    }
    return value
  }
}
