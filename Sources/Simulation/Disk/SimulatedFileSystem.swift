import FileSystem

/// A disk in memory that forgets what was not synced when its power fails.
///
/// - A write is durable after `sync` or `syncData` of its file; a creation, rename or removal after
///   `syncDirectory` of its directory, whatever happened to the file.
/// - Every operation that changes something is counted, so that a test can stop the world at each.
///
/// Confined to one thread, as the whole simulation is.
public final class SimulatedFileSystem: FileSystem, @unchecked Sendable {
  // @unchecked: confined to one thread; `FileSystem` is Sendable for the sake of the real one.

  let root: SimulatedDirectory
  /// Operations so far that changed something.
  public private(set) var operations = 0
  /// The power fails before this operation; from then on every call fails.
  public var stopBefore: Int?
  /// Whether the power failed.
  public private(set) var isDead = false
  /// Whether `sync` and `syncData` only pretend: a broken disk.
  public var ignoresSync = false
  /// Whether the next fsync of a file fails, and leaves what it should have written to nobody: the
  /// kernel takes the pages for clean, and later fsyncs succeed.
  public var failsNextSync = false
  /// Writes of files that succeed before one fails with EIO; `nil` = all.
  public var writeFailsIn: Int?
  /// Reads of files that succeed before one fails with EIO; `nil` = all.
  public var readFailsIn: Int?
  /// Whether nothing fits on the disk any more.
  public var isFull = false
  /// Whether the next sync of a file puts one of its writes elsewhere.
  var misdirectsNextSync = false
  private var failure: Failure?

  /// A fault that somebody was told of.
  enum Failure {
    /// An fsync: what was to be synced is in nobody's hands.
    case sync
    /// A call that did nothing.
    case call
  }
  private var faults: [Int: Int32] = [:]

  public convenience init() { self.init(root: SimulatedDirectory()) }

  init(root: SimulatedDirectory) { self.root = root }

  /// From now on every call fails, as in a process that was killed.
  public func powerOff() { isDead = true }

  /// Lets one operation fail and change nothing.
  /// - Parameter errno: 5 = EIO, 28 = ENOSPC.
  public func fail(operation: Int, errno: Int32) { faults[operation] = errno }

  /// Damages a bit of a file.
  /// - Throws: `FileError` when there is no such byte.
  public func flipBit(_ path: String, at offset: Int, bit: Int) throws(FileError) {
    let inode = try file(path, "flip")
    guard offset < inode.size else { throw error("flip", path, 22, "beyond the end") }
    inode.flipBit(at: offset, bit: bit)
  }

  /// The last call that failed by a fault since this was asked.
  func takeFailure() -> Failure? {
    defer { failure = nil }
    return isDead ? nil : failure
  }

  // MARK: Bookkeeping

  func failSync() -> Bool {
    guard failsNextSync else { return false }
    failsNextSync = false
    failure = .sync
    return true
  }

  /// Counts a read, which may be the one that fails.
  func checkRead(_ path: String) throws(FileError) {
    guard strikes(&readFailsIn) else { return }
    failure = .call
    throw error("read", path, 5, "I/O error")
  }

  /// Counts a write, which may be the one that fails.
  func checkWrite(_ operation: String, _ path: String) throws(FileError) {
    if isFull {
      failure = .call
      throw error(operation, path, FileError.noSpace, "no space left on device")
    }
    guard strikes(&writeFailsIn) else { return }
    failure = .call
    throw error(operation, path, 5, "I/O error")
  }

  private func strikes(_ rest: inout Int?) -> Bool {
    guard let left = rest else { return false }
    rest = left > 0 ? left - 1 : nil
    return left == 0
  }

  /// Everything that processes see is on the disk.
  func syncAll() { root.syncAll() }

  func error(_ operation: String, _ path: String, _ errno: Int32, _ detail: String) -> FileError {
    FileError(operation: operation, path: path, errno: errno, detail: detail)
  }

  func checkPower(_ operation: String, _ path: String) throws(FileError) {
    if isDead { throw error(operation, path, 5, "the power is off") }
  }

  /// Counts a change.
  func count(_ operation: String, _ path: String) throws(FileError) {
    try checkPower(operation, path)
    if let stopBefore, operations >= stopBefore {
      isDead = true
      throw error(operation, path, 5, "the power failed")
    }
    operations += 1
    if let errno = faults.removeValue(forKey: operations - 1) {
      throw error(operation, path, errno, errno == 28 ? "no space left on device" : "I/O error")
    }
  }

