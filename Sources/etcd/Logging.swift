import EtcdConfig
import Runtime

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A log target that cannot be opened.
struct LogSetupError: Error, CustomStringConvertible {
  let description: String
}

/// The logger that the configuration asks for.
func makeLogger(_ config: LogConfig) throws(LogSetupError) -> Logger {
  var targets: [LogTarget] = []
  for output in config.outputs {
    switch output {
    case .automatic, .standardError: targets.append(.standardError)
    case .standardOutput: targets.append(.standardOutput)
    case .journal:
      throw LogSetupError(
        description: "--log-outputs=systemd/journal is not supported by this version yet; systemd "
          + "takes standard error into the journal")
    case .file(let path):
      let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else {
        throw LogSetupError(
          description: "cannot open the log file \(path): \(String(cString: strerror(errno)))")
      }
      targets.append(.descriptor(descriptor))
    }
  }
  return Logger(
    targets: targets, encoding: config.format == .json ? .json : .console,
    level: LogLevel(name: config.level) ?? .info)
}

extension Logger {
  func log(_ notice: Notice) {
    let level: LogLevel
    switch notice.level {
    case .info: level = .info
    case .warn: level = .warn
    }
    log(level, notice.message, notice.fields.map { LogField($0.name, .string($0.value)) })
  }
}
