import Foundation
import TestSupport

/// A program that goes on, with its input open.
final class Running {
  private let process = Process()
  private let input = Pipe()
  private let scratch = Scratch()
  private var files: [String] { ["out", "err"].map { scratch.path + "/" + $0 } }

  /// - Parameter other: where it reads from instead of what is typed.
  init(
    _ program: String, _ arguments: [String], _ variables: [String: String],
    input other: FileHandle? = nil
  ) throws {
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ETCD") }
    environment["ETCDCTL_API"] = "3"
    process.environment = environment.merging(variables) { $1 }
    process.standardInput = other ?? input.fileHandleForReading
    for file in files { try "".write(toFile: file, atomically: false, encoding: .utf8) }
    process.standardOutput = FileHandle(forWritingAtPath: files[0])
    process.standardError = FileHandle(forWritingAtPath: files[1])
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  private func text(_ file: String) -> String {
    String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
  }

  var output: String { text(files[0]) }

  func type(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

  /// Waits until it has said something.
  func wait(for words: String) throws {
    let late = Date().addingTimeInterval(20)
    while !output.contains(words) {
      guard process.isRunning, Date() < late else {
        throw NotSaid(
          description:
            "\(process.arguments ?? []) did not say \(words): \(output) \(text(files[1]))")
      }
      usleep(5_000)
    }
  }

  struct NotSaid: Error, CustomStringConvertible { let description: String }

  /// Waits for the end.
  func result() -> Finished {
    let late = Date().addingTimeInterval(30)
    while process.isRunning, Date() < late { usleep(5_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return Finished(status: process.terminationStatus, output: output, error: text(files[1]))
  }

  func end(_ signal: Int32) -> Finished {
    kill(process.processIdentifier, signal)
    return result()
  }

  func endInput() -> Finished {
    try? input.fileHandleForWriting.close()
    return result()
  }
}
