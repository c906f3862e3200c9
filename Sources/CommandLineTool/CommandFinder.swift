import GoText

/// Finds the command that a command line names.
struct CommandFinder {
  let root: Command
  var matchesPrefixes = true

  /// The command with the words that are left for it; flags may stand in front of its name.
  func find(_ words: [String]) -> (path: CommandPath, words: [String]) {
    var path = [root]
    var rest = words
    while true {
      let here = CommandPath(path)
      guard let (position, word) = here.reader.plainWords(rest).first,
        let next = below(here.command, word)
      else { return (here, rest) }
      rest.remove(at: position)
      path.append(next)
    }
  }

  /// A command by its name, an alias, or a prefix that only one command has.
  private func below(_ command: Command, _ word: String) -> Command? {
    if let exact = command.commands.first(where: { $0.name == word || $0.aliases.contains(word) }) {
      return exact
    }
    guard matchesPrefixes else { return nil }
    let matches = command.commands.filter { candidate in
      candidate.name.hasPrefix(word) || candidate.aliases.contains { $0.hasPrefix(word) }
    }
    return matches.count == 1 ? matches[0] : nil
  }

  /// The text for a word that is no command of the root; `nil` when there is no such word.
  func unknownCommand(_ path: CommandPath, _ words: [String]) -> String? {
    guard path.commands.count == 1, !root.commands.isEmpty, root.arguments == .any,
      let word = path.reader.plainWords(words).first?.word
    else { return nil }
    var text = "unknown command \(GoQuote.text(word)) for \(GoQuote.text(root.name))"
    let similar = root.commands.filter { $0.isAvailable && Self.isSimilar($0.name, word) }
    if !similar.isEmpty {
      text += "\n\nDid you mean this?\n" + similar.map { "\t\($0.name)\n" }.joined()
    }
    return text
  }

  private static func isSimilar(_ name: String, _ typed: String) -> Bool {
    CommandNames.areSimilar(name, typed)
  }

  /// Levenshtein distance.
  static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let change = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = Swift.min(change, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[b.count]
  }
}

/// Names as people mistype them.
public enum CommandNames {
  /// Whether somebody who typed one may have meant the other.
  /// - Source: cobra `SuggestionsFor`.
  public static func areSimilar(_ name: String, _ typed: String) -> Bool {
    let a = name.lowercased()
    let b = typed.lowercased()
    return a.hasPrefix(b) || CommandFinder.distance(Array(a), Array(b)) <= 2
  }
}
