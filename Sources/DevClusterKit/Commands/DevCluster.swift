import Bytes
import CommandLineTool
import EventLoops
import FileSystem
import JSON
import Platform

/// The `devcluster` command: local clusters of real etcd processes.
public enum DevCluster {
  /// What `version` prints.
  static let version = "devcluster of etcd in Swift 3.5"

  /// Runs a command.
  /// - Parameter words: the command line without the program's name.
  /// - Returns: the exit status.
  public static func run(_ words: [String]) -> Int32 {
    StandardStreams.occupy()
    Signals.unblockAll()
    // A reader of our output that went away must show as an error of write(2).
    Signals.ignore([Signals.brokenPipe])
    // A member's flags, and those of etcdctl, are none of ours.
    if words.first == "__member" { return becomeMember(Array(words.dropFirst())) }
    if words.first == "__watched-member" {
      return becomeMember(Array(words.dropFirst()), disk: ChildProcess.handedOverNumber)
    }
    if let call = ControlToolCall(words) { return call.run() }
    let console = Console(
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    let tool = tool { (order, directory) throws(DevClusterError) in
      try perform(order, try RunDirectory(directory), words)
    }
    return tool.run(words == ["--version"] ? ["version"] : words, console: console)
  }

  /// Becomes a member's program; only the supervisor says this.
  private static func becomeMember(_ words: [String], disk: Int32? = nil) -> Int32 {
    guard words.count >= 2, let parent = Int32(words[0]) else {
      System.complain("__member is for the supervisor alone")
      return 1
    }
    return Shim.become(Array(words.dropFirst()), parent: parent, disk: disk)
  }

  private static func perform(
    _ order: Order, _ directory: RunDirectory, _ words: [String]
  ) throws(DevClusterError) -> Int32 {
    switch order {
    case .up(let options): return try Starter(options, directory, words).up()
    case .run(let options, let command):
      return try RunCommand(options: options, command: command, directory: directory, words: words)
        .run()
    case .down: try down(directory)
    case .clean: try directory.remove()
    case .status(let isJSON): return try status(directory, isJSON: isJSON)
    case .processes: try processes()
    case .environment(let format):
      System.print(EnvironmentLines(try directory.existingPlan()).text(format))
    case .logs(let options): try logs(options, directory)
    case .events(let follow, let isJSON):
      _ = try directory.existingPlan()
      EventReader(path: directory.eventLog, isJSON: isJSON).run(
        isRunning: follow ? { directory.isLocked } : nil)
    case .ask(let request): return try ask(request, directory)
    case .snapshot(let action, let name): return try snapshot(action, name, directory)
    case .upgrade(let who, let given, let wait):
      return try ask(
        .upgrade(who, binary: try Versions.program(given), wait: wait), directory)
    case .scenario(let order):
      return try ScenarioTool(directory: directory, words: words).perform(order)
    case .open(let startsBrowser): try open(directory, startsBrowser: startsBrowser)
    case .version: System.print(version)
    case .showConfiguration(let options):
      System.print(try configuration(options, directory).shown())
    case .initConfiguration(let path): try ConfigurationFile.write(path)
    case .export(let format, let options):
      System.print(try configuration(options, directory).export(format))
    }
    return 0
  }

  private static func configuration(
    _ options: UpOptions, _ directory: RunDirectory
  ) throws(DevClusterError) -> Configuration {
    let config = try ConfigurationFile.read(options.file)
    let planner = Planner(
      directory: directory, options: options, registry: try Registry(), config: config)
    return Configuration(plan: try planner.preview())
  }

  /// Asks the supervisor for something; notes go to standard error.
  /// - Returns: the exit status.
  private static func ask(
    _ request: ControlRequest, _ directory: RunDirectory
  ) throws(DevClusterError) -> Int32 {
    var client = try ControlClient(directory)
    let answer = try client.ask(request)
    if case .member = request {
    } else {
      for name in answer["members"]?.array ?? [] { System.print(name.string ?? "") }
    }
    if let links = answer["links"]?.array, !links.isEmpty {
      System.print(links.compactMap(\.string).joined(separator: " "))
    }
    guard let note = answer["note"]?.string else { return 0 }
    System.complain(note)
    return answer["code"]?.integer(as: Int32.self) ?? 0
  }

  private static func status(
    _ directory: RunDirectory, isJSON: Bool
  ) throws(DevClusterError) -> Int32 {
    var client = try ControlClient(directory)
    let status = try client.ask(.status)
    if isJSON {
      System.print(status.encoded().string)
    } else {
      System.print(StatusTable.text(status, width: Terminal.columns))
      if let plan = try directory.plan() { System.print(EnvironmentLines(plan).export) }
    }
    let members = status["members"]?.array ?? []
    if members.allSatisfy({ $0["state"]?.string == "healthy" }) { return 0 }
    return status["quorum"]?["held"]?.bool == true ? ExitStatus.degraded : ExitStatus.noQuorum
  }

  /// Ends the cluster and waits until its supervisor is gone; nothing running is fine.
  static func down(_ directory: RunDirectory) throws(DevClusterError) {
    let supervisor = directory.lockOwner
    do throws(DevClusterError) {
      var client = try ControlClient(directory)
      _ = try client.ask(.down)
      client.waitForEnd()
    } catch {
      guard error.code == ExitStatus.notRunning else { throw error }
      guard !directory.isLocked else {
        throw DevClusterError(
          "a supervisor holds \(directory.lockFile), but does not answer; it is starting or ending")
      }
      System.print("no cluster is running in \(directory.path)")
      return
    }
    // Another may have begun there meanwhile.
    while directory.isLocked, directory.lockOwner == supervisor { Program.sleep(milliseconds: 1) }
  }

  /// All clusters of this user.
  private static func processes() throws(DevClusterError) {
    var table = TextTable(["SUPERVISOR", "MEMBERS", "STATE", "DIRECTORY"])
    for entry in try Registry().entries() {
      var state = "?"
      var count = "?"
      if var client = ControlClient(socket: entry.socket), let status = try? client.ask(.status) {
        let members = status["members"]?.array ?? []
        count = String(members.count)
        let healthy = members.count { $0["state"]?.string == "healthy" }
        state = "\(status["phase"]?.string ?? "?"), \(healthy) healthy"
      }
      let gone =
        Paths.isDirectory(entry.directory) ? "" : " (removed; devcluster down --dir ends it)"
      table.add([String(entry.pid), count, state, entry.directory + gone])
    }
    System.print(table.text)
  }

  private static func logs(
    _ options: LogOptions, _ directory: RunDirectory
  ) throws(DevClusterError) {
    let plan = try directory.existingPlan()
    var members = plan.members
    if !options.members.isEmpty {
      let candidates = plan.members.map {
        Targets.Candidate(
          name: $0.name, isLeader: false, isLearner: $0.isLearner, isRunning: true)
      }
      let names = try Targets.resolve(options.members, candidates) { _ in 0 }
      members = plan.members.filter { names.contains($0.name) }
    }
    var options = options
    options.since = options.since.map { WallClock.nanoseconds - $0 }
    LogReader(members, options, isColoured: LinePrefix.wanted).run { directory.isLocked }
  }

  /// Asks the supervisor; where there is none, does it here.
  private static func snapshot(
    _ action: ControlRequest.SnapshotAction, _ name: String, _ directory: RunDirectory
  ) throws(DevClusterError) -> Int32 {
    let work: FleetLife.FileWork =
      switch action {
      case .save: .save(name)
      case .load: .load(name)
      case .reset: .reset
      }
    if action == .load {
      try Saves(directory: directory).check(name, try directory.existingPlan())
    }
    guard directory.isLocked else {
      let lock = try directory.lock()
      defer { lock.close() }
      try Saves(directory: directory).perform(work, try directory.existingPlan())
      return 0
    }
    return try ask(.snapshot(action, name), directory)
  }
}

/// Columns of text. Pure.
struct TextTable {
  private var rows: [[String]]

  init(_ titles: [String]) { rows = [titles] }
  mutating func add(_ row: [String]) { rows.append(row) }

  var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = zip(row, widths).map { $0.padded(to: $1 + 2) }.joined()
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
