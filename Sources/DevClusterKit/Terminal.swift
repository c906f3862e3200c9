import CDevCluster
import Platform

/// The terminal that is written to.
enum Terminal {
  /// Its columns; as many as anybody wants where there is none.
  static var columns: Int {
    guard Descriptor.isTerminal(StandardStreams.output) else { return .max }
    let columns = Int(devcluster_terminal_columns(StandardStreams.output))
    return columns > 0 ? columns : 80
  }
}
