import Bytes
import Platform

/// The one log of what happened to a cluster: a line of JSON each, in its directory. Confined to the loop.
final class EventLog {
  private let file: LogFile
  /// Lines that a start leaves of earlier runs.
  init(_ path: String) { file = LogFile(path) }

  func write(_ event: ClusterEvent) {
    file.write(Bytes(event.line(at: WallClock.nanoseconds)))
  }
}
