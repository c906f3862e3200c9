import GoText

/// What happens at a failpoint: terms one after the other, of which each may hold for some hits and by chance.
///
/// - Source: gofail's `terms`: `[P%][N*]ACTION[(ARGUMENT)]`, joined by `->`.
public struct FailpointTerms: Sendable, Equatable, CustomStringConvertible {
  public enum Action: Sendable, Equatable {
    case off
    case panic(String)
    case sleep(milliseconds: Int)
    case print(String)
    /// The place fails with a text, if it can.
    case giveBack(String)

    /// With what the place is to fail.
    public var text: String? { if case .giveBack(let text) = self { text } else { nil } }
  }

  struct Term: Sendable, Equatable {
    let action: Action
    /// Of a thousand hits.
    var share = 1_000
    /// Hits that are left; `nil`: any number.
    var left: Int?
  }

  public let description: String
  private var terms: [Term]

  /// - Returns: `nil` for what gofail would not understand either, and for its `break`, which calls a debugger.
  public init?(_ text: String) {
    description = text
    terms = []
    for part in text.pieces(between: "->") {
      guard let term = Self.term(part) else { return nil }
      terms.append(term)
    }
  }

  /// What this hit does; `nil` for nothing.
  /// - Parameter chance: a number below 1,000.
  public mutating func next(chance: Int) -> Action? {
    guard let place = terms.firstIndex(where: { $0.left != 0 }) else { return nil }
    guard chance < terms[place].share else { return nil }
    if let left = terms[place].left { terms[place].left = left - 1 }
    return terms[place].action == .off ? nil : terms[place].action
  }

  private static func term(_ text: Substring) -> Term? {
    var rest = text
    var share = 1_000
    if let percent = rest.firstIndex(of: "%") {
      guard let value = Double(rest[..<percent]), (0...100).contains(value) else { return nil }
      share = Int(value * 10)
      rest = rest[rest.index(after: percent)...]
    }
    var left: Int?
    if let star = rest.firstIndex(of: "*"), star < (rest.firstIndex(of: "(") ?? rest.endIndex) {
      guard let count = Int(rest[..<star]), count >= 0 else { return nil }
      left = count
      rest = rest[rest.index(after: star)...]
    }
    guard let action = action(rest) else { return nil }
    return Term(action: action, share: share, left: left)
  }

  private static func action(_ text: Substring) -> Action? {
    let name = text.prefix { $0 != "(" }
    var argument = text.dropFirst(name.count)
    if !argument.isEmpty {
      guard argument.hasSuffix(")") else { return nil }
      argument = argument.dropFirst().dropLast()
    }
    let isText = argument.count >= 2 && argument.hasPrefix("\"") && argument.hasSuffix("\"")
    let words = String(isText ? argument.dropFirst().dropLast() : argument)
    switch name {
    case "off": return .off
    case "panic": return .panic(words)
    case "print": return .print(words)
    case "return": return .giveBack(words)
    case "sleep":
      guard let milliseconds = isText ? Self.milliseconds(words) : Int(words),
        (0...sleepMax).contains(milliseconds)
      else { return nil }
      return .sleep(milliseconds: milliseconds)
    default: return nil
    }
  }

  /// An hour.
  private static let sleepMax = 3_600_000

  private static func milliseconds(_ text: String) -> Int? {
    (try? GoDuration.parse(text)).map { Int($0 / 1_000_000) }
  }
}
