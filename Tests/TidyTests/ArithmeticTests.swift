import Foundation
import Testing

/// Numbers from outside may not end the process, nor ask for memory without a limit: arithmetic that traps
/// on overflow, indexes, ranges and capacities say why they fit, or were looked at.
///
/// What the rule sees: `+ - * / %` with spaces around, their compound forms, a sign in front of a name, `abs`,
/// ranges with two bounds, subscripts, what takes a part of a collection or takes from it, `stride` and moved
/// indexes, capacities and counts of repeated elements; in `\(…)` of a text too. What it does not see: a
/// subscript with a literal (`parts[0]`), `<<` and `>>` (they lose bits, they do not trap), `first!` (which
/// `ConversionTests` sees), preconditions, arithmetic inside of what is called, recursion, and what generated
/// code does.
@Suite struct ArithmeticTests {
  // What shows by its form that it fits, and is taken away first: constants, counts of what is in memory and
  // a literal more or less, texts and lists that are joined, elements of dictionaries.
  private let constants = #/(^|[\s(\[{,])\d[\w.]*(?: [-+*\/] \d[\w.]*)+/#
  private let layouts = #/MemoryLayout<[\w.]+>\.\w+/#
  private let counts = #/\.count [-+] \d+/#
  private let texts = #/"" \+=? | \+=? (?=""|\[)/#
  private let fixedRanges = #/(^|[\s(\[{,])-?\d\w*\.\.[.<](?:-?\d\w*|[\w.$]+\.count(?![\w.(]))/#
  private let letters = #/UInt8\(ascii: ""\)(?:\.\.[.<]UInt8\(ascii: ""\))?/#
  private let defaults = #/\[[^\[\]]*, default: [^\]]*\]/#
  private let optionals = #/\[[^\[\]]*\](?=\?| \?\?| [!=]= nil| = nil)/#
  private let bindings = #/\b(?:let|var) \w+ = [\w.$?]+\[[^\[\]]*\](?=,$| else| \{|, )/#
    .wordBoundaryKind(.simple)
  private let keys = #/\[(?:""|keyPath: [^\]]*|\.\.\.)\]/#
  private let variadics = #/: [\w.<>\[\]() ,]+\.\.\.(?=[,)])/#

  private let arithmetic = #/(?:[\w)\]}!?>"]|^) [-+*]=? (?=[\w(\[.$\-!])|^[-+*] (?=[\w(\[.$\-])/#
  private let division = #/(?:[\w)\]}!?>]|^) ?[\/%]=? (?!\d)(?=[\w(.$])/#
  private let negation = #/(?:[(,=:?\[{<]|\breturn|&&|\|\||^) ?-(?=[a-zA-Z_(])|\babs\(|\.negate\(/#
    .wordBoundaryKind(.simple)
  private let range = #/\.\.<|\.\.\.(?=[\w(\-])/#
  private let element = #/[\w)\]?!]\[(?!\d+\]|\])/#
  private let part =
    #/\.(?:dropFirst|dropLast|prefix|suffix)\((?!\)|\d+\)|while:)|\.(?:removeFirst|removeLast|removeSubrange|replaceSubrange|swapAt)\((?!\d+\)\.)|\.(?:insert|remove)\([^"]*\bat: /#
    .wordBoundaryKind(.simple)
  private let memory =
    #/\brepeating: [^,]+, count: (?!\d+\)|[\w.]+\.count\))|\breserveCapacity\((?!\d+\)|[\w.]+\.count\))|\b[cC]apacity: (?!\d+[,)]|Int\b|[\w.]+\.count[,)])|\ballocate\(|\bbyteCount: /#
    .wordBoundaryKind(.simple)
  private let moved = #/\boffsetBy:|\badvanced\(by:|\bstride\(/#.wordBoundaryKind(.simple)

