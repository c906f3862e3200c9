import Bytes
import EtcdAPI
import Failpoints
import FileSystem
import Protobuf

/// The write-ahead log of a member, in etcd's format. Owned by one thread.
///
/// `append` collects records in memory; `flush` writes them with one write and makes them durable
/// with one fdatasync, however many batches were appended: group commit. After a failed write or
/// fsync the log refuses everything, and the process is expected to end: what the kernel still holds
/// of the failed write is unknown.
///
/// - Source: etcd `wal/wal.go`.
public final class WAL {
  /// Bytes preallocated for a segment; it is closed once it holds more. 64 · 10⁶.
  public static let segmentBytes = 64_000_000

  private let reader: WALReader
  private let segmentBytes: Int
  private let noSync: Bool
  private let metadata: Bytes
  private var file: any StorageFile
  /// Segments that still exist, oldest first; the last one is written to.
  private var segments: [SegmentName]
  private var offset: Int
  private var zeroed: ZeroedExtent
  private var crc: UInt32
  private var state: Raftpb.HardState
  private var lastIndex: UInt64
  private var buffer = ByteWriter(capacity: 1 << 16)
  private var scratch = ByteWriter(capacity: 1 << 12)
  private var failure: WALError?
  private var fileSystem: any FileSystem { reader.fileSystem }
  private var directory: String { reader.directory }

  private init(
    reader: WALReader, segmentBytes: Int, noSync: Bool, metadata: Bytes, file: any StorageFile,
    segments: [SegmentName], offset: Int, crc: UInt32, state: Raftpb.HardState, lastIndex: UInt64
  ) {
    self.reader = reader
    self.segmentBytes = segmentBytes
    self.noSync = noSync
    self.metadata = metadata
    self.file = file
    self.segments = segments
    self.offset = offset
    zeroed = ZeroedExtent(end: offset)
    self.crc = crc
    self.state = state
    self.lastIndex = lastIndex
  }

  /// Whether a directory holds a log.
  public static func exists(
    _ fileSystem: any FileSystem, directory: String
  ) throws(WALError) -> Bool {
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    return try reader.disk { () throws(FileError) in
      guard try fileSystem.kind(directory) == .directory else { return false }
      return try fileSystem.list(directory).contains { SegmentName($0) != nil }
    }
  }

  /// Creates a log whose first records are `metadata` and the empty snapshot.
  ///
  /// It is built under `DIRECTORY.tmp` and renamed, so that a half-made log never exists.
  /// - Throws: `exists` when the directory holds a log already.
  public static func create(
    _ fileSystem: any FileSystem, directory: String, metadata: Bytes,
    segmentBytes: Int = WAL.segmentBytes, noSync: Bool = false
  ) throws(WALError) -> WAL {
    guard try !exists(fileSystem, directory: directory) else {
      throw WALError(.exists, "wal: \(directory) holds a log already")
    }
    let temporary = directory + ".tmp"
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    let name = SegmentName(sequence: 0, firstIndex: 0)
    let file = try reader.disk { () throws(FileError) in
      if try fileSystem.kind(temporary) == .directory {
        for name in try fileSystem.list(temporary) { try fileSystem.remove(temporary + "/" + name) }
      }
      try fileSystem.makeDirectory(temporary, permissions: 0o700)
      let path = temporary + "/" + name.text
      let file = try fileSystem.open(path, .createNew(permissions: 0o600))
      try file.allocate(to: segmentBytes)
      return file
    }
    let wal = WAL(
      reader: reader, segmentBytes: segmentBytes, noSync: noSync, metadata: metadata, file: file,
      segments: [name], offset: 0, crc: 0, state: Raftpb.HardState(), lastIndex: 0)
    wal.appendHeader()
    wal.append(snapshot: Walpb.Snapshot(index: 0, term: 0))
    try wal.flush()
    try reader.disk { () throws(FileError) in
      try file.sync()
      try fileSystem.syncDirectory(temporary)
      try fileSystem.rename(temporary, to: directory)
      try fileSystem.syncDirectory(parent(of: directory))
    }
    guard try reader.disk({ () throws(FileError) in try file.tryLock() }) else {
      throw WALError(.locked, "wal: \(directory)/\(name.text) is locked by another process")
    }
    return wal
  }

