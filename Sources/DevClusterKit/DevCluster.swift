import Bytes
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
    do throws(DevClusterError) {
      return try perform(try Arguments(words), words)
    } catch {
      System.complain(error.description)
      return 1
    }
  }

  private static func perform(
    _ arguments: Arguments, _ words: [String]
  ) throws(DevClusterError) -> Int32 {
    if case .runMember(let parent, let command) = arguments.command {
      return Shim.become(command, parent: parent)
    }
    let directory = try RunDirectory(arguments.directory)
    switch arguments.command {
    case .help: System.print(help)
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
    case .runMember: preconditionFailure("handled above")
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

  static let help = """
    devcluster runs a local cluster of real etcd processes on 127.0.0.1.

      devcluster up [N] [--detach] [-- ETCD FLAGS]   start 1 to 7 members (3) and wait for health
      devcluster status                              members, endpoints, leader
      devcluster env                                 the line that points etcdctl at the cluster
      devcluster logs [MEMBER] [-f]                  what members printed
      devcluster stop|start|restart|kill MEMBER      end, start, crash one member
      devcluster pause|resume MEMBER                 freeze one member
      devcluster down                                end all members; the data stays
      devcluster clean                               remove the data

    Options of all commands:
      --dir PATH           where data and logs are (.devcluster)
    Options of up:
      --binary PATH        program of the members (the etcd beside devcluster); repeat with
      --binary m2=PATH     the name of a member for that one alone
      --wait SECONDS       time to become healthy (60)
      -d, --detach         return when healthy; the cluster lives on until devcluster down
      --base-port PORT     two ports a member from here on, instead of the standard ports

    Standard ports, clients and peers: m1 12379 12380, m2 22379 22380, … m5 52379 52380,
    m6 12389 12390, m7 22389 22390.
    """
}
