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

  /// Its rows; 0 where there is none, or where it does not say.
  static var rows: Int {
    guard Descriptor.isTerminal(StandardStreams.output) else { return 0 }
    return Int(devcluster_terminal_rows(StandardStreams.output))
  }
}
