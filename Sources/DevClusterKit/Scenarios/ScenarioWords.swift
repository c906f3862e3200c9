import CommandLineTool
import Synchronization

/// Steps in the words of the command line, read by what reads the command line. Pure.
enum ScenarioWords {
  /// What can be a step: whatever a running cluster is asked for, by the names of the commands.
  static let commands =
    MemberAction.allCases.map(\.rawValue)
    + [
      "add", "remove", "promote", "upgrade", "cut", "slow", "limit", "loss", "reset-link", "disk",
      "clock", "heal",
    ]

  /// Reads `cut leader --for 2s` and the like.
  /// - Throws: `DevClusterError` in the words of the command line.
  static func step(_ text: String) throws(DevClusterError) -> Scenario.Step {
    let words = text.split(separator: " ").map(String.init)
    guard let command = words.first, commands.contains(command) else {
      throw .usage(
        "'\(text)' is no step; one begins with \(commands.joined(separator: ", "))")
    }
    let found = Mutex<Order?>(nil)
    let complaint = Mutex("")
    let console = Console(
      print: { _ in }, printError: { text in complaint.withLock { $0 += text } })
    let tool = DevCluster.tool { (order, _) throws(DevClusterError) in
      found.withLock { $0 = order }
      return 0
    }
    _ = tool.run(words, console: console)
    let request: ControlRequest
    switch found.withLock({ $0 }) {
    case .ask(let asked): request = asked
    // Where the program is, is found when the step runs.
    case .upgrade(let who, let given, let wait): request = .upgrade(who, binary: given, wait: wait)
    default:
      let lines = complaint.withLock { $0 }.split(separator: "\n")
      let reason = lines.first.map { $0.hasPrefix("devcluster: ") ? $0.dropFirst(12) : $0 }
      throw .usage(reason.map(String.init) ?? "'\(text)' is no step")
    }
    var step = Scenario.Step(at: 0, words: text, request: request)
    if case .fault(let order) = request { step.length = order.duration }
    return step
  }
}
