/// All that is checked about what clients saw.
public enum HistoryCheck {
  /// - Returns: one line for each violation.
  public static func problems(of history: [Operation], keys: [String]) -> [String] {
    var revisions = RevisionChecker(history)
    var problems = revisions.check()
    for key in keys {
      switch verdict(on: history.compactMap { RegisterChecker.Step($0, key: key) }) {
      case .linearizable: continue
      case .violation: problems.append("the history of \(key) is not linearizable")
      case .undecided: problems.append("the history of \(key) is too wide to decide")
      }
    }
    return problems
  }

  /// Tries without the writes of unknown outcome whose value nobody saw: most never happened, and each
  /// doubles the orders to try. They are needed only to explain that a comparison failed or that a
  /// delete found something.
  private static func verdict(on steps: [RegisterChecker.Step]) -> RegisterChecker.Verdict {
    var seen: Set<Int> = []
    for step in steps {
      switch step.action {
      case .read(let value), .compareAndPut(let value, _, succeeded: true): seen.insert(value)
      default: continue
      }
    }
    var few = RegisterChecker(
      steps.filter { step in
        if step.returned != nil { return true }
        switch step.action {
        case .write(let value), .compareAndPut(_, let value, _): return seen.contains(value)
        case .delete, .read: return true
        }
      })
    if few.check() == .linearizable { return .linearizable }
    var all = RegisterChecker(steps)
    return all.check()
  }
}
