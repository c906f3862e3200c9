import Bytes
import Platform
import Synchronization

/// Carries out what `scenario` is told.
struct ScenarioTool {
  /// Where the history is, and the cluster below it.
  let directory: RunDirectory
  /// The command line without the program's name.
  let words: [String]

  /// - Returns: the exit status.
  func perform(_ order: ScenarioOrder) throws(DevClusterError) -> Int32 {
    switch order {
    case .list(let folder): return try list(folder)
    case .check(let path):
      guard let text = SystemFiles.bytes(of: path, bytesMax: Self.historyBytesMax) else {
        throw DevClusterError.usage("cannot read \(path): \(System.lastError)")
      }
      let history = try History(text, path: path)
      let verdict = Verdict(history)
      let status = tell(verdict, of: history)
      try writePage(history, verdict, beside: path)
      return status
    case .run(let file, let seed, let through, let options):
      return try run(file, seed ?? UInt64.random(in: 0...999_999_999), through, options)
    }
  }

  private static let historyBytesMax = 1 << 30
  private static let shownMax = 5

  private func list(_ folder: String) throws(DevClusterError) -> Int32 {
    guard let names = SystemFiles.names(in: folder) else {
      throw DevClusterError.usage("cannot read \(folder): \(System.lastError)")
    }
    var table = TextTable(["FILE", "MEMBERS", "LOAD", "SCENARIO"])
    for name in names.sorted() where name.hasSuffix(".yaml") || name.hasSuffix(".json") {
      let scenario = try Self.read("\(folder)/\(name)")
      table.add([
        "\(folder)/\(name)", String(scenario.cluster.size ?? 3), scenario.load.kind.rawValue,
        scenario.name,
      ])
    }
    System.print(table.text)
    return 0
  }

  private static func read(_ path: String) throws(DevClusterError) -> Scenario {
    guard let text = System.read(path) else {
      throw DevClusterError.usage("cannot read \(path): \(System.lastError)")
    }
    return try ScenarioReader.read(Array(text), path: path)
  }

  // MARK: run

  private func run(
    _ file: String, _ seed: UInt64, _ through: [String], _ options: UpOptions
  ) throws(DevClusterError) -> Int32 {
    let scenario = try Self.read(file)
    try System.makeDirectory(directory.path)
    let cluster = try RunDirectory(directory.path + "/cluster")
    if try cluster.plan() != nil {
      throw DevClusterError(
        "\(cluster.path) holds a cluster already; a scenario makes one of its own")
    }
    let path = directory.path + "/history.jsonl"
    System.print("\(scenario.name), seed \(seed)")
    do throws(DevClusterError) {
      _ = try Detach.run(startWords(file, cluster, options), cluster, isTethered: true)
    } catch {
      System.complain(error.description)
      return ExitStatus.noStart
    }
    let history: History
    do throws(DevClusterError) {
      let plan = try cluster.existingPlan()
      let recorder = try HistoryRecorder(path)
      var header = History.Header()
      header.scenario = scenario.name
      header.seed = seed
      header.load = scenario.load.kind.rawValue
      header.command = repeating(seed)
      header.started = ClusterEvent.time(recorder.startedAt)
      header.members = plan.members.filter { $0.startsWithCluster && !$0.isLearner }.map(\.name)
      header.expect = scenario.expect
      let run = ScenarioRun(
        scenario: scenario, header: header, plan: plan, directory: cluster, through: through,
        recorder: recorder, tell: { System.print("  \($0)") })
      history = try Self.waiting { await run.result() }
    } catch {
      try? DevCluster.down(cluster)
      throw error
    }
    try DevCluster.down(cluster)
    let verdict = Verdict(history)
    let status = tell(verdict, of: history)
    System.print("history: \(path)")
    try writePage(history, verdict, beside: path)
    if verdict.isGood {
      try cluster.remove()
    } else {
      System.print("data and logs: \(cluster.path)")
    }
    return status
  }

  /// What a task found, for the thread that waits for it.
  private final class Outcome: Sendable {
    let result = Mutex<Result<History, DevClusterError>?>(nil)
  }

  /// Runs a task, and waits for it on this thread, which is none of those that tasks run on.
  private static func waiting(
    _ body: @escaping @Sendable () async -> Result<History, DevClusterError>
  ) throws(DevClusterError) -> History {
    guard let ends = Descriptor.pipe() else { throw DevClusterError("pipe: \(System.lastError)") }
    defer { for end in [ends.reading, ends.writing] { Descriptor.close(end) } }
    let outcome = Outcome()
    Task {
      let found = await body()
      outcome.result.withLock { $0 = found }
      Descriptor.write([1], to: ends.writing)
    }
    var done = [UInt8](repeating: 0, count: 1)
    guard Descriptor.read(ends.reading, into: &done) == 1,
      let found = outcome.result.withLock({ $0 })
    else {
      preconditionFailure("the scenario's pipe is closed")
    }
    return try found.get()
  }

  /// The words of `up` that start this cluster.
  private func startWords(
    _ file: String, _ cluster: RunDirectory, _ options: UpOptions
  ) -> [String] {
    var options = options
    options.ports = options.ports ?? .auto
    return ["up", "--tethered", "--dir", cluster.path, "--file", file] + options.clusterWords
  }

  /// The command that does the same again.
  private func repeating(_ seed: UInt64) -> String {
    // Each run has a place of its own.
    var words: [String] = []
    var rest = self.words[...]
    while let word = rest.popFirst() {
      if word == "--dir" {
        _ = rest.popFirst()
      } else if !word.hasPrefix("--dir=") {
        words.append(word)
      }
    }
    if !words.contains(where: { $0.hasPrefix("--seed") }) { words += ["--seed", String(seed)] }
    return (["devcluster"] + words).map(EnvironmentLines.quoted).joined(separator: " ")
  }

  // MARK: the verdict

  /// `history.html` for `history.jsonl`.
  private func writePage(
    _ history: History, _ verdict: Verdict, beside path: String
  ) throws(DevClusterError) {
    let page = (path.hasSuffix(".jsonl") ? String(path.dropLast(6)) : path) + ".html"
    try System.replace(page, HistoryPage(history: history, verdict: verdict).text)
    System.print("page: \(page)")
  }

  /// One line of verdict, and what shows it.
  /// - Returns: the exit status.
  private func tell(_ verdict: Verdict, of history: History) -> Int32 {
    guard let first = verdict.problems.first else {
      System.print("\(verdict.word): \(history.header.scenario): \(verdict.summary)")
      return 0
    }
    System.print("\(verdict.word): \(history.header.scenario): \(first.expectation): \(first.text)")
    for problem in verdict.problems.prefix(Self.shownMax) {
      if problem != first { System.print("  \(problem.expectation): \(problem.text)") }
      for place in problem.operations {
        System.print("    \(history.operations[place])")
      }
    }
    let rest = verdict.problems.count - Self.shownMax
    if rest > 0 { System.print("  and \(rest) more") }
    System.print("in \(verdict.summary)")
    if !history.header.command.isEmpty { System.print("again: \(history.header.command)") }
    return ExitStatus.failed
  }
}
