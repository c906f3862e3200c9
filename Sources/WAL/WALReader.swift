import Bytes
import EtcdAPI
import FileSystem
import Protobuf

/// What a log holds from a snapshot on.
public struct WALContents: Sendable {
  /// Metadata written at creation: etcdserverpb.Metadata {NodeID, ClusterID}.
  public var metadata = Bytes()
  /// The last hard state.
  public var state = Raftpb.HardState()
  /// Entries behind the snapshot, without gaps, overwritten tails resolved.
  public var entries: [Raftpb.Entry] = []
}

/// Reads segments in order.
///
/// - Source: etcd `wal.ReadAll`, `wal.ValidSnapshotEntries`.
struct WALReader {
  let fileSystem: any FileSystem
  let directory: String

  /// A segment is mapped whole; larger files are no segments.
  static let segmentBytesMax = 8 << 30

  /// All segments in order of sequence.
  /// - Throws: `fileNotFound` when there is none.
  func segments() throws(WALError) -> [SegmentName] {
    let names = try disk { () throws(FileError) in try fileSystem.list(directory) }
    let found = names.compactMap(SegmentName.init).sorted { $0.sequence < $1.sequence }
    guard !found.isEmpty else {
      throw WALError(.fileNotFound, "wal: file not found: no segment in \(directory)")
    }
    return found
  }

  /// The segments needed to read from an index on.
  /// - Throws: `fileNotFound` when the segment before the index is gone or the sequence has a gap.
  func segments(from index: UInt64) throws(WALError) -> [SegmentName] {
    let all = try segments()
    guard let start = all.lastIndex(where: { $0.firstIndex <= index }) else {
      throw WALError(
        .fileNotFound,
        "wal: file not found: no segment in \(directory) starts at or before index \(index)")
    }
    let wanted = Array(all[start...])
    // checked: names have numbers below 2^62
    for (a, b) in zip(wanted, wanted.dropFirst()) where b.sequence != a.sequence + 1 {
      throw WALError(
        .fileNotFound,
        "wal: file not found: \(directory) lacks the segment between \(a.text) and "
          + b.text)
    }
    return wanted
  }

  /// Opens a reader over one segment.
  ///
  /// Records are slices of the mapped file: pages behind the last record are never touched, and
  /// entries that raft keeps cost no heap. Nothing before the last record of a segment is ever
  /// written again, and a removed file lives on as long as its mapping.
  func open(_ name: SegmentName, isLast: Bool, crc: UInt32) throws(WALError) -> SegmentReader {
    let path = directory + "/" + name.text
    let bytes = try disk { () throws(FileError) in try map(path) }
    return SegmentReader(path: path, bytes: bytes, isLast: isLast, crc: crc)
  }

  private func map(_ path: String) throws(FileError) -> Bytes {
    let file = try fileSystem.open(path, .read)
    defer { file.close() }
    let size = try file.size()
    guard size <= Self.segmentBytesMax else {
      throw FileError(
        operation: "read", path: path, errno: FileError.tooLarge,
        detail: "file has \(size) bytes, limit \(Self.segmentBytesMax)")
    }
    if size == 0 { return Bytes() }
    let mapping = try file.map(length: size)
    return Bytes(owner: mapping, mapping.memory)
  }

  /// Result of a read: contents, checksum to go on with, and where the last segment ends.
  struct Outcome {
    var contents = WALContents()
    var crc: UInt32 = 0
    var lastEnd = 0
    var lastIndex: UInt64 = 0
    var snapshots: [Walpb.Snapshot] = []
    fileprivate var sawMetadata = false
    /// Term of the entry at the snapshot's index, as far as it was read.
    fileprivate var termAtStart: UInt64?
    /// Whether entries up to the snapshot's were there.
    fileprivate var beganBefore = false
  }

