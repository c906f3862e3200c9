import CommandLineTool
import Platform

/// The command line: words in, orders out. Pure.
extension DevCluster {
  /// Carries out an order. - Parameter directory: as given; relative to the working directory.
  typealias Perform =
    @Sendable (_ order: Order, _ directory: String) throws(DevClusterError) -> Int32

  /// The program as manuals show it; it runs nothing.
  package static var describedTool: Tool { tool { _, _ in 0 } }

  /// The program.
  static func tool(_ perform: @escaping Perform) -> Tool {
    var root = Command(
      "devcluster", short: "Runs a local cluster of real etcd processes on 127.0.0.1")
    root.persistentFlags = [
      CommandFlag("dir", .string, default: ".devcluster", "keep data and logs in `PATH`")
    ]
    root.commands =
      [
        up(perform), run(perform), logs(perform), events(perform), status(perform), env(perform),
        scenario(perform), open(perform),
      ]
      + [
        plain("down", "Ends all members; the data stays", .down, perform),
        plain("clean", "Removes the data", .clean, perform),
        plain("ps", "Lists this user's clusters, wherever they are", .processes, perform),
        plain("version", "Prints the version", .version, perform), control(),
      ] + MemberAction.allCases.map { member($0, perform) } + memberCommands(perform)
      + snapshots(perform) + configuration(perform) + faults(perform)
    var tool = Tool(root, matchesPrefixes: false)
    tool.misuseExitCode = ExitStatus.usage
    tool.helpText = { $0.help() }
    tool.misuse = { path, message in
      message.contains("\n")
        ? "devcluster: \(message)\n"
        : "devcluster: \(message)\(suggestion(message, path)) (see \(path.text) --help)\n"
    }
    return tool
  }

  /// A flag that is like an unknown one.
  private static func suggestion(_ message: String, _ path: CommandPath) -> String {
    let start = "unknown flag: --"
    guard message.hasPrefix(start) else { return "" }
    let typed = String(message.dropFirst(start.count))
    let known = (path.command.flags + path.inheritedFlags).filter { !$0.isHidden }.map(\.name)
    guard let best = known.first(where: { CommandNames.areSimilar($0, typed) }) else { return "" }
    return "; did you mean --\(best)?"
  }

  // MARK: commands

