import CDevCluster
import Platform

/// Starts a supervisor that outlives this process and its terminal.
enum Detach {
  /// Number of the descriptor the new process reports on.
  private static let reportDescriptor: Int32 = 3

  /// Starts it in a session of its own, and waits for its report.
  /// - Parameters:
  ///   - words: the command line behind the program's name.
  ///   - isTethered: whether the cluster ends with this process.
  /// - Returns: the table to print.
  /// - Throws: `DevClusterError` with the reason when the cluster could not be started.
  static func run(
    _ words: [String], _ directory: RunDirectory, isTethered: Bool = false
  ) throws(DevClusterError) -> String {
    try directory.checkAccess()
    try System.makeDirectory(directory.path)
    guard let ends = Descriptor.pipe() else { throw DevClusterError("pipe: \(System.lastError)") }
    // Held to the end of this process where the cluster hangs on it.
    defer { if !isTethered { Descriptor.close(ends.reading) } }
    let command = [try System.executable()] + arguments(words)
    do throws(SystemError) {
      defer { Descriptor.close(ends.writing) }
      try Program.startDetached(
        command, log: directory.supervisorLog, handingOver: ends.writing, as: reportDescriptor)
    } catch { throw DevClusterError("cannot start the supervisor: \(error)") }
    var report: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Descriptor.read(ends.reading, into: &chunk)
      guard count > 0 else { break }
      report += chunk[..<count]
      if report.last == Reporter.reportEnd { break }
    }
    if report.last == Reporter.reportEnd { report.removeLast() }
    var text = String(decoding: report.dropFirst(), as: UTF8.self)
    while text.hasSuffix("\n") { text.removeLast() }
    if report.first == UInt8(ascii: "+") { return text }
    throw DevClusterError(
      text.isEmpty ? "the supervisor ended early; see \(directory.supervisorLog)" : text)
  }

  /// Closes what the new process inherited besides its report: nothing of whoever called us may be
  /// held open for as long as the cluster lives. To be called before anything is opened.
  static func closeInherited() {
    devcluster_close_from(reportDescriptor + 1)
  }

  /// The same command line with a place to report to; what stands behind `--` stays there.
  private static func arguments(_ words: [String]) -> [String] {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    return words[..<end] + ["--report-fd", String(reportDescriptor)] + words[end...]
  }
}