  /// Reads all records from `snapshot` on.
  /// - Parameter isLenient: take a torn record for the end, and a missing record of the snapshot for
  ///   granted.
  /// - Throws: `torn` with the outcome so far lost: repair first.
  func read(
    _ names: [SegmentName], from snapshot: Walpb.Snapshot, isLenient: Bool = false
  ) throws(WALError) -> Outcome {
    var outcome = Outcome()
    var matched = false
    for (position, name) in names.enumerated() {
      var reader = try open(name, isLast: position == names.count - 1, crc: outcome.crc)
      while case .record(let record) = try step(&reader, isLenient: isLenient) {
        try take(record, &outcome, from: snapshot, matched: &matched, reader)
      }
      outcome.crc = reader.crc
      outcome.lastEnd = reader.validEnd
    }
    guard matched || isLenient else {
      throw WALError(
        .snapshotNotFound,
        "wal: snapshot not found: \(directory) has no record of the snapshot at index "
          + "\(snapshot.index)")
    }
    return outcome
  }

  private func step(
    _ reader: inout SegmentReader, isLenient: Bool
  ) throws(WALError) -> SegmentReader.Step {
    do throws(WALError) { return try reader.next() } catch {
      guard isLenient, error.reason == .torn else { throw error }
      return .end
    }
  }

  private func take(
    _ record: Record, _ outcome: inout Outcome, from snapshot: Walpb.Snapshot,
    matched: inout Bool, _ reader: SegmentReader
  ) throws(WALError) {
    do {
      switch record.kind {
      case .entry:
        try add(Raftpb.Entry.decode(record.data), to: &outcome, after: snapshot.index, reader)
      case .state: outcome.contents.state = try Raftpb.HardState.decode(record.data)
      case .metadata:
        guard !outcome.sawMetadata || outcome.contents.metadata == record.data else {
          throw reader.problem(.metadataConflict, "conflicting metadata found")
        }
        outcome.contents.metadata = record.data.detached()
        outcome.sawMetadata = true
      case .snapshot:
        let found = try Walpb.Snapshot.decode(record.data)
        outcome.snapshots.append(found)
        if found.index == snapshot.index {
          guard found.term == snapshot.term else {
            throw reader.problem(
              .snapshotMismatch,
              "snapshot mismatch: index \(found.index) has term "
                + "\(found.term), expected \(snapshot.term)")
          }
          matched = true
          dropReplaced(by: found, &outcome)
        }
      case .crc: break
      }
    } catch let error as WALError {
      throw error
    } catch {
      throw reader.problem(.malformed, "\(record.kind) is not decodable: \(error)")
    }
  }

  /// A snapshot that came from another member replaced the log: what was written before it is void,
  /// the entries behind its index too. One that the member made itself leaves the log as it is; its
  /// last entry is in the log, with its term. So does that of a backup, whose log begins behind it.
  private func dropReplaced(by snapshot: Walpb.Snapshot, _ outcome: inout Outcome) {
    guard snapshot.index > 0, outcome.beganBefore, outcome.termAtStart != snapshot.term else {
      return
    }
    outcome.contents.entries.removeAll()
  }

  /// Entries may overwrite a tail that another leader replaced, also from before the snapshot on.
  private func add(
    _ entry: Raftpb.Entry, to outcome: inout Outcome, after start: UInt64, _ reader: SegmentReader
  ) throws(WALError) {
    if entry.index > start {
      let before = entry.index - start - 1
      guard before <= UInt64(outcome.contents.entries.count) else {
        throw reader.problem(
          .outOfRange,
          "slice bounds out of range: entry \(entry.index) follows entry "
            + "\(start + UInt64(outcome.contents.entries.count))")
      }
      // checked: not more than the entries that are there
      outcome.contents.entries.removeSubrange(Int(before)...)
      outcome.contents.entries.append(entry)
    } else {
      outcome.contents.entries.removeAll()
      outcome.beganBefore = true
      outcome.termAtStart = entry.index == start ? entry.term : nil
    }
    outcome.lastIndex = entry.index
  }

  func disk<R>(_ body: () throws(FileError) -> R) throws(WALError) -> R {
    do throws(FileError) { return try body() } catch {
      let reason: WALError.Reason = error.errno == FileError.notFound ? .fileNotFound : .file
      throw WALError(reason, "wal: \(error.description)")
    }
  }
}
