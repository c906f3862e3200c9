import GoText

/// Reads a command line as Go's `flag` package does.
struct FlagParser {
  /// What a command line holds.
  struct Result: Equatable {
    /// Flags and values in the order given.
    var given: [Given] = []
    /// Where reading stopped: the first word that is no flag, and everything after it.
    var rest: [String] = []
  }

  /// A flag with its value.
  struct Given: Equatable {
    let name: String
    let value: FlagValue
    var origin = Origin.line
  }

  /// Why reading stopped early.
  enum Failure: Error, Equatable {
    /// `-h` or `-help`.
    case helpWanted
    case bad(String)
  }

  private let flags: [String: Flag]

  init(_ flags: [String: Flag] = FlagTable.byName) { self.flags = flags }

  /// Reads `arguments`, without the program's name.
  /// - Throws: `Failure` for the first word that cannot be read.
  func parse(_ arguments: [String]) throws(Failure) -> Result {
    var result = Result()
    var index = 0
    while index < arguments.count {
      let word = arguments[index]
      guard word.utf8.count >= 2, word.hasPrefix("-") else { break }
      index += 1
      if word == "--" { break }
      let body = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
      guard let first = body.first, first != "-", first != "=" else {
        throw .bad("bad flag syntax: \(word)")
      }
      let equals = body.firstIndex(of: "=")
      let name = String(equals.map { body[..<$0] } ?? body)
      var text = equals.map { String(body[body.index(after: $0)...]) }
      guard let flag = flags[name] else {
        if name == "help" || name == "h" { throw .helpWanted }
        throw .bad("flag provided but not defined: -\(name)")
      }
      if text == nil {
        if flag.isBare {
          text = "true"
        } else {
          guard index < arguments.count else { throw .bad("flag needs an argument: -\(name)") }
          text = arguments[index]
          index += 1
        }
      }
      result.given.append(try read(flag, text ?? ""))
    }
    result.rest = Array(arguments[index...])
    return result
  }

  private func read(_ flag: Flag, _ text: String) throws(Failure) -> Given {
    do {
      return Given(name: flag.name, value: try flag.read(text))
    } catch {
      let what = flag.isBare ? "boolean value" : "value"
      let place = flag.isBare ? "" : "flag "
      throw .bad(
        "invalid \(what) \(GoQuote.text(text)) for \(place)-\(flag.name): \(error.message)")
    }
  }
}
