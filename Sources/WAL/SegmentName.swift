import Bytes

/// Name of a segment: `SEQ-INDEX.wal`, both 16 hex digits.
///
/// - Source: etcd `wal/util.go`.
struct SegmentName: Hashable, Sendable {
  /// Position in the log, from 0 without gaps.
  let sequence: UInt64
  /// Index of the first entry that may stand in the segment.
  let firstIndex: UInt64

  var text: String { "\(sequence.hex16)-\(firstIndex.hex16).wal" }

  init(sequence: UInt64, firstIndex: UInt64) {
    self.sequence = sequence
    self.firstIndex = firstIndex
  }

  /// More segments than a log can have, so that there is always a next one.
  private static let sequenceMax: UInt64 = 1 << 62

  /// - Returns: nil for a name of another form, or with a number that no log reaches.
  init?(_ name: String) {
    guard name.hasSuffix(".wal"), name.utf8.count == 37 else { return nil }
    let parts = name.dropLast(4).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 16 }),
      let sequence = UInt64(parts[0], radix: 16), let firstIndex = UInt64(parts[1], radix: 16),
      sequence < Self.sequenceMax
    else { return nil }
    self.init(sequence: sequence, firstIndex: firstIndex)
  }
}
