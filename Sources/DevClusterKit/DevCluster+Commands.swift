import CommandLineTool

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
    var guardian = plain("__guard", "Watches over the supervisor", .guardian, perform)
    guardian.isHidden = true
    root.commands =
      [
        up(perform), logs(perform),
        plain("down", "Ends all members; the data stays", .down, perform),
        plain("clean", "Removes the data", .clean, perform),
        plain("status", "Shows members, endpoints and the leader", .status, perform),
        plain("env", "Prints the line that points etcdctl at the cluster", .environment, perform),
        guardian,
      ] + MemberAction.allCases.map { member($0, perform) }
    var tool = Tool(root, matchesPrefixes: false)
    tool.helpText = { path in
      let about = path.command.long.isEmpty ? path.command.short : path.command.long
      return "\(about)\n\n\(path.usage())"
    }
    tool.misuse = { path, message in
      message.contains("\n")
        ? "devcluster: \(message)\n" : "devcluster: \(message) (see \(path.text) --help)\n"
    }
    return tool
  }

  // MARK: commands

  private static func up(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "up [N] [-- ETCD FLAGS]", short: "Starts 1 to 7 members and waits until they are healthy")
    command.long = """
      Starts 1 to 7 members (3) and waits until they are healthy. What stands behind -- goes to each of them.

      Standard ports, clients and peers: m1 12379 12380, m2 22379 22380, … m5 52379 52380,
      m6 12389 12390, m7 22389 22390.
      """
    var report = CommandFlag("report-fd", number(3...1024), "where a detached supervisor reports")
    report.isHidden = true
    command.flags = [
      CommandFlag(
        "binary", .stringArray,
        "run this `PATH`, or m2=PATH for one member; repeatable (the etcd beside devcluster)"
      ),
      CommandFlag(
        "wait", number(1...3600), default: "60", "give them `SECONDS` to become healthy"),
      CommandFlag(
        "detach", shorthand: "d", .bool, "return when healthy; devcluster down ends the cluster"),
      CommandFlag(
        "base-port", number(1024...65_000),
        "take two ports a member from `PORT` on, instead of the standard ports"),
      report,
    ]
    command.run = running(perform) { (call) throws(DevClusterError) in .up(try upOptions(call)) }
    return command
  }

  private static func upOptions(_ call: Invocation) throws(DevClusterError) -> UpOptions {
    var options = UpOptions()
    let own = call.arguments.prefix(call.argumentsAtDash ?? call.arguments.count)
    options.extra = Array(call.arguments.dropFirst(own.count))
    if let second = own.dropFirst().first {
      throw DevClusterError("devcluster up: unexpected '\(second)'")
    }
    if let size = own.first {
      guard let number = Int(size), ClusterPlan.sizes.contains(number) else {
        throw DevClusterError(
          "a cluster has \(ClusterPlan.sizes.lowerBound) to \(ClusterPlan.sizes.upperBound)"
            + " members, not '\(size)'")
      }
      options.size = number
    }
    for given in call.all("binary") {
      guard !given.isEmpty else { throw DevClusterError("--binary needs a value") }
      if let (member, path) = memberBinary(given) {
        options.binaries[member] = path
      } else {
        options.binary = given
      }
    }
    options.detach = call.bool("detach")
    // As they were checked, in decimal: pflag's numbers read 010 as eight.
    options.wait = Int(call.string("wait")) ?? options.wait
    options.basePort = call.isGiven("base-port") ? Int(call.string("base-port")) : nil
    options.reportDescriptor =
      call.isGiven("report-fd") ? Int32(call.string("report-fd")) : nil
    return options
  }

  /// Takes `m2=PATH` apart.
  private static func memberBinary(_ text: String) -> (String, String)? {
    guard let equals = text.firstIndex(of: "=") else { return nil }
    let name = text[..<equals]
    guard name.first == "m", let index = Int(name.dropFirst()), index >= 1 else { return nil }
    return (String(name), String(text[text.index(after: equals)...]))
  }

  private static func logs(_ perform: @escaping Perform) -> Command {
    var command = Command("logs [MEMBER]", short: "Shows what the members printed")
    command.flags = [
      CommandFlag("follow", shorthand: "f", .bool, "go on with what they print")
    ]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "logs", atMost: 1)
      return .logs(member: call.arguments.first, follow: call.bool("follow"))
    }
    return command
  }

  private static func member(_ action: MemberAction, _ perform: @escaping Perform) -> Command {
    var command = Command("\(action.rawValue) MEMBER", short: action.summary)
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, action.rawValue, atMost: 1)
      guard let name = call.arguments.first else {
        throw DevClusterError("devcluster \(action.rawValue) needs a member, such as m1")
      }
      return .member(action, name)
    }
    return command
  }

  /// A command without arguments and flags of its own.
  private static func plain(
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

  private static func running(
    _ perform: @escaping Perform,
    _ order: @escaping @Sendable (Invocation) throws(DevClusterError) -> Order
  ) -> @Sendable (Invocation) throws(CommandFailure) -> Void {
    return { (call) throws(CommandFailure) in
      let status: Int32
      do throws(DevClusterError) {
        let directory = call.string("dir")
        guard !directory.isEmpty else { throw DevClusterError("--dir needs a value") }
        status = try perform(order(call), directory)
      } catch {
        call.console.printError("devcluster: \(error.description)\n")
        throw .told()
      }
      if status != 0 { throw .told(exitCode: status) }
    }
  }

  private static func checkCount(
    _ call: Invocation, _ name: String, atMost limit: Int
  ) throws(DevClusterError) {
    if let dash = call.argumentsAtDash, dash < call.arguments.count {
      throw DevClusterError("only devcluster up takes flags for the members behind --")
    }
    guard call.arguments.count <= limit else {
      throw DevClusterError("devcluster \(name): unexpected '\(call.arguments[limit])'")
    }
  }

  private static func number(_ range: ClosedRange<Int>) -> FlagKind {
    FlagKind(typeName: "int", zero: "0") { text in
      if let number = Int(text), range.contains(number) { return nil }
      return "must be a number from \(range.lowerBound) to \(range.upperBound)"
    }
  }
}
