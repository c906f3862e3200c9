/// All that is checked about what clients saw.
public enum HistoryCheck {
  /// - Returns: one line for each violation.
  public static func problems(of history: [Operation], keys: [String]) -> [String] {
    var revisions = RevisionChecker(history)
    var problems = revisions.check()
    for key in keys {
      let steps = history.compactMap { RegisterChecker.Step($0, key: key) }
      var checker = RegisterChecker(steps)
      switch checker.check() {
      case .linearizable: continue
      case .violation: problems.append("the history of \(key) is not linearizable")
      case .undecided: problems.append("the history of \(key) is too wide to decide")
      }
    }
    return problems
  }
}
