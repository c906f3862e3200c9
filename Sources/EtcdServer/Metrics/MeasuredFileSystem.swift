import EventLoops
import FileSystem
import Platform

/// Hears how long the disk took. Called on the thread that wrote.
protocol DiskObserver: AnyObject, Sendable {
  func wrote(_ kind: MeasuredFile.Kind, bytes: Int, nanoseconds: UInt64)
  func synced(_ kind: MeasuredFile.Kind, nanoseconds: UInt64)
}

/// A file system that tells how long writes and fsyncs of a member's files took: the formats above it
/// know no clock.
final class MeasuredFileSystem: FileSystem {
  private let base: any FileSystem
  private let observer: any DiskObserver

  init(_ base: any FileSystem, _ observer: any DiskObserver) {
    self.base = base
    self.observer = observer
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile {
    let file = try base.open(path, mode)
    guard let kind = MeasuredFile.Kind(path: path) else { return file }
    return MeasuredFile(file, kind, observer)
  }
  func list(_ directory: String) throws(FileError) -> [String] { try base.list(directory) }
  func kind(_ path: String) throws(FileError) -> FileKind? { try base.kind(path) }
  func makeDirectory(_ path: String, permissions: UInt32) throws(FileError) {
    try base.makeDirectory(path, permissions: permissions)
  }
  func rename(_ from: String, to: String) throws(FileError) { try base.rename(from, to: to) }
  func remove(_ path: String) throws(FileError) { try base.remove(path) }
  func syncDirectory(_ path: String) throws(FileError) { try base.syncDirectory(path) }
}

/// One of its files.
final class MeasuredFile: StorageFile {
  /// What the file is for, as its name tells.
  enum Kind: Sendable {
    case log, snapshot, backend

    /// - Returns: `nil` for files of which nobody asks. A segment of the log is made as `7.tmp` and renamed
    ///   while it is open.
    init?(path: String) {
      let name = path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]
      if name.hasSuffix(".wal") || (name.hasSuffix(".tmp") && UInt64(name.dropLast(4)) != nil) {
        self = .log
      } else if path.hasSuffix(".snap") {
        self = .snapshot
      } else if path.hasSuffix("/db") {
        self = .backend
      } else {
        return nil
      }
    }
  }

  private let file: any StorageFile
  private let kind: Kind
  private let observer: any DiskObserver
  var path: String { file.path }

  init(_ file: any StorageFile, _ kind: Kind, _ observer: any DiskObserver) {
    self.file = file
    self.kind = kind
    self.observer = observer
  }

  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    let start = monotonicNanoseconds()
    try file.write(memory, at: offset)
    observer.wrote(kind, bytes: memory.count, nanoseconds: monotonicNanoseconds() &- start)
  }

  private func synced(_ sync: () throws(FileError) -> Void) throws(FileError) {
    let start = monotonicNanoseconds()
    try sync()
    observer.synced(kind, nanoseconds: monotonicNanoseconds() &- start)
  }

  func syncData() throws(FileError) {
    try synced { () throws(FileError) in try file.syncData() }
  }
  func sync() throws(FileError) { try synced { () throws(FileError) in try file.sync() } }

  func size() throws(FileError) -> Int { try file.size() }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try file.read(into: buffer, at: offset)
  }
  func truncate(to size: Int) throws(FileError) { try file.truncate(to: size) }
  func allocate(to size: Int) throws(FileError) { try file.allocate(to: size) }
  func writeBack() throws(FileError) { try file.writeBack() }
  func tryLock() throws(FileError) -> Bool { try file.tryLock() }
  func tryLockShared() throws(FileError) -> Bool { try file.tryLockShared() }
  func map(length: Int) throws(FileError) -> any FileMapping { try file.map(length: length) }
  func close() { file.close() }
}
