/// All that is checked about what clients saw of keys.
public enum HistoryCheck {
  /// - Returns: one for each violation.
  public static func problems<Entry: ClientOperation>(
    of history: [Entry], keys: [String]
  ) -> [HistoryProblem] {
    var revisions = RevisionChecker(history)
    return revisions.check() + linearizability(of: history, keys: keys)
  }

  /// What is not linearizable, key by key.
  public static func linearizability<Entry: ClientOperation>(
    of history: [Entry], keys: [String]
  ) -> [HistoryProblem] {
    var problems: [HistoryProblem] = []
    for key in keys {
      var steps: [RegisterChecker.Step] = []
      var places: [Int] = []
      for (position, operation) in history.enumerated() {
        guard let step = operation.step(on: key) else { continue }
        steps.append(step)
        places.append(position)
      }
      let (verdict, failure) = RegisterChecker.verdict(on: steps)
      switch verdict {
      case .linearizable: continue
      case .violation:
        problems.append(
          HistoryProblem(
            "the history of \(key) is not linearizable",
            failure?.part.map { places[$0] } ?? []))  // checked: a place for each step
      case .undecided:
        problems.append(
          HistoryProblem("the history of \(key) is too wide to decide", isUndecided: true))
      }
    }
    return problems
  }
}
