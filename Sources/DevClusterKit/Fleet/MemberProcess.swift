import Bytes
import EventLoops
import Platform

/// One member's process and its log: does what `MemberLife` says. Confined to the supervisor's loop.
final class MemberProcess {
  private let loop: EventLoop
  private let onLine: (Bytes) -> Void
  private let onExit: (_ how: String, _ lastWords: String) -> Void
  private var log: LogFile?
  private var pidFile = ""
  private var process: ChildProcess?

  /// - Parameters:
  ///   - onLine: gets each line the member prints.
  ///   - onExit: called when the process has ended and everything it printed is there.
  init(
    loop: EventLoop, onLine: @escaping (Bytes) -> Void,
    onExit: @escaping (_ how: String, _ lastWords: String) -> Void
  ) {
    self.loop = loop
    self.onLine = onLine
    self.onExit = onExit
  }

  /// Starts the process.
  /// - Parameters:
  ///   - plan: the member as it is now.
  ///   - command: the program and its arguments.
  ///   - disk: by what it has its disk watched; `nil` for a disk that is nobody's business.
  /// - Returns: its id.
  /// - Throws: `DevClusterError` when a port is taken or it cannot be started.
  func spawn(
    _ plan: MemberPlan, command: [String], environment: [String], disk: Int32?
  ) throws(DevClusterError) -> Int32 {
    try PortCheck.check(plan, isRelayed: true)
    try System.makeDirectory(plan.directory)
    let log = self.log ?? LogFile(plan.logFile)
    self.log = log
    log.begin()
    pidFile = plan.pidFile
    let executable = try System.executable()
    var configuration = ChildProcess.Configuration(
      arguments: [executable, disk == nil ? "__member" : "__watched-member", String(Program.id)]
        + command)
    configuration.handedOver = disk
    configuration.environment = environment
    configuration.newGroup = true
    var splitters: [LineSplitter] = [LineSplitter(), LineSplitter()]
    let handle: (Bytes) -> Void = { [log, onLine] line in
      log.write(line)
      onLine(line)
    }
    let started: ChildProcess
    do throws(ChannelError) {
      started = try ChildProcess(
        loop: loop, configuration,
        onOutput: { stream, bytes in splitters[stream == .output ? 0 : 1].add(bytes, handle) },
        onExit: { [weak self] exit in
          for index in splitters.indices { splitters[index].finish(handle) }
          self?.ended(exit)
        })
    } catch {
      throw DevClusterError("cannot start \(plan.name): \(error)")
    }
    process = started
    try System.replace(plan.pidFile, "\(started.pid)\n")
    return started.pid
  }

  private func ended(_ exit: ChildProcess.Exit) {
    process = nil
    Paths.remove(pidFile)
    onExit(exit.description, log?.lastWords ?? "")
  }

  func send(_ signal: MemberLife.Signal) {
    switch signal {
    case .terminate: process?.kill(Signals.terminate)
    case .kill: process?.kill(Signals.kill, group: true)
    case .freeze: process?.kill(Signals.stop, group: true)
    case .thaw: process?.kill(Signals.goOn, group: true)
    }
  }
}

/// Whether the ports of a member can be had, and if not, who has them.
enum PortCheck {
  /// - Throws: `DevClusterError` with the port and the way out.
  /// - Parameter isRelayed: whether the relay has the ports before the member's own.
  static func check(_ plan: MemberPlan, isRelayed: Bool = false) throws(DevClusterError) {
    var ports = [(plan.ownClientPort, "client"), (plan.ownPeerPort, "peer")]
    if !isRelayed { ports = [(plan.ports.client, "client"), (plan.ports.peer, "peer")] + ports }
    for (port, use) in ports
    where LocalSocket.isPortTaken(port) {
      throw DevClusterError(reason(port, use, plan))
    }
  }

  private static func reason(_ port: Int, _ use: String, _ plan: MemberPlan) -> String {
    if let content = System.read(plan.pidFile),
      let pid = Int32(String(decoding: content.prefix { $0 != 0x0a }, as: UTF8.self)), pid > 1,
      Signals.reaches(pid), pid != Program.id
    {
      return "port \(port) is in use: \(plan.name) of an earlier run is still there as process"
        + " \(pid); end it with kill \(pid)"
    }
    let text = "port \(port), the \(use) port of \(plan.name), is already in use by another program"
    let range = PortSearch.ephemeralRange()
    guard range.contains(port) else { return text + " (--ports auto finds free ones)" }
    return text + ", or by an outgoing connection: this system takes \(range.lowerBound) to"
      + " \(range.upperBound) for those; --ports auto finds others"
  }
}
