import JSON

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A second process that kills the members when their supervisor is gone without having ended them.
///
/// Linux kills them by itself (`Shim`); where it does not, or a member's program has given that up,
/// this process is what keeps ports and data from being held by orphans.
enum Guardian {
  /// Follows the supervisor of `directory` until it is gone.
  static func run(_ directory: RunDirectory) throws(DevClusterError) {
    // Whatever ends the supervisor must not end its guardian first.
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
    var client = try ControlClient(directory)
    var next = try client.ask(.watch)
    while true {
      let pids = (next["pids"]?.array ?? []).compactMap { $0.integer(as: Int32.self) }
      guard let answer = client.next() else {
        // Members lead process groups; 0 and 1 would mean others.
        for pid in pids where pid > 1 { kill(-pid, SIGKILL) }
        return
      }
      next = answer
    }
  }
}
