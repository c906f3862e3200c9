import Foundation

/// etcd 3.5 as its project releases it, when this machine has it.
enum OfficialBinary {
  /// `ETCD_3_5_BINARY`, else what `scripts/setup.sh` put into the build folder.
  static let path: String? = {
    if let given = ProcessInfo.processInfo.environment["ETCD_3_5_BINARY"] { return given }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let link = root.appendingPathComponent(".build/tools/etcd-3.5/etcd").path
    return FileManager.default.isExecutableFile(atPath: link) ? link : nil
  }()

  /// How a run ended.
  struct Outcome {
    let exitCode: Int32
    let standardOutput: String
    let standardError: String

    /// The error of the line that ends the start; the first line when it is no log.
    var failure: String {
      let lines = standardError.split(separator: "\n").map(String.init)
      for line in lines.reversed() {
        guard
          let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
          let message = object["msg"] as? String,
          ["failed to verify flags", "discovery failed", "failed to start"].contains(message),
          let error = object["error"] as? String
        else { continue }
        return error
      }
      return lines.first ?? ""
    }
  }

  /// Runs the binary to its end, in a directory of its own and with nothing but `environment`.
  static func run(
    _ path: String, _ arguments: [String], environment: [String: String],
    files contents: [String: String] = [:]
  ) throws -> Outcome {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("etcd-config-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = ["out", "err"].map { directory.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    for (name, text) in contents {
      try Data(text.utf8).write(to: directory.appendingPathComponent(name))
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = environment
    process.currentDirectoryURL = directory
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    let deadline = Date().addingTimeInterval(20)
    while process.isRunning && Date() < deadline { usleep(5_000) }
    // One that keeps running has accepted the command line; the comparison then fails.
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    return Outcome(
      exitCode: process.terminationStatus,
      standardOutput: try String(contentsOf: files[0], encoding: .utf8),
      standardError: try String(contentsOf: files[1], encoding: .utf8))
  }
}
