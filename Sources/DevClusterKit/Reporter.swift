import Bytes
import Platform

/// Tells the user what happens: on the terminal, or over a pipe to the process that detached us.
struct Reporter: Sendable {
  /// The pipe's writing end; `nil` in the foreground.
  let pipe: Int32?

  var isDetached: Bool { pipe != nil }

  /// The cluster is healthy.
  /// - Returns: `false` when nobody is there any more to hear it.
  func succeeded(_ table: String) -> Bool {
    guard let pipe else {
      System.print(table)
      return true
    }
    let heard = Descriptor.write(Bytes("+\(table)\n"), to: pipe)
    Descriptor.close(pipe)
    return heard
  }

  /// The cluster could not be started.
  func failed(_ message: String) {
    guard let pipe else { return System.complain(message) }
    // The pipe stays open until this process ends: its reader then knows that nothing is left.
    Descriptor.write(Bytes("-\(message)\n"), to: pipe)
  }

  /// Something worth knowing; goes to the supervisor's log when detached.
  func note(_ message: String) { System.complain(message) }
}
