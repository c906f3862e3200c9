import CommandLineTool
import Platform

/// What `scenario` is told.
enum ScenarioOrder: Sendable, Equatable {
  /// Cluster options are those of `up`, and say more than the file.
  case run(file: String, seed: UInt64?, through: [String], UpOptions)
  case list(String)
  case check(String)
}

/// `scenario run`, `list`, `check`. Pure.
extension DevCluster {
  static let scenarioFolder = "conf/scenarios"

  static func scenario(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "scenario", short: "Runs a cluster through faults and judges what clients saw")
    command.commands = [runScenario(perform), listScenarios(perform), checkHistory(perform)]
    return command
  }

  private static func runScenario(_ perform: @escaping Perform) -> Command {
    var command = Command("run FILE", short: "Runs a scenario on a cluster of its own, and judges")
    command.long = """
      Starts a cluster on free ports, lets clients work while the steps of FILE happen, heals all, and
      checks what the clients saw. The history, history.jsonl, is in the directory of --dir, or in one of its own
      below TMPDIR; the data of the cluster are kept beside it when something was violated. Ends with 0 when all
      holds that the file expects, 1 otherwise, 125 when the cluster did not start.
      """
    command.flags =
      clusterFlags.filter { !["file", "base-port"].contains($0.name) } + [
        CommandFlag(
          "seed", seedKind,
          "decides what chance does; by default another one each time, which is printed"),
        CommandFlag(
          "through", .stringArray,
          "send clients to this `URL` instead of the members, such as one of a proxy before them; repeat it for the next members"
        ),
      ]
    command.run = running(perform) { (call) throws(DevClusterError) in
      let file = try onlyArgument(
        call, "scenario run", "a file, such as conf/scenarios/leader-kill.yaml")
      return .scenario(
        .run(
          file: file, seed: call.isGiven("seed") ? UInt64(call.string("seed")) : nil,
          through: call.all("through"), try options(call, [], "scenario run")))
    }
    return command
  }

  private static func listScenarios(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "list [FOLDER]", short: "Lists the scenarios of a folder (\(scenarioFolder))")
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "scenario list", atMost: 1)
      return .scenario(.list(call.arguments.first ?? scenarioFolder))
    }
    return command
  }

  private static func checkHistory(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "check HISTORY", short: "Judges the history of a run again, from its file alone")
    command.run = running(perform) { (call) throws(DevClusterError) in
      .scenario(.check(try onlyArgument(call, "scenario check", "a file, such as history.jsonl")))
    }
    return command
  }

  private static func onlyArgument(
    _ call: Invocation, _ name: String, _ wanted: String
  ) throws(DevClusterError) -> String {
    try checkCount(call, name, atMost: 1)
    guard let first = call.arguments.first else {
      throw .usage("devcluster \(name) needs \(wanted)")
    }
    return first
  }

  private static let seedKind = FlagKind(typeName: "number", zero: "0") { text in
    UInt64(text) == nil ? "must be a number from 0 to \(UInt64.max)" : nil
  }
}
