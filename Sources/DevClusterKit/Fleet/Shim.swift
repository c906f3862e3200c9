import CDevCluster
import DiskFaults
import Platform

/// Turns a fresh child of the supervisor into a member's program that cannot outlive it.
enum Shim {

  /// Asks the kernel to kill this process together with its parent (Linux; elsewhere the guardian
  /// does that alone), then becomes the program. The setting outlives exec.
  ///
  /// It is tied to the thread that started this process: the supervisor's loop, which lives as long
  /// as the supervisor.
  /// - Parameter disk: by what it has its disk watched.
  /// - Returns: only when the program cannot be run: an exit status.
  static func become(_ arguments: [String], parent: Int32, disk: Int32?) -> Int32 {
    #if os(Linux)
      guard devcluster_die_with_parent(Signals.kill) == 0 else {
        System.complain("prctl: \(System.lastError)")
        return 126
      }
    #endif
    // The parent may have died before the request.
    guard Program.parent == parent else { return 125 }
    if let disk { DiskFaults.becomeWatched(disk) }
    Program.become(arguments)
    System.complain("cannot run \(arguments[0]): \(System.lastError)")
    return 127
  }
}
