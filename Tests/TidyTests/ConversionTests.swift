import Foundation
import Testing

/// Numbers from outside may not end the process: where bytes become values, a conversion says what
/// happens to a number that does not fit, and nothing is taken for granted without saying why.
@Suite struct ConversionTests {
  /// A conversion that traps on what does not fit, unless its form shows that everything does.
  private let conversion =
    #/\bU?Int(?:8|16|32|64)?\((?!exactly:|clamping:|truncatingIfNeeded:|bitPattern:|littleEndian:|bigEndian:|ascii:|jsonInteger:|-?\d[\d_x]*\))(?!.*radix:)/#
  /// Counts and sizes of what is in memory, and constants of C, fit.
  private let harmless =
    #/\bU?Int(?:8|16|32|64)?\((?:[\w.$]+\.count|MemoryLayout<[\w.]+>\.size|\w+\.rawValue|U?Int(?:32|64)\.max)\)/#
  /// Numbers read from text, which may be `nil`: bound in a condition, or with a value instead.
  private let bound = #/\blet \w+ = U?Int(?:8|16|32|64)?\([^()]*\)/#
  private let optional = #/\bU?Int(?:8|16|32|64)?\([^()]*\)(?= \?\?|\.map)/#
  private let force = #/\b(?:try|as)!|[\w)\]]!(?![=\w])/#

  /// Lines that may trap and give no reason, by file.
  private func findings(in text: String) -> [Int] {
    let lines = CodeLines.split(text)
    return lines.indices.filter { at in
      var code = CodeLines.code(lines[at]).replacing(harmless, with: "0").replacing(
        optional, with: "0")
      if code.contains(#/\b(?:guard|if)\b/#) { code = code.replacing(bound, with: "let") }
      guard code.contains(force) || code.contains(conversion) else { return false }
      return !CodeLines.hasReason(lines, at)
    }
  }

  @Test(arguments: CodeLines.targets)
  func numbersFromOutsideAreChecked(_ target: String) throws {
    try CodeLines.compare(target, "known-conversions.txt", findings) { place, key in
      """
      \(place) may trap on a number or a missing value: \(key)
      Convert with exactly:, clamping: or truncatingIfNeeded:, unwrap with guard, or say in a comment \
      "// checked: why" what makes it safe.
      """
    }
  }

  /// The rule itself: what it sees and what it lets pass.
  @Test(arguments: [
    ("let size = Int(length)", true), ("let value = try! read()", true),
    ("let call = stream as! Call", true), ("let first = head.first!.isLetter", true),
    ("var peer: Peer!", true), ("return Int(header.size + 1)", true),
    ("guard let size = Int(text), size < 9 else {", false), ("Int(text) ?? 0", false),
    ("let size = Int(exactly: length)", false), ("if a != b { return }", false),
    ("let name = \"Int(x)!\"", false), ("// Int(x) is not code", false),
    ("let many = UInt64(entries.count)", false), ("let id = UInt64(text, radix: 16)", false),
    ("let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)", false), ("let ten = UInt64(10)", false),
    ("let size = Int(length)  // checked: at most 4 MiB, see above", false),
    ("guard !isEmpty, !(a || b) else { return }", false),
  ])
  func theRuleSees(_ line: String, _ isFound: Bool) {
    #expect(findings(in: line).isEmpty == !isFound)
  }
}
