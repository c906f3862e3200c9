import CommandLineTool
import EventLoops
import GRPCProxy
import Platform
import Synchronization
import Systemd

/// `etcd grpc-proxy`.
enum GRPCProxyMain {
  /// Runs what the words behind the program's name ask for, and ends the process.
  static func run(_ words: [String]) -> Never {
    let console = Console(print: Process.print, printError: Process.printError)
    let tool = GRPCProxyCommand.tool { options, console in start(options, console) }
    Program.exit(tool.run(words, console: console))
  }

  /// Serves until a signal ends the process.
  /// - Returns: the exit status when it does not come to that.
  private static func start(_ options: GRPCProxyOptions, _ console: Console) -> Int32 {
    let logger = Logger(
      targets: [.standardError], encoding: .json, level: options.isDebug ? .debug : .info)
    let proxy: GRPCProxy
    do throws(GRPCProxyRefusal) {
      proxy = try GRPCProxyStart(options, logger: logger).run()
    } catch {
      console.printError("\(error)\n")
      return 1
    }
    let ending = Mutex<Int32>(Signals.terminate)
    let gate = Gate()
    let signals = SignalWatch(logger) { signal in
      ending.withLock { $0 = signal }
      gate.open()
    }
    proxy.open()
    ServiceNotice.ready(logger)
    gate.wait()
    ServiceManager.tell(["STOPPING=1"])
    let stopped = Gate()
    Task {
      await proxy.stop()
      stopped.open()
    }
    stopped.wait()
    signals.stop()
    Program.end(by: ending.withLock { $0 })
  }
}