  /// What a line of code does that may trap.
  private func problem(_ line: String) -> String? {
    let code = CodeLines.code(line).trimmingCharacters(in: .whitespaces)
    guard !code.isEmpty, code != "}" else { return nil }
    let plain = code.replacing(letters, with: "0").replacing(layouts, with: "0")
      .replacing(constants) { "\($0.output.1)0" }.replacing(fixedRanges) { "\($0.output.1)0" }
      .replacing(counts, with: ".count").replacing(texts, with: " · ")
      .replacing(variadics, with: "").replacing(keys, with: "").replacing(defaults, with: "")
      .replacing(optionals, with: "").replacing(bindings, with: "")
    if plain.contains(arithmetic) || plain.contains(negation) { return "arithmetic" }
    if plain.contains(division) { return "a division" }
    if plain.contains(range) { return "a range" }
    if plain.contains(element) { return "an index" }
    if plain.contains(part) || plain.contains(moved) { return "a place in a collection" }
    return plain.contains(memory) ? "a capacity" : nil
  }

  /// Lines that may trap and give no reason.
  private func findings(in text: String) -> [Int] {
    let lines = CodeLines.split(text)
    return lines.indices.filter { at in
      problem(lines[at]) != nil && !CodeLines.hasReason(lines, at)
    }
  }

  @Test(arguments: CodeLines.targets)
  func arithmeticOnNumbersFromOutsideIsChecked(_ target: String) throws {
    try CodeLines.compare(target, "known-arithmetic.txt", findings) { place, key in
      """
      \(place) may trap, or allocate without limit, on a number from outside: \(key)
      Use &+, …ReportingOverflow, a clamp or a check, and say in a comment "// checked: why"; or, when the \
      number is none from outside, add the line to known-arithmetic.txt (TIDY_ACCEPT=1 does).
      """
    }
  }

  /// The rule itself: what it sees and what it lets pass.
  @Test(arguments: [
    ("let next = revision + 1", true), ("ttl * 1000", true), ("total += part.size", true),
    ("stats.setsSuccess += 1", true), ("let rest = size % unit", true), ("share * 8 + 1", true),
    ("return -value", true), ("let size = abs(difference)", true), ("for at in 0..<count {", true),
    ("for id in first...last {", true), ("let one = bytes[at]", true), ("bytes[start..<end]", true),
    ("state.words[Int(page >> 6)] |= bit", true), ("rest = rest.dropFirst(width)", true),
    ("text.prefix(limit - used)", true), ("queue.removeFirst()", true),
    ("ids.insert(id, at: at)", true),
    ("children.remove(at: index)", true), ("[UInt8](repeating: 0, count: size)", true),
    ("entries.reserveCapacity(claimed)", true), ("ByteWriter(capacity: length)", true),
    ("stride(from: 0, to: end, by: step)", true), ("text.index(start, offsetBy: 3)", true),
    ("throw failed(\"record of \\(size + padding) bytes\")", true), ("+ tail.size", true),
    ("let found = routes[path]", true), ("let line = names[at] + \"/x\"", true),
    ("let all = parts[at] + [last]", true), ("offset &+ length + 1", true), ("a[i] + b[i]", true),
    ("offset &+ length", false), ("let sum = a.addingReportingOverflow(b)", false),
    ("let last = parts.count - 1", false), ("64 * 1024", false), ("1 << 20", false),
    ("let text = \"a + b[i]\"", false), ("// a + b[i] is not code", false),
    ("name + \"/x\"", false),
    ("let parts = [1] + [2]", false), ("for at in 0..<parts.count {", false),
    ("case 0x30...0x39: digit", false), ("let name = parts[0]", false),
    ("guard let user = users[name] else {", false), ("names[id] ?? \"\"", false),
    ("watchers[id]?.cancel()", false), ("calls[number] = nil", false),
    ("if lines[owner] == nil {", false),
    ("counts[key, default: 0]", false), ("value[\"id\"]?.integer()", false),
    ("rest.popFirst()", false),
    ("settings[keyPath: path]", false), ("var all: [String: [Int]] = [:]", false),
    ("func add(_ names: String...) {", false), ("bytes.prefix { $0 != 0 }", false),
    ("entries.reserveCapacity(values.count)", false), ("ByteWriter(capacity: 64)", false),
    ("text.dropFirst(2)", false), ("let inverse = -1", false), ("a -> b", false),
    ("let all = rest[...]", false),
    ("let next = revision + 1  // checked: below 2^62, see restore", false),
  ])
  func theRuleSees(_ line: String, _ isFound: Bool) {
    #expect(findings(in: line).isEmpty == !isFound, "\(problem(line) ?? "nothing")")
  }
}
