/// Why a log could not be created, read or written. Texts name the file and the offset.
public struct WALError: Error, Sendable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    /// Nothing to read: no directory, or no segment that holds the wanted snapshot.
    case fileNotFound
    /// A record's checksum differs from the running one.
    case crcMismatch
    /// The last record of the last segment is cut off; `WAL.open` repairs it.
    case torn
    /// Two segments carry different metadata.
    case metadataConflict
    /// The snapshot's term differs from the one that the log recorded for its index.
    case snapshotMismatch
    /// The log has no record of the snapshot.
    case snapshotNotFound
    /// An entry index leaves a gap behind the entries before it.
    case outOfRange
    /// Bytes that are no record.
    case malformed
    /// Another process holds a segment.
    case locked
    /// The log directory exists already.
    case exists
    /// The disk refused.
    case file
  }
  public let reason: Reason
  public let description: String

  init(_ reason: Reason, _ description: String) {
    self.reason = reason
    self.description = description
  }
}