  // MARK: Paths

  private func parts(_ path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init)
  }

  func find(_ path: String) -> SimulatedDirectory.Entry? {
    var entry = SimulatedDirectory.Entry.directory(root)
    for name in parts(path) {
      guard case .directory(let directory) = entry, let next = directory.entries[name] else {
        return nil
      }
      entry = next
    }
    return entry
  }

  private func file(_ path: String, _ operation: String) throws(FileError) -> SimulatedInode {
    switch find(path) {
    case .file(let inode): return inode
    case .directory: throw error(operation, path, 21, "is a directory")
    case nil: throw error(operation, path, FileError.notFound, "no such file or directory")
    }
  }

  private func directory(
    _ path: String, _ operation: String
  ) throws(FileError) -> SimulatedDirectory {
    switch find(path) {
    case .directory(let directory): return directory
    case .file: throw error(operation, path, 20, "not a directory")
    case nil: throw error(operation, path, FileError.notFound, "no such file or directory")
    }
  }

  /// The directory that holds a path, and the last name.
  private func place(
    _ path: String, _ operation: String
  ) throws(FileError) -> (SimulatedDirectory, String) {
    var names = parts(path)
    guard let name = names.popLast() else { throw error(operation, path, 22, "no name") }
    return (try directory(names.joined(separator: "/"), operation), name)
  }

  // MARK: FileSystem

  public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile {
    try checkPower("open", path)
    let inode: SimulatedInode
    switch mode {
    case .read, .readWrite: inode = try file(path, "open")
    case .create where find(path) != nil: inode = try file(path, "open")
    case .create, .createNew:
      let (directory, name) = try place(path, "open")
      guard directory.entries[name] == nil else {
        throw error("open", path, FileError.exists, "file exists")
      }
      try checkWrite("open", path)
      try count("create", path)
      inode = SimulatedInode()
      directory.make(.add(name, .file(inode)))
    }
    return SimulatedFile(self, path: path, inode: inode)
  }

  public func list(_ path: String) throws(FileError) -> [String] {
    try checkPower("list", path)
    return try directory(path, "list").entries.keys.sorted()
  }

  public func kind(_ path: String) throws(FileError) -> FileKind? {
    try checkPower("stat", path)
    switch find(path) {
    case .file(let inode): return .file(size: inode.size)
    case .directory: return .directory
    case nil: return nil
    }
  }

  public func makeDirectory(_ path: String, permissions: UInt32) throws(FileError) {
    try checkPower("mkdir", path)
    var at = root
    for name in parts(path) {
      switch at.entries[name] {
      case .directory(let next): at = next
      case .file: throw error("mkdir", path, FileError.exists, "is not a directory")
      case nil:
        try checkWrite("mkdir", path)
        try count("mkdir", path)
        let next = SimulatedDirectory()
        at.make(.add(name, .directory(next)))
        at = next
      }
    }
  }

  /// Renames inside one directory; anything else is refused with EXDEV.
  public func rename(_ from: String, to: String) throws(FileError) {
    try checkPower("rename", from)
    let (source, name) = try place(from, "rename")
    let (target, newName) = try place(to, "rename")
    guard source === target else { throw error("rename", from, 18, "not in one directory") }
    guard let moved = source.entries[name] else {
      throw error("rename to \(to)", from, FileError.notFound, "no such file or directory")
    }
    switch (moved, source.entries[newName]) {
    case (_, nil), (.file, .file): break
    case (.directory, .directory(let there)) where there.entries.isEmpty: break
    default: throw error("rename to \(to)", from, FileError.exists, "target is in the way")
    }
    try count("rename to \(to)", from)
    source.make(.rename(name, to: newName))
  }

  public func remove(_ path: String) throws(FileError) {
    try checkPower("remove", path)
    let (directory, name) = try place(path, "remove")
    switch directory.entries[name] {
    case nil: throw error("unlink", path, FileError.notFound, "no such file or directory")
    case .directory(let gone) where !gone.entries.isEmpty:
      throw error("rmdir", path, 39, "directory not empty")
    default: break
    }
    try count("remove", path)
    directory.make(.remove(name))
  }

  public func syncDirectory(_ path: String) throws(FileError) {
    let directory = try directory(path, "fsync")
    try count("fsync directory", path)
    if !ignoresSync { directory.sync() }
  }
}
