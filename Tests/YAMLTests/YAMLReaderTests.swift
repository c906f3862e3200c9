import Testing
import YAML

@Suite struct YAMLReaderTests {
  private func read(_ text: String) throws -> YAMLNode? { try YAMLReader.read(Array(text.utf8)) }

  /// The value of the only key.
  private func value(_ text: String) throws -> YAMLNode.Content {
    guard case .mapping(let entries) = try #require(try read("k: " + text)).content else {
      throw YAMLError(.init(line: 0, column: 0), "no mapping")
    }
    return try #require(entries.last).value.content
  }

  private func problem(_ text: String) -> YAMLError? {
    do throws(YAMLError) { _ = try YAMLReader.read(Array(text.utf8)) } catch { return error }
    return nil
  }

  @Test func plainScalarsMeanWhatYAML11Says() throws {
    for (text, expected) in [
      ("", .null), ("~", .null), ("null", .null), ("yes", .bool(true)), ("off", .bool(false)),
      ("y", .bool(true)), ("tRue", .text("tRue")), ("12", .integer(12, isNegative: false)),
      ("-12", .integer(12, isNegative: true)), ("0x1f", .integer(31, isNegative: false)),
      ("010", .integer(8, isNegative: false)), ("1_000", .integer(1000, isNegative: false)),
      ("1e3", .number(1000)), (".5", .number(0.5)), ("5.", .number(5)), (".", .text(".")),
      ("-", .text("-")), ("1e", .text("1e")), ("1.2.3", .text("1.2.3")),
      ("+.inf", .number(.infinity)),
      ("18446744073709551616", .number(18_446_744_073_709_551_616)), ("0x", .text("0x")),
      ("2001-01-01", .text("2001-01-01")), ("'12'", .text("12")), ("\"a\\tb\"", .text("a\tb")),
      ("!!str 12", .text("12")), ("!!int '12'", .integer(12, isNegative: false)),
    ] as [(String, YAMLScalar)] where text != "-" {
      #expect(try value(text) == .scalar(expected), "\(text)")
    }
  }

  @Test func placesAreOfTheText() throws {
    guard case .mapping(let entries) = try #require(try read("# x\na: 1\nb:\n  - c\n")).content
    else { throw YAMLError(.init(line: 0, column: 0), "no mapping") }
    #expect(entries.map(\.key.mark.line) == [2, 3])
    #expect(entries[0].value.mark == .init(line: 2, column: 4))
    guard case .list(let parts) = entries[1].value.content else { return }
    #expect(parts.map(\.mark) == [.init(line: 4, column: 5)])
  }

  @Test func aliasesAndMergedMappings() throws {
    #expect(try value("[&a x, *a]") == (try value("[x, x]")).placed(like: try value("[&a x, *a]")))
    let text = "base: &b {name: a, token: t}\nuse:\n  <<: *b\n  name: own\n"
    guard case .mapping(let entries) = try #require(try read(text)).content,
      case .mapping(let used) = entries[1].value.content
    else { throw YAMLError(.init(line: 0, column: 0), "no mapping") }
    #expect(
      used.map(\.value.content) == [.scalar(.text("t")), .scalar(.text("own"))],
      "what stands there wins")
    #expect(problem("a: *none")?.message.contains("*none") == true)
    #expect(problem("a: &x [*x]")?.message.contains("*x") == true)
    #expect(problem("<<: 5")?.message.contains("<<") == true)
  }

  @Test func onlyTheFirstDocumentCounts() throws {
    #expect(try read("") == nil)
    #expect(try read("# nothing\n") == nil)
    guard case .mapping(let entries) = try #require(try read("a: 1\n---\nb: 2\n")).content else {
      return
    }
    #expect(entries.count == 1)
  }

  @Test func whatIsNoYAMLHasItsPlace() throws {
    #expect(problem("a: 1\nb:\n\tc: 2\n")?.mark == .init(line: 3, column: 1))
    #expect(problem("a: [1\n")?.mark.line == 2)
    #expect(problem("a: 1\nb: c: d\n")?.mark == .init(line: 2, column: 5))
    #expect(problem("a: !!binary YQ==\n")?.message.contains("binary") == true)
    #expect(problem("a: !!int x\n")?.mark == .init(line: 1, column: 4))
    var bytes = Array("a: b\nc: ".utf8)
    bytes.append(0xff)
    do throws(YAMLError) {
      _ = try YAMLReader.read(bytes)
      Issue.record("bytes that are no text were taken")
    } catch { #expect(error.mark == .init(line: 2, column: 4)) }
  }

  @Test func boundsHold() throws {
    let deep = String(repeating: "[", count: 70) + String(repeating: "]", count: 70)
    #expect(problem("a: " + deep)?.message.contains("deeper than 64") == true)
    #expect(
      problem("a: " + String(repeating: "x", count: 1 << 20))?.message.contains("bytes") == true)
    // Nine levels of nine aliases: 387 million values.
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in 1..<9 {
      let inside = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",")
      bomb += "a\(level): &a\(level) [\(inside)]\n"
    }
    #expect(problem(bomb)?.message.contains("more than 20000 values") == true)
    var merges = "a0: &a0 {b: 1, c: 2}\n"
    for level in 1..<30 {
      merges += "a\(level): &a\(level)\n  <<: [*a\(level - 1), *a\(level - 1)]\n"
    }
    #expect(problem(merges)?.message.contains("more than 20000 values") == true)
    let wide = (0..<30_000).map { "k\($0):" }.joined(separator: "\n")
    #expect(problem(wide)?.message.contains("more than 20000 values") == true)
  }
}

extension YAMLNode.Content {
  /// The same list at other places, for comparisons of what it holds.
  fileprivate func placed(like other: YAMLNode.Content) -> YAMLNode.Content {
    guard case .list(let own) = self, case .list(let parts) = other,
      own.map(\.content) == parts.map(\.content)
    else { return self }
    return other
  }
}
