import CommandLineTool
import GoText

/// Commands that change who is a member, and what all of them hold. Pure.
extension DevCluster {
  static func memberCommands(_ perform: @escaping Perform) -> [Command] {
    [add(perform), leaving(perform, "remove"), leaving(perform, "promote"), upgrade(perform)]
  }

  private static func add(_ perform: @escaping Perform) -> Command {
    var command = Command("add", short: "Adds a member to the running cluster, and prints its name")
    command.flags = [CommandFlag("learner", .bool, "one that does not vote yet"), wait]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "add", atMost: 0)
      return .ask(.add(learner: call.bool("learner"), wait: waitSeconds(call)))
    }
    return command
  }

  private static func leaving(_ perform: @escaping Perform, _ name: String) -> Command {
    let isRemoval = name == "remove"
    var command = Command(
      "\(name) WHO…",
      short: isRemoval ? "Takes members out of the running cluster" : "Makes learners voters")
    command.long = command.short + ".\n\n" + who
    command.run = running(perform) { (call) throws(DevClusterError) in
      let who = try targets(call, name)
      return .ask(isRemoval ? .remove(who) : .promote(who))
    }
    return command
  }

  private static func upgrade(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "upgrade WHO VERSION|PATH", short: "Restarts members one by one with another etcd")
    command.long = """
      Restarts members one by one, the leader last, with another etcd, each healthy before the next.

      A version is looked for in the directories of DEVCLUSTER_VERSIONS and in ~/.cache/devcluster.

      \(who)
      """
    command.flags = [wait]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "upgrade", atMost: 2)
      guard call.arguments.count == 2 else {
        throw .usage("devcluster upgrade needs a member and a program, such as: upgrade all 3.5.30")
      }
      return .upgrade([call.arguments[0]], call.arguments[1], wait: waitSeconds(call))
    }
    return command
  }

  static func snapshots(_ perform: @escaping Perform) -> [Command] {
    var save = Command(
      "save NAME", short: "Keeps the data of all members, as they are at this moment")
    save.run = running(perform) { (call) throws(DevClusterError) in
      .snapshot(.save, try name(call, "save"))
    }
    var load = Command("load NAME", short: "Brings saved data back")
    load.run = running(perform) { (call) throws(DevClusterError) in
      .snapshot(.load, try name(call, "load"))
    }
    return [
      save, load,
      plain("reset", "Begins anew with empty members", .snapshot(.reset, ""), perform),
    ]
  }

  /// `config show`, `config init`, `export`.
  static func configuration(_ perform: @escaping Perform) -> [Command] {
    var show = Command("show [N] [-- ETCD FLAGS]", short: "Prints what devcluster up would run")
    show.flags = clusterFlags
    show.run = running(perform) { (call) throws(DevClusterError) in
      let own = call.arguments.prefix(call.argumentsAtDash ?? call.arguments.count)
      var options = try options(call, Array(own), "config show")
      if call.argumentsAtDash != nil { options.extra = Array(call.arguments.dropFirst(own.count)) }
      return .showConfiguration(options)
    }
    var start = Command("init [FILE]", short: "Writes a commented configuration file")
    start.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "config init", atMost: 1)
      return .initConfiguration(call.arguments.first ?? ConfigurationFile.name)
    }
    var config = Command("config", short: "The configuration file: show what it means, write one")
    config.commands = [show, start]
    var export = Command(
      "export procfile|systemd|compose", short: "Prints the cluster for another program to run")
    export.flags = clusterFlags
    export.run = running(perform) { (call) throws(DevClusterError) in
      guard call.arguments.count == 1, let format = ExportFormat(rawValue: call.arguments[0]) else {
        throw .usage("devcluster export needs one of procfile, systemd, compose")
      }
      return .export(format, try options(call, [], "export"))
    }
    return [config, export]
  }

  private static func name(
    _ call: Invocation, _ command: String
  ) throws(DevClusterError) -> String {
    try checkCount(call, command, atMost: 1)
    guard let name = call.arguments.first else {
      throw .usage("devcluster \(command) needs a name")
    }
    return name
  }

  /// A time as Go writes it, in nanoseconds.
  static func nanoseconds(_ text: String) -> Int64? { try? GoDuration.parse(text) }
}
