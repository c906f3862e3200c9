import Bytes

/// The one door to the disk. WAL, Snap and Bolt reach files only through it, so that a simulated disk
/// (unsynced data may vanish or tear) runs the same code as the real one.
///
/// Calls block; they are made on storage threads, never on the core or an I/O loop.
public protocol FileSystem: Sendable {
  /// Opens or creates a regular file.
  /// - Throws: `FileError` with the path and errno.
  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile
  /// Names inside a directory, sorted, without `.` and `..`.
  func list(_ directory: String) throws(FileError) -> [String]
  /// What stands at a path; `nil` when nothing does.
  func kind(_ path: String) throws(FileError) -> FileKind?
  /// Creates a directory and its missing parents; no error when it is there.
  func makeDirectory(_ path: String, permissions: UInt32) throws(FileError)
  /// Atomically renames, replacing a file at `to`. Durable only after `syncDirectory`.
  func rename(_ from: String, to: String) throws(FileError)
  /// Removes a file or an empty directory.
  func remove(_ path: String) throws(FileError)
  /// Makes creations, renames and removals inside the directory durable.
  func syncDirectory(_ path: String) throws(FileError)
}

/// How `FileSystem.open` treats the path.
public enum OpenMode: Sendable {
  /// Read only; must exist.
  case read
  /// Read and write; must exist.
  case readWrite
  /// Read and write; created with these permission bits when missing.
  case create(permissions: UInt32)
  /// Read and write; must not exist.
  case createNew(permissions: UInt32)
}

/// What stands at a path.
public enum FileKind: Sendable, Equatable {
  case file(size: Int)
  case directory
  case other
}

/// An open file. Positions and sizes are in bytes.
public protocol StorageFile: AnyObject, Sendable {
  /// Path it was opened with, for messages.
  var path: String { get }
  /// Current size.
  func size() throws(FileError) -> Int
  /// Reads up to `buffer.count` bytes; fewer only at the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int
  /// Writes all bytes at an offset, extending the file when needed.
  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError)
  /// Cuts or extends with zeros.
  func truncate(to size: Int) throws(FileError)
  /// Reserves blocks and extends the file with zeros to `size`.
  func allocate(to size: Int) throws(FileError)
  /// fdatasync: data and the size needed to read it are durable on return.
  func syncData() throws(FileError)
  /// fsync.
  func sync() throws(FileError)
  /// Hands what was written to the disk and waits until the disk has taken it. Nothing becomes durable
  /// by it: a later fsync, of this file or of one in the same journal, finds less to wait for.
  func writeBack() throws(FileError)
  /// Takes an exclusive advisory lock (flock) without waiting; `false` when another holder has it.
  func tryLock() throws(FileError) -> Bool
  /// Takes a shared advisory lock, which other readers may hold too, without waiting; `false` when a
  /// writer has it.
  func tryLockShared() throws(FileError) -> Bool
  /// Maps the first `length` bytes read-only and shared: later writes through this file show in it.
  /// `length` may exceed the file; only bytes inside the file may be touched.
  func map(length: Int) throws(FileError) -> any FileMapping
  /// Closes and releases the lock. Mappings stay valid. Further calls are a fault of the caller.
  func close()
}

/// A read-only view of a file's bytes, valid until the object is released.
public protocol FileMapping: AnyObject, Sendable {
  var memory: UnsafeRawBufferPointer { get }
  /// Says that these bytes are read soon, so that the disk can work ahead. Waits for nothing.
  func willNeed(_ bytes: Range<Int>)
}

extension FileMapping {
  public func willNeed(_ bytes: Range<Int>) {}
}

extension StorageFile {
  public func tryLockShared() throws(FileError) -> Bool { try tryLock() }
  public func writeBack() throws(FileError) {}

  /// Writes zeros over blocks that were only reserved, which read as zeros already.
  ///
  /// Block by block: Linux keeps a long write in one large folio of its cache, and every later fdatasync of a part of
  /// it takes longer.
  public func writeZeros(_ range: Range<Int>) throws(FileError) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let count = Swift.min(zeros.count - offset % zeros.count, range.upperBound - offset)
      try zeros.withUnsafeBufferPointer { (memory) throws(FileError) in
        let block = UnsafeRawBufferPointer(memory)
        try write(UnsafeRawBufferPointer(rebasing: block[..<count]), at: offset)
      }
      offset += count
    }
  }
}

/// A block.
private let zeros = [UInt8](repeating: 0, count: 4096)

extension FileSystem {
  /// The whole file.
  /// - Throws: `FileError` with `EFBIG` when it has more than `limit` bytes.
  public func readFile(_ path: String, limit: Int) throws(FileError) -> Bytes {
    let file = try open(path, .read)
    defer { file.close() }
    let size = try file.size()
    guard size <= limit else {
      throw FileError(
        operation: "read", path: path, errno: FileError.tooLarge,
        detail: "file has \(size) bytes, limit \(limit)")
    }
    let storage = ByteStorage.make(capacity: size)
    let got = try file.read(
      into: UnsafeMutableRawBufferPointer(start: storage.base, count: size), at: 0)
    return Bytes(owner: storage, UnsafeRawBufferPointer(start: storage.base, count: got))
  }
}

/// A failed file operation: what was tried, on what, and why it failed.
public struct FileError: Error, Sendable, CustomStringConvertible {
  /// What was tried, as a verb: `open`, `fdatasync`, ….
  public let operation: String
  public let path: String
  /// errno of the system; simulated disks use the same numbers.
  public let errno: Int32
  /// Text of the errno, or more exact words.
  public let detail: String

  public init(operation: String, path: String, errno: Int32, detail: String) {
    self.operation = operation
    self.path = path
    self.errno = errno
    self.detail = detail
  }

  public static let notFound: Int32 = 2
  public static let exists: Int32 = 17
  public static let tooLarge: Int32 = 27
  public static let noSpace: Int32 = 28

  public var description: String { "\(operation) \(path): \(detail)" }

  /// The same as Go's `os.PathError` writes it: `open PATH: no such file or directory`.
  public var goDescription: String {
    "\(operation == "opendir" ? "open" : operation) \(path): \(detail.prefix(1).lowercased())\(detail.dropFirst())"
  }
}
