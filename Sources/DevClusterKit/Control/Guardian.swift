import Bytes
import CDevCluster
import Platform

/// A second process that kills the members when their supervisor is gone without having ended them.
///
/// Linux kills them by itself (`Shim`); where it does not, or a member's program has given that up, this
/// process is what keeps ports and data from being held by orphans.
struct Guardian {
  private let descriptor: Int32

  /// Starts it; to be called before there are threads.
  /// - Throws: `DevClusterError` when the system has no process left.
  static func start() throws(DevClusterError) -> Guardian {
    let descriptor = devcluster_start_guardian()
    guard descriptor >= 0 else {
      throw DevClusterError("cannot start the guardian process: \(System.lastError)")
    }
    return Guardian(descriptor: descriptor)
  }

  /// Tells it whom to kill.
  func tell(_ pids: [Int32]) {
    Descriptor.write(
      Bytes(pids.map(String.init).joined(separator: " ") + "\n"), to: descriptor)
  }

  /// Whether it is gone.
  var hasEnded: Bool { Descriptor.isHungUp(descriptor) }
}
