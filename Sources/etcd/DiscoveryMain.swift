import CommandLineTool
import Discovery
import EtcdClient
import EventLoops
import Platform
import Synchronization
import Systemd

/// `etcd discovery`.
enum DiscoveryMain {
  /// Runs what the words behind the program's name ask for, and ends the process.
  static func run(_ words: [String]) async -> Never {
    let console = Console(print: Process.print, printError: Process.printError)
    let asked = Mutex<(DiscoveryService.Options, ChannelPolicy)?>(nil)
    let tool = DiscoveryCommand.tool { options, policy, _ in
      asked.withLock { $0 = (options, policy) }
      return 0
    }
    let code = tool.run(words, console: console)
    guard let (options, policy) = asked.withLock({ $0 }) else { Program.exit(code) }
    Program.exit(await serve(options, policy))
  }

  /// Serves until a signal ends the process.
  /// - Returns: the exit status when it does not come to that.
  private static func serve(
    _ options: DiscoveryService.Options, _ policy: ChannelPolicy
  ) async -> Int32 {
    let logger = Logger(targets: [.standardError], encoding: .json, level: .info)
    let service: DiscoveryService
    do {
      service = try DiscoveryService(options, policy: policy, logger: logger)
      try service.start()
    } catch {
      Process.printError("etcd discovery serve: \(error)\n")
      return 1
    }
    let (signals, continuation) = AsyncStream<Int32>.makeStream()
    let watch = SignalWatch(logger) { signal in
      continuation.yield(signal)
      continuation.finish()
    }
    ServiceNotice.ready(logger)
    var ending = Signals.terminate
    for await signal in signals { ending = signal }
    ServiceManager.tell(["STOPPING=1"])
    await service.stop()
    watch.stop()
    Program.end(by: ending)
  }
}
