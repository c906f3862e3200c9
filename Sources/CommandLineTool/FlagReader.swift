import GoText

/// Values of all flags of a command.
struct FlagValues: Sendable {
  private var texts: [String: String]
  private var allTexts: [String: [String]] = [:]
  var given: Set<String> { Set(allTexts.keys) }

  init(_ flags: [CommandFlag]) {
    texts = Dictionary(flags.map { ($0.name, $0.fallback) }, uniquingKeysWith: { $1 })
  }

  func text(_ name: String) -> String {
    guard let text = texts[name] else { preconditionFailure("no flag is called \(name)") }
    return text
  }

  func all(_ name: String) -> [String] { allTexts[name] ?? [] }

  func isKnown(_ name: String) -> Bool { texts[name] != nil }

  fileprivate mutating func set(_ flag: CommandFlag, _ text: String) {
    if flag.kind.isList, allTexts[flag.name] != nil, let before = texts[flag.name] {
      texts[flag.name] = before + "," + text
    } else {
      texts[flag.name] = text
    }
    allTexts[flag.name, default: []].append(text)
  }
}

/// Reads the words behind a command as pflag does: flags may stand behind arguments, `--` ends them.
struct FlagReader {
  let flags: [CommandFlag]

  struct Result {
    var values: FlagValues
    var arguments: [String] = []
    /// How many arguments stand in front of `--`; `nil` without one.
    var argumentsAtDash: Int?
  }

  /// Why reading stopped.
  struct Failure: Error, Equatable { let message: String }

  init(_ flags: [CommandFlag]) { self.flags = flags }

  func find(_ name: some StringProtocol) -> CommandFlag? { flags.first { $0.name == name } }
  func find(shorthand: Character) -> CommandFlag? { flags.first { $0.shorthand == shorthand } }

  func read(_ words: [String]) throws(Failure) -> Result {
    var result = Result(values: FlagValues(flags))
    var rest = words[...]
    while let word = rest.popFirst() {
      if !word.hasPrefix("-") || word == "-" {
        result.arguments.append(word)
      } else if word == "--" {
        result.argumentsAtDash = result.arguments.count
        result.arguments += rest
        break
      } else if word.hasPrefix("--") {
        try readLong(word, &rest, &result.values)
      } else {
        try readShort(word, &rest, &result.values)
      }
    }
    return result
  }

  private func readLong(
    _ word: String, _ rest: inout ArraySlice<String>, _ values: inout FlagValues
  ) throws(Failure) {
    let body = word.dropFirst(2)
    guard let first = body.first, first != "-", first != "=" else {
      throw Failure(message: "bad flag syntax: \(word)")
    }
    let equals = body.firstIndex(of: "=")
    let name = body[..<(equals ?? body.endIndex)]
    guard let flag = find(name) else { throw Failure(message: "unknown flag: --\(name)") }
    if let equals {
      try set(flag, String(body[body.index(after: equals)...]), &values)
    } else if let bare = flag.kind.bare {
      try set(flag, bare, &values)
    } else if let next = rest.popFirst() {
      try set(flag, next, &values)
    } else {
      throw Failure(message: "flag needs an argument: \(word)")
    }
  }

  private func readShort(
    _ word: String, _ rest: inout ArraySlice<String>, _ values: inout FlagValues
  ) throws(Failure) {
    var letters = word.dropFirst()
    while let letter = letters.first {
      guard let flag = find(shorthand: letter) else {
        throw Failure(message: "unknown shorthand flag: '\(letter)' in -\(letters)")
      }
      let behind = letters.dropFirst()
      if behind.count > 1, behind.first == "=" {
        return try set(flag, String(behind.dropFirst()), &values)
      }
      if let bare = flag.kind.bare {
        try set(flag, bare, &values)
      } else if !behind.isEmpty {
        return try set(flag, String(behind), &values)
      } else if let next = rest.popFirst() {
        return try set(flag, next, &values)
      } else {
        throw Failure(message: "flag needs an argument: '\(letter)' in -\(letters)")
      }
      letters = behind
    }
  }

  private func set(
    _ flag: CommandFlag, _ text: String, _ values: inout FlagValues
  ) throws(Failure) {
    if let problem = flag.kind.problem(text) {
      let name = flag.shorthand.map { "-\($0), --\(flag.name)" } ?? "--\(flag.name)"
      throw Failure(
        message: "invalid argument \(GoQuote.text(text)) for \(GoQuote.text(name)) flag: \(problem)"
      )
    }
    values.set(flag, text)
  }

  /// Whether a word is a flag whose value is the next word.
  func takesNext(_ word: String) -> Bool {
    guard word.hasPrefix("-"), !word.contains("=") else { return false }
    if word.hasPrefix("--") { return find(word.dropFirst(2))?.kind.bare == nil }
    guard word.count == 2, let letter = word.last else { return false }
    return find(shorthand: letter)?.kind.bare == nil
  }

  /// The words that are no flags and no values of flags, up to `--`, with their positions.
  func plainWords(_ words: [String]) -> [(position: Int, word: String)] {
    var found: [(Int, String)] = []
    var position = 0
    while position < words.count, words[position] != "--" {
      let word = words[position]
      if word.hasPrefix("-") {
        if takesNext(word) { position += 1 }
      } else if !word.isEmpty {
        found.append((position, word))
      }
      position += 1
    }
    return found
  }
}
