import Bytes
import EventLoops
import Platform

/// One member's process and its log: does what `MemberLife` says. Confined to the supervisor's loop.
final class MemberProcess {
  let plan: MemberPlan
  private let loop: EventLoop
  private let command: [String]
  private let environment: [String]
  private let log: LogFile
  private let onLine: (Bytes) -> Void
  private let onExit: (_ how: String, _ lastWords: String) -> Void
  private var process: ChildProcess?

  /// - Parameters:
  ///   - command: the program and its arguments.
  ///   - onLine: gets each line the member prints.
  ///   - onExit: called when the process has ended and everything it printed is there.
  init(
    loop: EventLoop, plan: MemberPlan, command: [String], environment: [String],
    onLine: @escaping (Bytes) -> Void,
    onExit: @escaping (_ how: String, _ lastWords: String) -> Void
  ) {
    self.loop = loop
    self.plan = plan
    self.command = command
    self.environment = environment
    self.onLine = onLine
    self.onExit = onExit
    log = LogFile(plan.logFile)
  }

  /// Starts the process.
  /// - Returns: its id.
  /// - Throws: `DevClusterError` when a port is taken or it cannot be started.
  func spawn() throws(DevClusterError) -> Int32 {
    for (port, use) in [(plan.clientPort, "client"), (plan.peerPort, "peer")]
    where LocalSocket.isPortTaken(port) {
      throw DevClusterError(
        "port \(port), the \(use) port of \(plan.name), is already in use by another program")
    }
    try System.makeDirectory(plan.directory)
    let executable = try System.executable()
    var configuration = ChildProcess.Configuration(
      arguments: [executable, "__member", String(Program.id)] + command)
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
    Paths.remove(plan.pidFile)
    onExit(exit.description, log.lastLine)
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
