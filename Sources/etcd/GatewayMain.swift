import CommandLineTool
import EventLoops
import Platform
import Proxies
import Systemd

/// `etcd gateway`.
enum GatewayMain {
  /// Runs what the words behind the program's name ask for, and ends the process.
  static func run(_ words: [String]) -> Never {
    let console = Console(print: Process.print, printError: Process.printError)
    let tool = GatewayCommand.tool { options, console in start(options, console) }
    Program.exit(tool.run(words, console: console))
  }

  /// Serves until a signal ends the process.
  /// - Returns: the exit status when it does not come to that.
  private static func start(_ options: GatewayOptions, _ console: Console) -> Int32 {
    let logger = Logger(targets: [.standardError], encoding: .json, level: .info)
    logger.info("Running: ", [LogField("args", .strings(ProcessEnvironment.words))])
    let gateway: Gateway
    do throws(GatewayRefusal) {
      gateway = try GatewayStart(options, logger: logger, discovery: discovery).run()
    } catch {
      console.print(error.output)
      console.printError(error.error)
      if let advice = error.advice {
        // etcd leaves the line open.
        console.printError((error.output.hasSuffix("\n") ? "" : "\n") + "Hint: \(advice)\n")
      }
      return 1
    }
    let ending = SignalWait(logger)
    ServiceNotice.ready(logger)
    gateway.open()
    let signal = ending.wait()
    ServiceManager.tell(["STOPPING=1"])
    gateway.stop()
    Program.end(by: signal)
  }

  /// What `--discovery-srv` asks.
  private static let discovery: ServerDiscovery = { (_, _) throws(DiscoveryFailure) in
    throw DiscoveryFailure("--discovery-srv is not supported by this version yet")
  }
}

/// What systemd is told by programs that are no members.
/// - Source: etcd `etcdmain.notifySystemd`.
enum ServiceNotice {
  static func ready(_ logger: Logger) {
    logger.info("notifying init daemon")
    switch ServiceManager.tell(["READY=1"]) {
    case .told, .nobodyListens: logger.info("successfully notified init daemon")
    case .failed(let number):
      logger.error(
        "failed to notify systemd for readiness",
        [LogField("error", .string(SystemError(number).description))])
    }
  }
}

/// Waits for the signal that ends the process; a second one ends it at once.
final class SignalWait: @unchecked Sendable {
  // @unchecked: the gate orders the one write of `signal` before the one read.
  private let loop = EventLoop(name: "etcd-signal")
  private let gate = Gate()
  private var signal: Int32 = 0

  init(_ logger: Logger) {
    loop.start()
    loop.run { [self] in
      var isEnding = false
      do throws(UVError) {
        for number in [Signals.interrupt, Signals.terminate] {
          try loop.onSignal(number) { number in
            if isEnding { Program.end(by: number) }
            isEnding = true
            logger.info(
              "received signal; shutting down",
              [LogField("signal", .string(Process.name(of: number)))])
            self.signal = number
            self.gate.open()
          }
        }
      } catch { logger.fatal("cannot watch signals", [LogField("error", .error(error))]) }
    }
  }

  /// - Returns: the signal.
  func wait() -> Int32 {
    gate.wait()
    return signal
  }
}
