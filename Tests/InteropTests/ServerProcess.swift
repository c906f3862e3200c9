import Foundation
import TestSupport
import Testing

/// A server as a process with a log of its own; whoever starts it ends it.
final class ServerProcess {
  let process = Foundation.Process()
  let logPath: String

  var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
  var id: Int32 { process.processIdentifier }

  /// - Parameters:
  ///   - variables: those of etcd; others are inherited.
  ///   - folder: where it is started.
  init(
    _ arguments: [String], program: String = Binaries.ours, variables: [String: String] = [:],
    folder: String? = nil, log: String
  ) throws {
    logPath = log
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    process.environment = ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("ETCD") }.merging(variables) { $1 }
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process.standardOutput = FileHandle(forWritingAtPath: log)
    process.standardError = process.standardOutput
    try process.run()
  }

  deinit { if process.isRunning { kill(id, SIGKILL) } }

  /// Waits until the log has a text.
  func waitFor(_ text: String, seconds: Double = 30) throws {
    try waitUntil("its log has \(text)", seconds: seconds) { log.contains(text) }
  }

  /// Waits until something holds, while the process runs.
  func waitUntil(_ what: String, seconds: Double = 30, _ condition: () -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      let isRunning = process.isRunning
      if condition() { return }
      guard isRunning else { break }
      usleep(10_000)
    }
    throw NotHealthy(description: "not so that \(what); its log ends: \(log.suffix(4000))")
  }

  /// Waits until it has ended by itself.
  func waitForEnd(seconds: Double = 30) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while process.isRunning {
      guard Date() < deadline else {
        throw NotHealthy(description: "it does not end; its log: \(log.suffix(4000))")
      }
      usleep(10_000)
    }
  }

  /// Sends a signal and waits for the end.
  /// - Returns: seconds until then.
  @discardableResult
  func end(by signal: Int32 = SIGTERM) -> Double {
    let start = Date()
    kill(id, signal)
    process.waitUntilExit()
    return Date().timeIntervalSince(start)
  }
}
