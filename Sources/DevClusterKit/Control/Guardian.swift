import EventLoops
import JSON
import Platform

/// A second process that kills the members when their supervisor is gone without having ended them.
///
/// Linux kills them by itself (`Shim`); where it does not, or a member's program has given that up,
/// this process is what keeps ports and data from being held by orphans.
enum Guardian {
  /// Starts it.
  /// - Parameter onEnd: called when it has ended.
  static func start(
    _ directory: RunDirectory, on loop: EventLoop, onEnd: @escaping () -> Void
  ) throws -> ChildProcess {
    var configuration = ChildProcess.Configuration(arguments: [
      try System.executable(), "__guard", "--dir", directory.path,
    ])
    configuration.newGroup = true
    return try ChildProcess(
      loop: loop, configuration, onOutput: { _, _ in }, onExit: { _ in onEnd() })
  }

  /// Follows the supervisor of `directory` until it is gone.
  static func run(_ directory: RunDirectory) throws(DevClusterError) {
    // Whatever ends the supervisor must not end its guardian first.
    Signals.ignore([Signals.interrupt, Signals.terminate, Signals.hangUp])
    var client = try ControlClient(directory)
    var next = try client.ask(.watch)
    while true {
      let pids = (next["pids"]?.array ?? []).compactMap { $0.integer(as: Int32.self) }
      guard let answer = client.next() else {
        // Members lead process groups; 0 and 1 would mean others.
        for pid in pids where pid > 1 { Signals.send(Signals.kill, to: -pid) }
        return
      }
      next = answer
    }
  }
}
