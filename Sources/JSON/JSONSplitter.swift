import Bytes

/// Cuts values that follow each other, as they come in pieces, apart. It looks at brackets, quotes and white
/// space alone: whether a value is well-formed shows when it is parsed. No recursion, whatever the depth.
public struct JSONSplitter: Sendable {
  /// What the scan is inside of.
  private enum Place {
    /// Between values.
    case outside
    /// A number, a name or anything else without brackets and quotes.
    case word
    case nested(depth: Int)
    case string(depth: Int, isEscaped: Bool)
  }

  private let limits: JSONLimits
  private var place = Place.outside
  private var value: [UInt8] = []
  private var input = Bytes()
  /// Bytes of values and white space that were taken so far.
  public private(set) var offset = 0

  public init(limits: JSONLimits = JSONLimits()) { self.limits = limits }

  /// Whether no value has begun that is not complete.
  public var isAtBoundary: Bool { value.isEmpty && input.isEmpty }

  /// Bytes that wait for what completes them.
  public var heldBytes: Int { value.count + input.count }

  /// Some of the text has come.
  public mutating func feed(_ bytes: Bytes) { input = input.followed(by: bytes) }

  /// The next complete value; `nil` when more is needed.
  /// - Throws: `tooLarge`, `tooDeep`.
  public mutating func next() throws(JSONError) -> Bytes? {
    var used = 0
    var isComplete = false
    while used < input.count, !isComplete {
      let byte = input[used]
      if case .outside = place, Self.isSpace(byte) {
        used += 1
        continue
      }
      if case .word = place, Self.isSpace(byte) || Self.opens(byte) {
        isComplete = true
        break
      }
      guard value.count < limits.bytes else {
        throw JSONError(.tooLarge, offset: offset + used, "JSON input too large")
      }
      value.append(byte)
      used += 1
      isComplete = try step(byte)
    }
    offset += used
    input = input[used..<input.count]
    guard isComplete else { return nil }
    place = .outside
    return Bytes(exchange(&value, with: []))
  }

  /// What is left when the text has ended: a value that only its end completes, or an incomplete one.
  public mutating func finish() -> Bytes? {
    guard !value.isEmpty else { return nil }
    place = .outside
    return Bytes(exchange(&value, with: []))
  }

  /// - Returns: whether the value is complete.
  private mutating func step(_ byte: UInt8) throws(JSONError) -> Bool {
    switch place {
    case .outside:
      switch byte {
      case UInt8(ascii: "\""): place = .string(depth: 0, isEscaped: false)
      case UInt8(ascii: "{"), UInt8(ascii: "["): place = .nested(depth: 1)
      // What closes nothing is a value of its own, and none.
      case UInt8(ascii: "}"), UInt8(ascii: "]"): return true
      default: place = .word
      }
    case .word: break
    case .string(let depth, true): place = .string(depth: depth, isEscaped: false)
    case .string(let depth, false):
      if byte == UInt8(ascii: "\\") {
        place = .string(depth: depth, isEscaped: true)
      } else if byte == UInt8(ascii: "\"") {
        place = .nested(depth: depth)
        return depth == 0
      }
    case .nested(let depth):
      switch byte {
      case UInt8(ascii: "\""): place = .string(depth: depth, isEscaped: false)
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        guard depth < limits.depth else {
          throw JSONError(.tooDeep, offset: offset, "JSON nested too deep")
        }
        place = .nested(depth: depth + 1)
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        place = .nested(depth: depth - 1)
        return depth == 1
      default: break
      }
    }
    return false
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09
  }

  /// Whether a value begins here even without white space before it.
  private static func opens(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "\"")
  }
}
