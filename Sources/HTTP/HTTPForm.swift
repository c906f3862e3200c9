import Bytes

/// Parameters of a request: those of a form in its body, then those of its query.
///
/// - Source: Go's `http.Request.ParseForm`, `url.ParseQuery`.
public struct HTTPForm: Sendable {
  /// What is wrong, in Go's words.
  public struct Failure: Error, Sendable {
    public let message: String
  }

  private var values: [String: [String]] = [:]

  /// - Parameter form: the body, when it is a form.
  /// - Throws: `Failure` for the first part that cannot be read.
  public init(form: Bytes?, query: String) throws(Failure) {
    if let form { try add(form.string) }
    try add(query)
  }

  private mutating func add(_ text: String) throws(Failure) {
    for part in text.split(separator: "&") {
      if part.contains(";") {
        throw Failure(message: "invalid semicolon separator in query")
      }
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(sides[0])
      values[name, default: []].append(try sides.count > 1 ? Self.decode(sides[1]) : "")
    }
  }

  private static func decode(_ text: Substring) throws(Failure) -> String {
    if let bytes = URLCoding.decode(text, plusIsSpace: true) { return bytes.string }
    throw Failure(message: "invalid URL escape \"\(brokenEscape(text))\"")
  }

  /// The first percent sign without two hexadecimal digits, and what follows it.
  private static func brokenEscape(_ text: Substring) -> String {
    var rest = text.utf8[...]
    while let at = rest.firstIndex(of: UInt8(ascii: "%")) {
      let escape = rest[at...].prefix(3)
      if escape.count < 3 || !escape.dropFirst().allSatisfy({ $0.hexValue != nil }) {
        return String(decoding: escape, as: UTF8.self)
      }
      rest = rest[at...].dropFirst(3)
    }
    return ""
  }

  public func has(_ name: String) -> Bool { values[name] != nil }

  /// The first value; empty when there is none.
  public func first(_ name: String) -> String { values[name]?.first ?? "" }

  /// A number; 0 when there is none, `nil` when it is no number.
  public func number(_ name: String) -> UInt64? {
    guard let text = values[name]?.first else { return 0 }
    // Go takes digits alone.
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return UInt64(text)
  }

  /// A truth value; false when there is none, `nil` when it is neither.
  /// - Source: Go's `strconv.ParseBool`.
  public func flag(_ name: String) -> Bool? {
    guard let text = values[name]?.first else { return false }
    switch text {
    case "1", "t", "T", "TRUE", "true", "True": return true
    case "0", "f", "F", "FALSE", "false", "False": return false
    default: return nil
    }
  }
}

extension HTTPExchange {
  /// Whether the body holds parameters.
  /// - Throws: for a type of the body that is none.
  public func hasForm() throws(HTTPForm.Failure) -> Bool {
    guard ["POST", "PUT"].contains(request.method), let type = request.headers["content-type"],
      !type.isEmpty
    else { return false }
    return try HTTPMediaType(type).name == "application/x-www-form-urlencoded"
  }
}
