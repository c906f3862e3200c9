import Bytes

/// Input that is not HTTP/1.1, or more of it than the limits allow.
public struct HTTPParseError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The status a server answers with.
  public let status: Int
  public let reason: String
  init(_ status: Int, _ reason: String) {
    self.status = status
    self.reason = reason
  }
  public var description: String { reason }
}

/// Limits of a message head.
public struct HTTPHeadLimits: Sendable {
  /// Bytes of start line and fields together.
  public var bytes = 65_536
  /// Number of fields.
  public var fields = 100
  public init() {}
}

/// Gathers the bytes of a message head. Pure.
///
/// - Source: RFC 9112 §2.2; a bare CR or LF is refused, as two readers may disagree about it.
struct HeadAccumulator {
  private var partial: [UInt8] = []
  /// Empty lines before the start line, which some old clients send.
  private var emptyLines = 0
  private let limits: HTTPHeadLimits

  /// Go reads over four bytes of them.
  private static let emptyLinesMax = 2

  init(_ limits: HTTPHeadLimits) { self.limits = limits }

  /// Whether nothing of a head has arrived.
  var isEmpty: Bool { partial.isEmpty && emptyLines == 0 }

  /// Takes the head's bytes off the front of `input`.
  /// - Returns: the head with its line ends but without the empty line, or `nil` when more is
  ///   needed; `input` is then empty.
  /// - Throws: 431 when the head is longer than the limit, 400 when it begins with empty lines without end.
  mutating func take(_ input: inout Bytes) throws(HTTPParseError) -> Bytes? {
    if partial == [0x0d], input.first == 0x0a {
      // An empty line before the start line, cut in two by the network.
      partial.removeAll()
      input = input[1..<input.count]
      try countEmptyLine()
    }
    if partial.isEmpty {
      while input.count >= 2, input[0] == 0x0d, input[1] == 0x0a {
        input = input[2..<input.count]
        try countEmptyLine()
      }
    }
    if partial.isEmpty, let end = Self.end(input, from: 0) {
      guard end <= limits.bytes else { throw Self.tooLarge }
      let head = input[0..<(end - 2)]
      input = input[end..<input.count]
      emptyLines = 0
      return head
    }
    let searchFrom = max(0, partial.count - 3)
    let before = partial.count
    let room = limits.bytes - before
    partial.append(contentsOf: input[0..<min(input.count, room + 1)])
    guard let end = Self.end(partial, from: searchFrom) else {
      guard partial.count <= limits.bytes else { throw Self.tooLarge }
      input = Bytes()
      return nil
    }
    guard end <= limits.bytes else { throw Self.tooLarge }
    input = input[(end - before)..<input.count]
    let head = Bytes(partial[0..<(end - 2)])
    partial.removeAll(keepingCapacity: true)
    emptyLines = 0
    return head
  }

  private mutating func countEmptyLine() throws(HTTPParseError) {
    emptyLines += 1
    guard emptyLines <= Self.emptyLinesMax else {
      throw HTTPParseError(400, "malformed HTTP request: empty lines before it")
    }
  }

  private static let tooLarge = HTTPParseError(431, "request header fields too large")

  /// Position after CR LF CR LF.
  private static func end(_ bytes: some RandomAccessCollection<UInt8>, from: Int) -> Int? {
    bytes.withContiguousStorageIfAvailable { buffer -> Int? in
      var at = from
      while at + 3 < buffer.count {
        if buffer[at] == 0x0d && buffer[at + 1] == 0x0a && buffer[at + 2] == 0x0d
          && buffer[at + 3] == 0x0a
        {
          return at + 4
        }
        at += 1
      }
      return nil
    } ?? nil
  }
}