  private static func logs(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "logs [WHO…]", short: "Shows what the members printed, in one order by time")
    command.flags = [
      CommandFlag(
        "follow", shorthand: "f", .bool, "go on with what they print, until the cluster ends"),
      CommandFlag("lines", shorthand: "n", number(0...1_000_000), "show the last `N` lines alone"),
      CommandFlag("since", .duration, "show what is younger than `DURATION`, such as 5m"),
      CommandFlag(
        "level", .string, "show lines of this `LEVEL` and above: debug, info, warn, error"),
      CommandFlag("grep", .string, "show lines that contain `TEXT`"),
      CommandFlag("json", .bool, "show lines as they were written"),
    ]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "logs", atMost: ClusterPlan.membersMax)
      var options = LogOptions()
      options.members = call.arguments
      options.follow = call.bool("follow")
      options.count = call.isGiven("lines") ? Int(call.string("lines")) : nil
      options.since = call.isGiven("since") ? nanoseconds(call.string("since")) : nil
      options.level = try level(call)
      options.grep = call.isGiven("grep") ? call.string("grep") : nil
      options.isJSON = call.bool("json")
      return .logs(options)
    }
    return command
  }

  private static func level(_ call: Invocation) throws(DevClusterError) -> LogLine.Level? {
    guard call.isGiven("level") else { return nil }
    guard let level = LogLine.Level(call.string("level")) else {
      throw .usage("--level is debug, info, warn or error, not '\(call.string("level"))'")
    }
    return level
  }

  private static func events(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "events", short: "Shows what happened: starts, ends, elections, faults, changes")
    command.flags = [
      CommandFlag(
        "follow", shorthand: "f", .bool, "go on with what happens, until the cluster ends"),
      CommandFlag("json", .bool, "as lines of JSON"),
    ]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "events", atMost: 0)
      return .events(follow: call.bool("follow"), isJSON: call.bool("json"))
    }
    return command
  }

  private static func status(_ perform: @escaping Perform) -> Command {
    var command = Command("status", short: "Shows members, endpoints and the leader")
    command.long = """
      Shows members, endpoints and the leader.

      Ends with 0 when all members are healthy, 3 when some are not, 4 when there is no quorum, 5 when no
      cluster runs.
      """
    command.flags = [CommandFlag("json", .bool, "as JSON")]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "status", atMost: 0)
      return .status(isJSON: call.bool("json"))
    }
    return command
  }

  private static func env(_ perform: @escaping Perform) -> Command {
    var command = Command("env", short: "Prints the lines that point etcdctl at the cluster")
    command.long = "Prints the lines that point etcdctl at the cluster: eval \"$(devcluster env)\""
    command.flags = [
      CommandFlag("json", .bool, "as JSON"), CommandFlag("fish", .bool, "for the fish shell"),
    ]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "env", atMost: 0)
      return .environment(call.bool("json") ? .json : call.bool("fish") ? .fish : .sh)
    }
    return command
  }

  /// What `ControlToolCall` does before anything is read; here for the help.
  private static func control() -> Command {
    var command = Command("ctl …", short: "Runs etcdctl on the cluster; all behind it is etcdctl's")
    command.run = { (_) throws(CommandFailure) in }
    return command
  }

  private static func member(_ action: MemberAction, _ perform: @escaping Perform) -> Command {
    var command = Command("\(action.rawValue) WHO…", short: action.summary)
    command.long = action.summary + ".\n\n" + who
    if action == .start || action == .restart { command.flags = [wait] }
    command.run = running(perform) { (call) throws(DevClusterError) in
      let who = try targets(call, action.rawValue)
      return .ask(.member(action, who, wait: waitSeconds(call)))
    }
    return command
  }

  /// What members are called.
  static let who = """
    WHO is m1 or 1, all, leader, followers, learners, random, minority (as many voters as may be missing)
    or majority (as many as a quorum needs); several are joined.
    """

  static let wait = CommandFlag(
    "wait", number(0...3600), default: String(ControlRequest.waitByDefault),
    "give it `SECONDS` to become healthy")

  static func waitSeconds(_ call: Invocation) -> Int {
    call.has("wait")
      ? Int(call.string("wait")) ?? ControlRequest.waitByDefault : ControlRequest.waitByDefault
  }

  static func targets(_ call: Invocation, _ name: String) throws(DevClusterError) -> [String] {
    try checkCount(call, name, atMost: ClusterPlan.membersMax)
    guard !call.arguments.isEmpty else {
      throw .usage("devcluster \(name) needs somebody, such as m1 or leader")
    }
    return call.arguments
  }

  /// A command without arguments and flags of its own.
  static func plain(
    _ name: String, _ short: String, _ order: Order, _ perform: @escaping Perform
  ) -> Command {
    var command = Command(name, short: short)
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, name, atMost: 0)
      return order
    }
    return command
  }

  // MARK: rules

  static func running(
    _ perform: @escaping Perform,
    _ order: @escaping @Sendable (Invocation) throws(DevClusterError) -> Order
  ) -> @Sendable (Invocation) throws(CommandFailure) -> Void {
    return { (call) throws(CommandFailure) in
      let status: Int32
      do throws(DevClusterError) {
        let order = try order(call)
        status = try perform(order, try directory(call, order))
      } catch {
        call.console.printError("devcluster: \(error.description)\n")
        throw .told(exitCode: error.code)
      }
      if status != 0 { throw .told(exitCode: status) }
    }
  }

  /// As given; a cluster for the time of a command has a place of its own.
  private static func directory(
    _ call: Invocation, _ order: Order
  ) throws(DevClusterError) -> String {
    var place: String?
    if case .run = order { place = "run" }
    if case .scenario = order { place = "scenario" }
    if let place, !call.isGiven("dir") {
      let folder =
        ProcessEnvironment.variables["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
      return "\(folder)/devcluster-\(place)-\(Program.id)"
    }
    let directory = call.string("dir")
    guard !directory.isEmpty else { throw .usage("--dir needs a value") }
    return directory
  }

  static func checkCount(
    _ call: Invocation, _ name: String, atMost limit: Int
  ) throws(DevClusterError) {
    if let dash = call.argumentsAtDash, dash < call.arguments.count {
      throw .usage("only devcluster up takes flags for the members behind --")
    }
    guard call.arguments.count <= limit else {
      throw .usage("devcluster \(name): unexpected '\(call.arguments[limit])'")
    }
  }

  static func number(_ range: ClosedRange<Int>) -> FlagKind {
    FlagKind(typeName: "int", zero: "0") { text in
      if let number = Int(text), range.contains(number) { return nil }
      return "must be a number from \(range.lowerBound) to \(range.upperBound)"
    }
  }
}
