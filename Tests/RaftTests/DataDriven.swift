/// One block of a data-driven script: a directive, its input and the output it must give.
///
/// The format is that of github.com/cockroachdb/datadriven: `cmd key key=value key=(a, b)`, input
/// lines, `----`, expected lines up to a blank one; or twice `----` around expected lines that may
/// be blank.
struct ScriptBlock {
  struct Argument {
    var key: String
    var values: [String] = []
  }

  var line: Int
  var command: String
  var arguments: [Argument]
  var input = ""
  var expected = ""
}

/// Something in a script that cannot be run; the scripts' author has to correct it.
struct ScriptError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Reads all blocks of a script.
struct ScriptParser {
  private let lines: [Substring]
  private var next = 0

  init(_ text: String) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last == "" { lines.removeLast() }
    self.lines = lines
  }

  static func blocks(_ text: String) throws -> [ScriptBlock] {
    var parser = ScriptParser(text)
    var blocks: [ScriptBlock] = []
    while let block = try parser.block() { blocks.append(block) }
    return blocks
  }

  private mutating func take() -> Substring? {
    guard next < lines.count else { return nil }
    defer { next += 1 }
    return lines[next]
  }

  private mutating func block() throws -> ScriptBlock? {
    while let raw = take() {
      let number = next
      var line = raw.trimmed
      if line.hasPrefix("#") { continue }
      while line.hasSuffix("\\"), let more = take() {
        line = line.dropLast() + " " + more.trimmed
      }
      guard let (command, arguments) = try Self.directive(Substring(line), number) else { continue }
      var block = ScriptBlock(line: number, command: command, arguments: arguments)
      if command == "subtest" { return block }
      var input: [Substring] = []
      while let line = take() {
        if line == "----" {
          block.expected = expected()
          break
        }
        input.append(line)
      }
      block.input = String(input.joined(separator: "\n").trimmed)
      return block
    }
    return nil
  }

  private mutating func expected() -> String {
    var found: [Substring] = []
    guard let first = take() else { return "" }
    if first == "----" {
      while let line = take() {
        if line == "----", next < lines.count, lines[next] == "----" {
          next += 1
          break
        }
        found.append(line)
      }
    } else if !first.trimmed.isEmpty {
      found.append(first)
      while let line = take(), !line.trimmed.isEmpty { found.append(line) }
    }
    return found.map { $0 + "\n" }.joined()
  }

  private static func directive(
    _ line: Substring, _ number: Int
  ) throws -> (String, [ScriptBlock.Argument])? {
    var rest = line.trimmed
    func until(_ stops: String) -> String {
      let end = rest.firstIndex { stops.contains($0) } ?? rest.endIndex
      defer { rest = rest[end...] }
      return String(rest[..<end])
    }
    let command = until(" ")
    if command.isEmpty { return nil }
    var arguments: [ScriptBlock.Argument] = []
    rest = rest.trimmed
    while !rest.isEmpty {
      var argument = ScriptBlock.Argument(key: until(" ="))
      if argument.key.isEmpty { throw ScriptError("line \(number): cannot parse \(line)") }
      if rest.first == "=" {
        rest.removeFirst()
        if rest.first == "(" {
          rest.removeFirst()
          argument.values = try list(&rest, "line \(number): cannot parse \(line)")
        } else {
          argument.values = [until(" ")]
        }
      }
      arguments.append(argument)
      rest = rest.trimmed
    }
    return (command, arguments)
  }

  /// Values between commas up to the closing parenthesis; values may hold balanced ones.
  private static func list(_ rest: inout Substring, _ failure: String) throws -> [String] {
    var values: [String] = []
    var depth = 0
    var value = ""
    while let character = rest.popFirst() {
      switch character {
      case ")" where depth == 0:
        values.append(String(Substring(value).trimmed))
        return values
      case "," where depth == 0:
        values.append(String(Substring(value).trimmed))
        value = ""
        continue
      case "(": depth += 1
      case ")": depth -= 1
      default: break
      }
      value.append(character)
    }
    throw ScriptError(failure)
  }
}

extension StringProtocol where SubSequence == Substring {
  /// Without white space at both ends.
  var trimmed: Substring {
    let from = self.drop { $0.isWhitespace }
    guard let last = from.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return from[...last]
  }
}

extension ScriptBlock {
  /// Values of the argument `key`; empty when it is not there.
  func values(_ key: String) -> [String] {
    arguments.first { $0.key == key }?.values ?? []
  }

  /// Arguments without values.
  var plainKeys: [String] { arguments.filter(\.values.isEmpty).map(\.key) }

  func failure(_ reason: String) -> ScriptError { ScriptError("line \(line): \(reason)") }

  func number(_ text: String) throws -> UInt64 {
    guard let value = UInt64(text) else { throw failure("not a number: \(text)") }
    return value
  }

  func int(_ text: String) throws -> Int {
    guard let value = Int(text) else { throw failure("not a number: \(text)") }
    return value
  }

  func bool(_ text: String) throws -> Bool {
    guard let value = GoParsing.bool(text) else { throw failure("not a boolean: \(text)") }
    return value
  }
}

/// Text to values as Go's strconv does, with its error texts.
enum GoParsing {
  static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }

  static func uint(_ text: some StringProtocol) throws -> UInt64 {
    if let value = UInt64(text), !text.hasPrefix("+") { return value }
    let isNumber = !text.isEmpty && text.allSatisfy { $0.isASCII && $0.isNumber }
    throw ScriptError(
      "strconv.ParseUint: parsing \"\(text)\": "
        + (isNumber ? "value out of range" : "invalid syntax"))
  }
}

/// The lines of a text that differ from another one, with signs before them.
func lineDiff(expected: String, actual: String) -> String {
  let old = expected.split(separator: "\n", omittingEmptySubsequences: false)
  let new = actual.split(separator: "\n", omittingEmptySubsequences: false)
  var removed: Set<Int> = []
  var inserted: Set<Int> = []
  for change in new.difference(from: old) {
    switch change {
    case .remove(let at, _, _): removed.insert(at)
    case .insert(let at, _, _): inserted.insert(at)
    }
  }
  var result = ""
  var (a, b) = (0, 0)
  while a < old.count || b < new.count {
    if removed.contains(a) {
      result += "- \(old[a])\n"
      a += 1
    } else if inserted.contains(b) {
      result += "+ \(new[b])\n"
      b += 1
    } else {
      result += "  \(old[a])\n"
      a += 1
      b += 1
    }
  }
  return result
}
