import EtcdConfig
import EtcdServer
import Glibc
import Runtime

@main
struct Main {
  static func main() async {
    var config = ServerConfig()
    let args = CommandLine.arguments
    config.dataDirectory = args[1]
    config.name = args[2]
    let client = Int(args[3])!
    let peer = Int(args[4])!
    config.listenClientURLs = [ListenURL(scheme: .http, host: "127.0.0.1", port: client)]
    config.listenPeerURLs = [ListenURL(scheme: .http, host: "127.0.0.1", port: peer)]
    config.advertiseClientURLs = ["http://127.0.0.1:\(client)"]
    for part in args[5].split(separator: ",") {
      let kv = part.split(separator: "=", maxSplits: 1)
      config.initialCluster[String(kv[0])] = [String(kv[1])]
    }
    let logger = Logger(targets: [.standardError], encoding: .json, level: .info)
    let server = EtcdServer(config: config, logger: logger)
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    do {
      try server.start(milliseconds: UInt64(now.tv_sec) * 1000, seed: UInt64(now.tv_nsec))
    } catch {
      logger.fatal("failed to start", [LogField("error", .string(error.description))])
    }
    let signals = EventLoop(name: "signals")
    signals.start()
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      signals.execute {
        for number in [SIGINT, SIGTERM] {
          _ = try! signals.onSignal(number) { _ in done.resume() }
        }
      }
    }
    await server.stop()
  }
}
