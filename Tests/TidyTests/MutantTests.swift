import Foundation
import Testing

/// Faults that are built in on purpose (`scripts/mutants.sh`) are patches, so that no release can hold one: they still apply to
/// this tree, all together, and every mistake that etcd once made has one.
@Suite struct MutantTests {
  private static let folder = "Tests/TidyTests/Mutants"
  private static let rows = 1...37

  /// Lines of a file that a patch puts in place of others.
  private struct Hunk {
    let file: String
    var old: [String] = []
    var new: [String] = []
  }

  private struct Patch {
    let name: String
    var fields: [String: String] = [:]
    var hunks: [Hunk] = []

    init(name: String, _ text: String) {
      self.name = name
      var file = ""
      for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        let rest = String(line.dropFirst())
        if line.hasPrefix("--- ") { continue }
        if line.hasPrefix("+++ b/") {
          file = String(line.dropFirst(6))
        } else if line.hasPrefix("@@ ") {
          hunks.append(Hunk(file: file))
        } else if file.isEmpty {
          let parts = line.split(separator: ":", maxSplits: 1)
          if parts.count == 2 {
            fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces)
          }
        } else {
          if !line.hasPrefix("+") { hunks[hunks.count - 1].old.append(rest) }
          if !line.hasPrefix("-") { hunks[hunks.count - 1].new.append(rest) }
        }
      }
    }
  }

  private static func lines(_ path: String) throws -> [String] {
    try String(contentsOfFile: TidyTests.root + "/" + path, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private static func patches() throws -> [Patch] {
    let base = TidyTests.root + "/" + folder
    return try FileManager.default.contentsOfDirectory(atPath: base)
      .filter { $0.hasSuffix(".patch") }.sorted().map { name in
        Patch(
          name: String(name.dropLast(6)),
          try String(contentsOfFile: "\(base)/\(name)", encoding: .utf8))
      }
  }

  /// Numbers that lines of a list begin with.
  private static func numbers(_ path: String) throws -> [Int] {
    try lines("\(folder)/\(path)").compactMap { line in
      line.split(separator: " ").first.flatMap { Int($0) }
    }
  }

  /// Suites as `swift test --filter` knows them: `Target.Suite`.
  private static func suites() -> Set<String> {
    var found: Set<String> = []
    for (path, text) in TidyTests.sources("Tests") {
      let target = path.split(separator: "/")[1]
      for line in text.split(separator: "\n") where line.hasPrefix("@Suite") {
        let words = line.split(separator: " ")
        guard let place = words.firstIndex(of: "struct"), place + 1 < words.count else { continue }
        found.insert("\(target).\(words[place + 1].prefix { $0 != ":" })")
      }
    }
    return found
  }

  @Test func allApplyTogether() throws {
    var files: [String: [String]] = [:]
    for patch in try Self.patches() {
      for hunk in patch.hunks where !hunk.old.isEmpty {
        var lines = try files[hunk.file] ?? Self.lines(hunk.file)
        let places = (0...max(lines.count - hunk.old.count, 0)).filter { place in
          lines[place...].starts(with: hunk.old)
        }
        guard let place = places.first, places.count == 1 || hunk.old.count > 2 else {
          Issue.record("\(patch.name) does not apply to \(hunk.file): \(hunk.old)")
          continue
        }
        lines.replaceSubrange(place..<place + hunk.old.count, with: hunk.new)
        files[hunk.file] = lines
      }
    }
    #expect(files.count > 20)
  }

  @Test func everyRowHasAFault() throws {
    let patches = try Self.patches()
    let covered = Set(
      patches.compactMap { $0.fields["Row"].flatMap { Int($0) } } + (try Self.numbers("edge.txt")))
    #expect(covered == Set(Self.rows), "without a fault: \(Set(Self.rows).subtracting(covered))")
    #expect(try Self.numbers("rows.txt") == Array(Self.rows))
    let suites = Self.suites()
    for patch in patches where patch.fields["Row"] != "none" {
      #expect(patch.fields["What"]?.isEmpty == false, "\(patch.name)")
      #expect(
        patch.hunks.contains { $0.new.contains { $0.contains("BuiltIn.has(\"\(patch.name)\")") } })
      let finder = (patch.fields["Finder"] ?? "").split(separator: " ").map(String.init)
      if finder == ["sim"] { continue }
      #expect(finder.count == 2 && finder[0] == "test", "\(patch.name): \(finder)")
      #expect(
        suites.contains(finder.last?.split(separator: "/").first.map(String.init) ?? ""),
        "\(patch.name): no suite \(finder)")
    }
  }

  @Test func noSourceKnowsTheSwitch() {
    for (path, text) in TidyTests.sources("Sources") {
      #expect(!text.contains("BuiltIn.has"), "\(path)")
    }
  }
}