  /// Opens a log for appending and reads what stands behind `snapshot`.
  ///
  /// A torn last record is cut off, after a copy of the segment was saved as `NAME.broken`.
  /// - Throws: `WALError` naming file, offset and reason.
  public static func open(
    _ fileSystem: any FileSystem, directory: String, from snapshot: Walpb.Snapshot,
    segmentBytes: Int = WAL.segmentBytes, noSync: Bool = false
  ) throws(WALError) -> (WAL, WALContents, repaired: Bool) {
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    let names = try reader.segments(from: snapshot.index)
    let path = directory + "/" + names[names.count - 1].text
    let file = try reader.disk { () throws(FileError) in try fileSystem.open(path, .readWrite) }
    guard try reader.disk({ () throws(FileError) in try file.tryLock() }) else {
      file.close()
      throw WALError(.locked, "wal: \(path) is locked by another process")
    }
    do throws(WALError) {
      var repaired = false
      let outcome: WALReader.Outcome
      do throws(WALError) { outcome = try reader.read(names, from: snapshot) } catch {
        guard error.reason == .torn else { throw error }
        try repair(reader, names, file)
        repaired = true
        outcome = try reader.read(names, from: snapshot)
      }
      // Whatever stands behind the last record is wiped, so that it can never be read as one.
      try reader.disk { () throws(FileError) in
        let size = try file.size()
        if size > outcome.lastEnd {
          try file.truncate(to: outcome.lastEnd)
        }
        try file.allocate(to: Swift.max(size, segmentBytes))
        guard !noSync else { return }
        try file.sync()
        // A process that was killed may have renamed the segment or the log without making it durable.
        try fileSystem.syncDirectory(directory)
        try fileSystem.syncDirectory(parent(of: directory))
      }
      let wal = WAL(
        reader: reader, segmentBytes: segmentBytes, noSync: noSync,
        metadata: outcome.contents.metadata, file: file, segments: try reader.segments(),
        offset: outcome.lastEnd, crc: outcome.crc, state: outcome.contents.state,
        lastIndex: Swift.max(outcome.lastIndex, snapshot.index))
      return (wal, outcome.contents, repaired)
    } catch {
      file.close()
      throw error
    }
  }

  /// The snapshots that the log vouches for: recorded, and not ahead of the committed index.
  /// - Source: etcd `ValidSnapshotEntries`. A torn tail ends the reading without an error.
  public static func validSnapshots(
    _ fileSystem: any FileSystem, directory: String
  ) throws(WALError) -> [Walpb.Snapshot] {
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    let names = try reader.segments()
    var found: [Walpb.Snapshot] = []
    var committed: UInt64 = 0
    var crc: UInt32 = 0
    reading: for (position, name) in names.enumerated() {
      var segment = try reader.open(name, isLast: position == names.count - 1, crc: crc)
      while true {
        let step: SegmentReader.Step
        do throws(WALError) { step = try segment.next() } catch {
          if error.reason == .torn { break reading }
          throw error
        }
        guard case .record(let record) = step else { break }
        do {
          if record.kind == .snapshot { found.append(try Walpb.Snapshot.decode(record.data)) }
          if record.kind == .state { committed = try Raftpb.HardState.decode(record.data).commit }
        } catch { throw segment.problem(.malformed, "\(record.kind): \(error)") }
      }
      crc = segment.crc
    }
    return found.filter { $0.index <= committed }
  }

  /// Cuts the last segment behind its last good record.
  private static func repair(
    _ reader: WALReader, _ names: [SegmentName], _ file: any StorageFile
  ) throws(WALError) {
    var crc: UInt32 = 0
    var end = 0
    for (position, name) in names.enumerated() {
      var segment = try reader.open(name, isLast: position == names.count - 1, crc: crc)
      do throws(WALError) { while case .record = try segment.next() {} } catch {
        guard error.reason == .torn else { throw error }
        try reader.disk { () throws(FileError) in
          let copy = try reader.fileSystem.open(
            segment.path + ".broken", .create(permissions: 0o600))
          defer { copy.close() }
          try copy.truncate(to: 0)
          try segment.bytes.withUnsafeBytes { (memory) throws(FileError) in
            try copy.write(memory, at: 0)
          }
          try copy.sync()
        }
      }
      crc = segment.crc
      end = segment.validEnd
    }
    try reader.disk { () throws(FileError) in
      try file.truncate(to: end)
      try file.sync()
    }
  }

  // MARK: Appending

  /// Bytes appended and not yet flushed.
  public var pendingBytes: Int { buffer.count }

