import EtcdConfig
import EtcdServer
import EventLoops
import Platform
import Proxies
import Systemd

/// `etcd --proxy`, and a start on the directory of a v2 proxy.
enum ProxyMain {
  /// Whether this process is a proxy: what the directory holds counts more than the flag.
  static func isWanted(_ config: ServerConfig, _ logger: Logger) -> Bool {
    switch DataDirectoryKind.of(config.dataDirectory) {
    case .member: return false
    case .empty: return config.proxy.mode != .off
    case .proxy: break
    }
    logger.info(
      "server has been already initialized",
      [
        LogField("data-dir", .string(config.dataDirectory)),
        LogField("dir-type", .string(DataDirectoryKind.proxy.rawValue)),
      ])
    return true
  }

  /// Serves until a signal ends the process.
  static func run(_ config: ServerConfig, _ logger: Logger) async -> Never {
    let proxy: V2Proxy
    do throws(StartError) {
      proxy = try V2ProxyStart(config, logger: logger).run()
    } catch {
      logger.fatal("discovery failed", [LogField("error", .string(error.description))])
    }
    let ending = Ending()
    let signals = SignalWatch(logger) { ending.finish($0) }
    ServiceNotice.ready(logger)
    let signal = await ending.wait()
    ServiceManager.tell(["STOPPING=1"])
    await proxy.stop()
    signals.stop()
    Program.end(by: signal ?? Signals.terminate)
  }
}
