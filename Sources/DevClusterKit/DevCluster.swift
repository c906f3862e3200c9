import Bytes
import CommandLineTool
import EventLoops
import FileSystem
import JSON
import Platform

/// The `devcluster` command: local clusters of real etcd processes.
public enum DevCluster {
  /// Runs a command.
  /// - Parameter words: the command line without the program's name.
  /// - Returns: the exit status.
  public static func run(_ words: [String]) -> Int32 {
    Signals.unblockAll()
    // A reader of our output that went away must show as an error of write(2).
    Signals.ignore([Signals.brokenPipe])
    // A member's flags are none of ours.
    if words.first == "__member" { return becomeMember(Array(words.dropFirst())) }
    let console = Console(
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    let tool = tool { (order, directory) throws(DevClusterError) in
      try perform(order, try RunDirectory(directory), words)
    }
    return tool.run(words, console: console)
  }

  /// Becomes a member's program; only the supervisor says this.
  private static func becomeMember(_ words: [String]) -> Int32 {
    guard words.count >= 2, let parent = Int32(words[0]) else {
      System.complain("__member is for the supervisor alone")
      return 1
    }
    return Shim.become(Array(words.dropFirst()), parent: parent)
  }

  private static func perform(
    _ order: Order, _ directory: RunDirectory, _ words: [String]
  ) throws(DevClusterError) -> Int32 {
    switch order {
    case .up(let options): return try up(options, directory, words)
    case .down: try down(directory)
    case .clean: try directory.remove()
    case .status: System.print(try status(directory))
    case .environment: System.print(try directory.existingPlan().exportLine)
    case .logs(let name, let follow):
      let plan = try directory.existingPlan()
      let members = try name.map { name throws(DevClusterError) in [try member(name, plan)] }
      LogReader(members ?? plan.members, isColoured: LinePrefix.wanted).run(follow: follow)
    case .member(let action, let name):
      _ = try member(name, try directory.existingPlan())
      var client = try ControlClient(directory)
      if let note = try client.ask(ControlRequest(action, name))["note"]?.string {
        System.complain(note)
      }
    case .guardian: try Guardian.run(directory)
    }
    return 0
  }

  private static func member(
    _ name: String, _ plan: ClusterPlan
  ) throws(DevClusterError) -> MemberPlan {
    guard let member = plan.member(name) else {
      let names = plan.members.map(\.name).joined(separator: ", ")
      throw DevClusterError("there is no member '\(name)' among \(names)")
    }
    return member
  }

  private static func status(_ directory: RunDirectory) throws(DevClusterError) -> String {
    let plan = try directory.existingPlan()
    var client = try ControlClient(directory)
    let reports = try client.ask(.status)["members"]?.array ?? []
    return StatusTable.text(reports.compactMap { MemberReport($0, plan) }, plan)
  }

  /// Ends the cluster and waits until its supervisor is gone; nothing running is fine.
  private static func down(_ directory: RunDirectory) throws(DevClusterError) {
    guard directory.isLocked else {
      System.print("no cluster is running in \(directory.path)")
      return
    }
    var client = try ControlClient(directory)
    _ = try client.ask(.down)
    while directory.isLocked { Program.sleep(milliseconds: 20) }
  }

  // MARK: up

  private static func up(
    _ options: UpOptions, _ directory: RunDirectory, _ words: [String]
  ) throws(DevClusterError) -> Int32 {
    let reporter = Reporter(pipe: options.reportDescriptor)
    if reporter.isDetached { Detach.closeInherited() }
    let plan: ClusterPlan
    let programs: [String: String]
    let lock: any StorageFile
    do throws(DevClusterError) {
      plan = try directory.plan(for: options)
      programs = try self.programs(options, plan)
      if options.detach && !reporter.isDetached {
        System.print(try Detach.run(words, directory))
        return 0
      }
      lock = try directory.lock()
    } catch {
      guard reporter.isDetached else { throw error }
      reporter.failed(error.description)
      return 1
    }
    defer { lock.close() }
    if let pipe = reporter.pipe { Descriptor.setInherited(pipe, false) }
    guard Paths.enter(directory.path) else {
      throw DevClusterError("cannot enter \(directory.path): \(System.lastError)")
    }
    return try supervise(plan, options, directory, programs, reporter)
  }

  /// Runs the supervisor on a loop of its own until it ends.
  private static func supervise(
    _ plan: ClusterPlan, _ options: UpOptions, _ directory: RunDirectory,
    _ programs: [String: String], _ reporter: Reporter
  ) throws(DevClusterError) -> Int32 {
    guard let ends = Descriptor.pipe() else { throw DevClusterError("pipe: \(System.lastError)") }
    let loop = EventLoop(name: "supervisor")
    loop.start()
    let supervisor = Supervisor(
      loop: loop, directory: directory, plan: plan, options: options, programs: programs,
      reporter: reporter,
      onEnd: { Descriptor.write([UInt8(truncatingIfNeeded: $0)], to: ends.writing) })
    loop.execute { supervisor.begin() }
    var status = [UInt8](repeating: 1, count: 1)
    guard Descriptor.read(ends.reading, into: &status) == 1 else {
      preconditionFailure("the supervisor's pipe is closed")
    }
    // Nothing else holds it: timers and connections must find it alive.
    withExtendedLifetime(supervisor) { loop.stop() }
    return Int32(status[0])
  }

  /// The program of each member.
  private static func programs(
    _ options: UpOptions, _ plan: ClusterPlan
  ) throws(DevClusterError) -> [String: String] {
    var found: [String: String] = [:]
    for member in plan.members {
      if let given = options.binaries[member.name] ?? options.binary {
        found[member.name] = try System.program(given)
        continue
      }
      let own = try System.executable()
      let path = own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/etcd"
      do {
        found[member.name] = try System.program(String(path))
      } catch {
        throw DevClusterError("\(error.description) (build it, or name one with --binary PATH)")
      }
    }
    if let name = options.binaries.keys.sorted().first(where: { found[$0] == nil }) {
      throw DevClusterError("--binary \(name)=…: a cluster of \(plan.size) has no \(name)")
    }
    return found
  }
}
