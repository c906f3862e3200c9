/// Decides whether what was read of a set that only grows can be: all that was there for certain, and nothing that
/// nobody had added.
public enum SetChecker {
  /// Somebody adds an element, of which there is one.
  public struct Add: Sendable {
    let element: Int
    let called: Int
    /// When it was there for certain; `nil` when the outcome is unknown.
    let returned: Int?
    let position: Int

    /// - Parameter position: in the history.
    public init(_ element: Int, called: Int, returned: Int?, position: Int) {
      self.element = element
      self.called = called
      self.returned = returned
      self.position = position
    }
  }

  /// Somebody reads the whole set.
  public struct Look: Sendable {
    let elements: [Int]
    let called: Int
    let returned: Int
    let position: Int

    /// - Parameter position: in the history.
    public init(_ elements: [Int], called: Int, returned: Int, position: Int) {
      self.elements = elements
      self.called = called
      self.returned = returned
      self.position = position
    }
  }

  /// - Returns: for each element the first that is wrong with it.
  public static func problems(_ adds: [Add], _ looks: [Look]) -> [HistoryProblem] {
    var added: [Int: Add] = [:]
    for add in adds { added[add.element] = add }
    var problems: [HistoryProblem] = []
    /// Since when each is there, and what shows it.
    var there: [Int: (since: Int, shownBy: Int)] = [:]
    for add in adds {
      if let returned = add.returned { there[add.element] = (returned, add.position) }
    }
    for look in looks {
      for element in look.elements {
        if there[element].map({ look.returned < $0.since }) ?? true {
          there[element] = (look.returned, look.position)
        }
        guard let add = added[element] else {
          problems.append(
            HistoryProblem("\(element) is in the set, and nobody added it", [look.position]))
          continue
        }
        guard add.called > look.returned else { continue }
        problems.append(
          HistoryProblem(
            "\(element) is in the set before it was added", [look.position, add.position]))
      }
    }
    return problems + missing(there, looks)
  }

  private static func missing(
    _ there: [Int: (since: Int, shownBy: Int)], _ looks: [Look]
  ) -> [HistoryProblem] {
    let byTime = there.sorted { ($0.value.since, $0.key) < ($1.value.since, $1.key) }
    var problems: [HistoryProblem] = []
    var told: Set<Int> = []
    for look in looks {
      let seen = Set(look.elements)
      for (element, known) in byTime {
        guard known.since < look.called else { break }
        guard !seen.contains(element), told.insert(element).inserted else { continue }
        problems.append(
          HistoryProblem(
            "\(element) was in the set and is missing in what was read later",
            [known.shownBy, look.position]))
      }
    }
    return problems
  }
}

/// Decides whether lists that are only appended to were seen as such: of two, one is the beginning of the other.
public enum ListChecker {
  /// A list as somebody read it.
  public struct Look: Sendable {
    let elements: [Int]
    let position: Int

    /// - Parameter position: in the history.
    public init(_ elements: [Int], position: Int) {
      self.elements = elements
      self.position = position
    }
  }

  /// - Parameters:
  ///   - name: of the list, for the text.
  ///   - looks: all that was seen of it.
  /// - Returns: the first two that cannot be together.
  public static func problem(_ name: String, _ looks: [Look]) -> HistoryProblem? {
    guard let longest = looks.max(by: { $0.elements.count < $1.elements.count }) else { return nil }
    for look in looks where !longest.elements.starts(with: look.elements) {
      let at = zip(look.elements, longest.elements).prefix { $0 == $1 }.count
      return HistoryProblem(
        "\(name) was seen with \(look.elements[at]) at place \(at) and with \(longest.elements[at])",
        [look.position, longest.position].sorted())
    }
    return nil
  }
}
