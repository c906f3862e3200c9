import Bytes
import Platform

/// Tells the user what happens: on the terminal, or over a pipe to the process that detached us. Nobody who
/// does not read can hold up the supervisor.
final class Reporter: Sendable {
  /// The pipe's writing end; `nil` in the foreground.
  let pipe: Int32?
  private let output: LineWriter
  private let errors: LineWriter

  init(pipe: Int32?) {
    self.pipe = pipe
    let errors = LineWriter(StandardStreams.error, name: "stderr")
    self.errors = errors
    output = LineWriter(StandardStreams.output, name: "stdout") {
      errors.write(
        "devcluster: standard output was closed; the cluster goes on until devcluster down")
    }
  }

  var isDetached: Bool { pipe != nil }

  /// Ends a report, so that its reader need not wait for the end of the pipe.
  static let reportEnd: UInt8 = 0

  /// The cluster is healthy.
  /// - Returns: `false` when nobody is there any more to hear it.
  func succeeded(_ table: String) -> Bool {
    guard let pipe else {
      output.write(table)
      return true
    }
    return Descriptor.write(Bytes(Array("+\(table)\n".utf8) + [Self.reportEnd]), to: pipe)
  }

  /// Whether who waits for the report, or for whom the cluster runs, is gone.
  var isAbandoned: Bool { pipe.map(Descriptor.isHungUp) ?? false }

  /// Nobody is waited for any more.
  func release() { if let pipe { Descriptor.close(pipe) } }

  /// The cluster could not be started.
  func failed(_ message: String) {
    guard let pipe else { return errors.write("devcluster: \(message)") }
    // The pipe stays open until this process ends: its reader then knows that nothing is left.
    Descriptor.write(Bytes("-\(message)\n"), to: pipe)
  }

  /// Something worth knowing; goes to the supervisor's log when detached.
  func note(_ message: String) { errors.write("devcluster: \(message)") }

  /// A line of a member.
  func show(_ line: [UInt8]) { output.write(line) }

  /// A frame of the terminal in the foreground.
  /// - Returns: whether it was taken.
  func draw(_ frame: [UInt8]) -> Bool { output.write(frame, lines: 1) }

  /// Before the process ends.
  func flush() {
    output.flush(milliseconds: 300)
    errors.flush(milliseconds: 300)
  }
}