  /// Adds entries and, when it changed, the hard state.
  public func append(state: Raftpb.HardState?, entries: [Raftpb.Entry]) {
    for entry in entries {
      scratch.clear()
      entry.encode(into: &scratch)
      appendScratch(.entry)
      lastIndex = entry.index
    }
    if let state, state != self.state { append(state: state) }
  }

  private func append(state: Raftpb.HardState) {
    self.state = state
    scratch.clear()
    state.encode(into: &scratch)
    appendScratch(.state)
  }

  /// Records that a snapshot file of this index exists.
  public func append(snapshot: Walpb.Snapshot) {
    scratch.clear()
    snapshot.encode(into: &scratch)
    appendScratch(.snapshot)
    lastIndex = Swift.max(lastIndex, snapshot.index)
  }

  private func appendHeader() {
    Record.append(.crc, crc: crc, data: nil, to: &buffer)
    metadata.withUnsafeBytes { memory in
      crc = CRC32C.update(crc, memory)
      Record.append(.metadata, crc: crc, data: memory, to: &buffer)
    }
  }

  private func appendScratch(_ kind: Record.Kind) {
    scratch.withUnsafeBytes { memory in
      crc = CRC32C.update(crc, memory)
      Record.append(kind, crc: crc, data: memory, to: &buffer)
    }
  }

  /// Writes what was appended and, unless `durably` is false, waits until it is on the disk.
  ///
  /// A change of only the commit index needs no fsync: it can be learnt again from the leader.
  /// - Throws: `file`; the log refuses everything afterwards.
  public func flush(durably: Bool = true) throws(WALError) {
    if let failure { throw failure }
    do throws(WALError) {
      try reader.disk { () throws(FileError) in
        if buffer.count > 0 {
          try buffer.withUnsafeBytes { (memory) throws(FileError) in
            try file.write(memory, at: offset)
          }
          let flushed = offset..<(offset + buffer.count)
          offset = flushed.upperBound
          buffer.clear()
          if durably && !noSync,
            let zeros = zeroed.ahead(of: flushed, segmentBytes: segmentBytes)
          {
            try file.writeZeros(zeros)
          }
        }
        if durably && !noSync {
          Failpoint.hit(.walBeforeSync)
          try file.syncData()
          Failpoint.hit(.walAfterSync)
        }
      }
      if offset > segmentBytes { try cut() }
    } catch {
      failure = error
      throw error
    }
  }

  /// Closes the segment at its written size and begins the next one.
  private func cut() throws(WALError) {
    let last = segments[segments.count - 1]
    // checked: names have numbers below 2^62, and raft takes indexes up to there
    let next = SegmentName(sequence: last.sequence + 1, firstIndex: lastIndex + 1)
    let temporary = "\(directory)/\(next.sequence).tmp"
    let path = directory + "/" + next.text
    let closed = file
    file = try reader.disk { () throws(FileError) in
      try closed.truncate(to: offset)
      if !noSync { try closed.sync() }
      if try fileSystem.kind(temporary) != nil { try fileSystem.remove(temporary) }
      let fresh = try fileSystem.open(temporary, .createNew(permissions: 0o600))
      try fresh.allocate(to: segmentBytes)
      _ = try fresh.tryLock()
      return fresh
    }
    offset = 0
    appendHeader()
    append(state: state)
    try reader.disk { () throws(FileError) in
      try buffer.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
      offset = buffer.count
      zeroed = ZeroedExtent(end: offset)
      buffer.clear()
      if !noSync { try file.sync() }
      try fileSystem.rename(temporary, to: path)
      try fileSystem.syncDirectory(directory)
    }
    closed.close()
    segments.append(next)
  }

  /// Removes the oldest segments that no snapshot up to `index` needs, keeping `keep` files.
  /// - Parameter keep: 0 keeps all.
  /// - Returns: names removed.
  public func purge(upTo index: UInt64, keep: Int) throws(WALError) -> [String] {
    var removed: [String] = []
    while keep > 0, segments.count > keep, segments[1].firstIndex <= index {
      let name = segments[0].text
      try reader.disk { () throws(FileError) in try fileSystem.remove(directory + "/" + name) }
      segments.removeFirst()
      removed.append(name)
    }
    return removed
  }

  /// Flushes and releases the lock, also when the disk refuses.
  public func close() throws(WALError) {
    defer { file.close() }
    if failure == nil { try flush() }
  }
}

/// The directory that holds a path.
public func parent(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
