import CommandLineTool
import EventLoops
import Platform
import Proxies
import Synchronization
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
      gateway = try GatewayStart(options, logger: logger).run()
    } catch {
      console.print(error.output)
      console.printError(error.error)
      if let advice = error.advice {
        // etcd leaves the line open.
        console.printError((error.output.hasSuffix("\n") ? "" : "\n") + "Hint: \(advice)\n")
      }
      return 1
    }
    let ending = Mutex<Int32>(Signals.terminate)
    let gate = Gate()
    let signals = SignalWatch(logger) { signal in
      ending.withLock { $0 = signal }
      gate.open()
    }
    ServiceNotice.ready(logger)
    gateway.open()
    gate.wait()
    ServiceManager.tell(["STOPPING=1"])
    gateway.stop()
    signals.stop()
    Program.end(by: ending.withLock { $0 })
  }
}
