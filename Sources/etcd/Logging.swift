import EtcdConfig
import EventLoops
import Platform

/// A log target that cannot be opened.
struct LogSetupError: Error, CustomStringConvertible {
  let description: String
}

/// The logger that the configuration asks for.
/// - Throws: `LogSetupError` with etcd's words.
func makeLogger(_ config: LogConfig) throws(LogSetupError) -> Logger {
  var targets: [LogTarget] = []
  for output in config.outputs {
    switch output {
    case .automatic, .standardError: targets.append(.standardError)
    case .standardOutput: targets.append(.standardOutput)
    case .journal:
      do throws(ChannelError) {
        let program = ProcessEnvironment.words.first?.split(separator: "/").last.map(String.init)
        targets.append(.journal(try Journal(identifier: program ?? "etcd")))
      } catch { throw LogSetupError(description: "can't find journal (\(error))") }
    case .file(let path):
      do throws(ChannelError) {
        if let rotation = config.rotation {
          targets.append(try rotating(path, rotation))
        } else {
          targets.append(try .file(path))
        }
      } catch {
        throw LogSetupError(description: "couldn't open sink \"\(path)\": \(error)")
      }
    }
  }
  return Logger(
    targets: targets, encoding: config.format == .json ? .json : .console,
    level: LogLevel(name: config.level) ?? .info, isSampled: true)
}

private func rotating(
  _ path: String, _ rotation: LogConfig.Rotation
) throws(ChannelError) -> LogTarget {
  func positive(_ value: Int) -> Int? { value > 0 ? value : nil }
  /// Saturates: no file gets that large, no log that old.
  func scaled(_ value: Int, _ unit: Int) -> Int {
    let (product, overflowed) = value.multipliedReportingOverflow(by: unit)
    return overflowed ? Int.max / 1_000_000 : product
  }
  let policy = RotatingLogFile.Policy(
    maxBytes: scaled(positive(rotation.maxSize) ?? 100, 1 << 20),
    maxAge: positive(rotation.maxAge).map { min(scaled($0, 86_400), Int.max / 1_000_000) },
    maxBackups: positive(rotation.maxBackups), localTime: rotation.localTime,
    compress: rotation.compress)
  return .rotating(try RotatingLogFile(path: path, policy: policy))
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
