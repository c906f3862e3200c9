import Discovery
import EtcdConfig
import EtcdServer
import EventLoops
import GRPCProxy
import Platform
import Proxies
import Systemd

/// The `etcd` executable: reads the command line, runs a member, ends by the signal that it got.
@main
struct Etcd {
  static func main() async {
    Signals.unblockAll()
    Signals.ignore(Signals.harmless)
    let words = Array(ProcessEnvironment.words.dropFirst())
    if words.first == GatewayCommand.name { GatewayMain.run(words) }
    if words.first == DiscoveryCommand.name { await DiscoveryMain.run(words) }
    if words.first == GRPCProxyCommand.name { GRPCProxyMain.run(words) }
    switch EtcdConfig.CommandLine.parse(
      words, environment: ProcessEnvironment.variables,
      readFile: Process.read)
    {
    case .version(let text), .help(let text), .checked(let text): Process.print(text)
    case .failure(let message, usage: true, let code):
      Process.printError(message + "\n" + EtcdConfig.CommandLine.usage)
      Program.exit(code)
    case .failure(let message, usage: false, let code):
      let logger = Logger(targets: [.standardError], encoding: .json, level: .info)
      logger.warn("failed to verify flags", [LogField("error", .string(message))])
      Program.exit(code)
    case .run(let config, let log, let notices): await run(config, log, notices)
    }
  }

  private static func run(_ config: ServerConfig, _ log: LogConfig, _ notices: [Notice]) async {
    let logger: Logger
    do throws(LogSetupError) { logger = try makeLogger(log) } catch {
      let fallback = Logger(targets: [.standardError], encoding: .json, level: .info)
      fallback.warn("failed to verify flags", [LogField("error", .string(error.description))])
      Program.exit(1)
    }
    for notice in notices { logger.log(notice) }
    #if FAILPOINTS
      FailpointServer.start(logger)
    #endif
    logger.info("Running: ", [LogField("args", .strings(ProcessEnvironment.words))])
    if config.memoryLock, let problem = Process.lockMemory() {
      logger.panic(
        "failed to open database",
        [
          LogField("path", .string("\(config.dataDirectory)/member/snap/db")),
          LogField("error", .string(problem)),
        ])
    }
    if ProxyMain.isWanted(config, logger) { await ProxyMain.run(config, logger) }
    let server = EtcdServer(config: config, logger: logger, inherited: inherited(logger))
    let ending = Ending()
    server.onRemoved = { ending.finish(nil) }
    let signals = EventLoop(name: "etcd-signal")
    signals.start()
    let reporter = ServiceReporter(server, loop: signals, logger: logger)
    server.onReady = { signals.execute { reporter.ready() } }
    signals.execute {
      reporter.start()
      watchSignals(on: signals, server, config, ending, reporter, logger)
    }
    do throws(StartError) {
      try server.start(
        firstRequest: Process.seed(), seed: Process.seed())
    } catch {
      if error.discovery != .full {
        logger.warn("failed to start etcd", [LogField("error", .string(error.description))])
      }
      if error.discovery == .full, config.discoveryFallsBackToProxy {
        logger.warn(
          "discovery cluster is full, falling back to proxy",
          [
            LogField("fallback-proxy", "proxy"),
            LogField("error", .string(error.description)),
          ])
        signals.stop()
        await ProxyMain.run(config, logger)
      }
      if let discovery = error.discovery {
        DiscoveryAdvice(config, logger).tell(discovery, error)
        Program.exit(1)
      }
      logger.fatal("discovery failed", [LogField("error", .string(error.description))])
    }
    let signal = await ending.wait()
    await server.stop()
    signals.stop()
    guard let signal else { Program.exit(0) }
    Program.end(by: signal)
  }

  /// Sockets that systemd listens on for this process.
  private static func inherited(_ logger: Logger) -> [InheritedSocket] {
    ServiceManager.takeSockets().compactMap { descriptor in
      guard let socket = InheritedSocket(descriptor: descriptor) else {
        logger.warn(
          "what was handed over is no socket that can be served",
          [LogField("descriptor", .int(Int(descriptor)))])
        return nil
      }
      logger.info(
        "a socket was handed over", [LogField("address", .string("\(socket.address)"))])
      return socket
    }
  }

  /// The first SIGINT or SIGTERM stops the member, a second ends the process at once; SIGHUP reads settings
  /// again. On the loop.
  private static func watchSignals(
    on loop: EventLoop, _ server: EtcdServer, _ config: ServerConfig, _ ending: Ending,
    _ reporter: ServiceReporter,
    _ logger: Logger
  ) {
    let reloader = Reloader(logger)
    reloader.addLogLevel(config)
    var isEnding = false
    do throws(UVError) {
      for number in [Signals.interrupt, Signals.terminate] {
        try loop.onSignal(number) { number in
          let name = LogField("signal", .string(Process.name(of: number)))
          if server.isDiscovering {
            logger.info("received signal; no longer waiting for other members", [name])
            Program.end(by: number)
          }
          guard !isEnding else {
            logger.warn("received a second signal; ending at once", [name])
            Program.end(by: number)
          }
          isEnding = true
          logger.info("received signal; shutting down", [name])
          reporter.stopping()
          ending.finish(number)
        }
      }
      try loop.onSignal(Signals.hangUp) { _ in
        reporter.reloading()
        reloader.reload()
        reporter.reloaded()
      }
    } catch { logger.fatal("cannot watch signals", [LogField("error", .error(error))]) }
  }
}
