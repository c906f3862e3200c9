import EtcdConfig
import EventLoops
import Platform

/// What SIGHUP does: settings that may change while the member runs are read again, each by its action. One
/// that fails keeps what it had, and the others go on. Confined to its loop.
final class Reloader {
  /// - Throws: `ReloadFailure` with what is wrong; nothing has changed then.
  typealias Action = () throws(ReloadFailure) -> Void

  private let logger: Logger
  private var actions: [(name: String, run: Action)] = []

  init(_ logger: Logger) { self.logger = logger }

  /// Has something read again at each reload: certificates, the log's level.
  func add(_ name: String, _ run: @escaping Action) { actions.append((name, run)) }

  func reload() {
    logger.info("reloading", [LogField("settings", .strings(actions.map(\.name)))])
    for action in actions {
      do throws(ReloadFailure) { try action.run() } catch {
        logger.error(
          "failed to reload; what was read before counts",
          [LogField("setting", .string(action.name)), LogField("error", .string(error.message))])
      }
    }
    logger.info("reloaded")
  }
}

/// Why a setting could not be read again.
struct ReloadFailure: Error {
  let message: String
}

extension Reloader {
  /// Reads the command line, the environment and the configuration file again, and takes the log's level.
  /// - Parameter running: what the member was started with.
  func addLogLevel(_ running: ServerConfig) {
    add("log-level") { [logger] () throws(ReloadFailure) in
      let line = EtcdConfig.CommandLine.parse(
        Array(ProcessEnvironment.words.dropFirst()), environment: ProcessEnvironment.variables,
        readFile: Process.read)
      switch line {
      case .run(let config, let log, _):
        let level = LogLevel(name: log.level) ?? .info
        if level != logger.level {
          logger.warn(
            "log level changed",
            [LogField("from", .string("\(logger.level)")), LogField("to", .string("\(level)"))])
          logger.level = level
        }
        if config != running {
          logger.warn("other settings changed too; they count from the next start on")
        }
      case .failure(let message, _, _): throw ReloadFailure(message: message)
      case .version, .help, .checked: break
      }
    }
  }
}