/// Parses complete message heads. Pure; never traps on any input.
///
/// - Source: RFC 9112 §3–§5, RFC 9110 §5; strict where leniency has led to request smuggling.
enum HeadParser {
  /// A request head.
  /// - Throws: 400, 431 or 505.
  static func request(
    _ head: Bytes, _ limits: HTTPHeadLimits
  ) throws(HTTPParseError) -> HTTPRequestHead {
    var lines = Lines(head)
    let line = try lines.next() ?? Bytes()
    let parts = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw HTTPParseError(400, "malformed HTTP request") }
    guard !parts[0].isEmpty, parts[0].allSatisfy(isToken) else {
      throw HTTPParseError(400, "invalid method")
    }
    guard !parts[1].isEmpty, parts[1].allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw HTTPParseError(400, "invalid request target")
    }
    let minor = try minorVersion(parts[2])
    let headers = try fields(&lines, limits)
    let hosts = headers.all("host").count
    guard hosts <= 1 else { throw HTTPParseError(400, "too many Host headers") }
    guard hosts == 1 || minor == 0 else {
      throw HTTPParseError(400, "missing required Host header")
    }
    return HTTPRequestHead(
      method: parts[0].string, target: parts[1].string, minorVersion: minor, headers: headers)
  }

  /// A response head.
  static func response(
    _ head: Bytes, _ limits: HTTPHeadLimits
  ) throws(HTTPParseError) -> HTTPResponseHead {
    var lines = Lines(head)
    let line = try lines.next() ?? Bytes()
    let parts = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2 else { throw HTTPParseError(502, "malformed HTTP response") }
    let minor = try minorVersion(parts[0])
    guard parts[1].count == 3, let status = decimal(parts[1]), status >= 100 else {
      throw HTTPParseError(502, "malformed HTTP status code")
    }
    return HTTPResponseHead(
      status: status, headers: try fields(&lines, limits), minorVersion: minor)
  }

  private static func minorVersion(_ text: Bytes) throws(HTTPParseError) -> Int {
    if text == "HTTP/1.1" { return 1 }
    if text == "HTTP/1.0" { return 0 }
    guard text.count == 8, text.hasPrefix("HTTP/") else {
      throw HTTPParseError(400, "malformed HTTP version")
    }
    throw HTTPParseError(505, "unsupported protocol version")
  }

  private static func fields(
    _ lines: inout Lines, _ limits: HTTPHeadLimits
  ) throws(HTTPParseError) -> HTTPHeaders {
    var headers = HTTPHeaders()
    while let line = try lines.next() {
      guard headers.fields.count < limits.fields else {
        throw HTTPParseError(431, "too many header fields")
      }
      // A leading blank is the obsolete folding, a blank before the colon a smuggling trick; both
      // fail the token check.
      guard let colon = line.firstIndex(of: 0x3a), colon > 0,
        line[0..<colon].allSatisfy(isToken)
      else { throw HTTPParseError(400, "malformed header field") }
      let value = trimmed(line[(colon + 1)..<line.count])
      guard value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }) else {
        throw HTTPParseError(400, "invalid header field value")
      }
      headers.add(line[0..<colon].string, value.string)
    }
    return headers
  }

  static func trimmed(_ bytes: Bytes) -> Bytes {
    var low = 0
    var high = bytes.count
    while low < high, bytes[low] == 0x20 || bytes[low] == 0x09 { low += 1 }
    while high > low, bytes[high - 1] == 0x20 || bytes[high - 1] == 0x09 { high -= 1 }
    return bytes[low..<high]
  }

  /// Digits only, at most 18 of them.
  static func decimal(_ text: Bytes) -> Int? {
    guard !text.isEmpty, text.count <= 18 else { return nil }
    var value = 0
    for byte in text {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    return value
  }

  /// tchar of RFC 9110 §5.6.2.
  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x5e, 0x5f, 0x60, 0x7c, 0x7e:
      true
    default: false
    }
  }

  /// The lines of a head, each ended by CR LF.
  private struct Lines {
    private var rest: Bytes
    init(_ head: Bytes) { rest = head }

    mutating func next() throws(HTTPParseError) -> Bytes? {
      guard !rest.isEmpty else { return nil }
      guard let feed = rest.firstIndex(of: 0x0a), feed > 0, rest[feed - 1] == 0x0d else {
        throw HTTPParseError(400, "malformed line end")
      }
      let line = rest[0..<(feed - 1)]
      guard !line.contains(0x0d) else { throw HTTPParseError(400, "malformed line end") }
      rest = rest[(feed + 1)..<rest.count]
      return line
    }
  }
}
