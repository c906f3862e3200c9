import Bytes
import EventLoops
import Platform

/// One member's process and everything that is done to it. Confined to the supervisor's loop.
final class MemberProcess {
  /// Time a member has to end by itself when it is stopped.
  static let stopTimeout: Duration = .seconds(10)

  let plan: MemberPlan
  private let loop: EventLoop
  private let command: [String]
  private let environment: [String]
  private let log: LogFile
  private let onLine: (Bytes) -> Void
  private let onChange: (MemberProcess) -> Void
  private var process: ChildProcess?
  private var isPaused = false
  /// Whether the end that comes next is our doing.
  private var isEnding = false
  private var exit: ChildProcess.Exit?
  private var waiting: [() -> Void] = []
  private var killTimer: LoopTimer?

  /// - Parameters:
  ///   - command: the program and its arguments.
  ///   - onLine: gets each line the member prints.
  ///   - onChange: called when the process started or ended.
  init(
    loop: EventLoop, plan: MemberPlan, command: [String], environment: [String],
    onLine: @escaping (Bytes) -> Void, onChange: @escaping (MemberProcess) -> Void
  ) {
    self.loop = loop
    self.plan = plan
    self.command = command
    self.environment = environment
    self.onLine = onLine
    self.onChange = onChange
    log = LogFile(plan.logFile)
  }

  var pid: Int32? { process?.pid }
  var isRunning: Bool { process != nil }
  /// Whether its process can answer.
  var isResponsive: Bool { process != nil && !isPaused }
  /// Whether it ended without being told to.
  var hasFailed: Bool { process == nil && exit != nil && !isEnding }
  /// What it printed last, to be put behind a message; empty when it printed nothing.
  var lastWords: String { log.lastLine.isEmpty ? "" : ": " + log.lastLine }

  /// State as far as the process alone tells it.
  func report() -> MemberReport {
    let state: MemberState =
      if process != nil { isPaused ? .paused : .unhealthy } else {
        hasFailed ? .exited : .stopped
      }
    return MemberReport(
      plan: plan, state: state, pid: pid, exit: hasFailed ? exit?.description : nil)
  }

  /// Starts the process.
  /// - Throws: `DevClusterError` when it runs already, a port is taken or it cannot be started.
  func start() throws(DevClusterError) {
    guard process == nil else { throw DevClusterError("\(plan.name) is already running") }
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
    isEnding = false
    exit = nil
    isPaused = false
    do throws(ChannelError) {
      process = try ChildProcess(
        loop: loop, configuration,
        onOutput: { stream, bytes in splitters[stream == .output ? 0 : 1].add(bytes, handle) },
        onExit: { [weak self] exit in
          for index in splitters.indices { splitters[index].finish(handle) }
          self?.ended(exit)
        })
    } catch {
      throw DevClusterError("cannot start \(plan.name): \(error)")
    }
    if let pid { try System.replace(plan.pidFile, "\(pid)\n") }
    onChange(self)
  }

  private func ended(_ exit: ChildProcess.Exit) {
    process = nil
    isPaused = false
    self.exit = exit
    killTimer?.cancel()
    killTimer = nil
    Paths.remove(plan.pidFile)
    onChange(self)
    let callbacks = waiting
    waiting = []
    for callback in callbacks { callback() }
  }

  /// Asks the process to end, and kills it when it does not within `stopTimeout`.
  func stop(_ done: @escaping () -> Void) {
    guard let process else { return done() }
    waiting.append(done)
    guard !isEnding else { return }
    isEnding = true
    process.kill(Signals.terminate)
    // A stopped process handles no signal.
    if isPaused { process.kill(Signals.goOn) }
    killTimer = loop.schedule(after: Self.stopTimeout) { [weak self] in
      self?.process?.kill(Signals.kill, group: true)
    }
  }

  /// Ends the process at once, as a crash would.
  func kill(_ done: @escaping () -> Void) {
    guard let process else { return done() }
    waiting.append(done)
    isEnding = true
    process.kill(Signals.kill, group: true)
  }

  /// Freezes the process or lets it go on.
  /// - Throws: `DevClusterError` when it does not run, or is so already.
  func setPaused(_ paused: Bool) throws(DevClusterError) {
    guard let process else { throw DevClusterError("\(plan.name) is not running") }
    guard paused != isPaused else {
      throw DevClusterError("\(plan.name) is \(paused ? "already" : "not") paused")
    }
    process.kill(paused ? Signals.stop : Signals.goOn, group: true)
    isPaused = paused
  }
}
