import Bytes
import CDisk

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The machine's file system.
public struct RealFileSystem: FileSystem {
  public init() {}

  public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile {
    let flags: Int32
    var permissions: UInt32 = 0
    switch mode {
    case .read: flags = O_RDONLY
    case .readWrite: flags = O_RDWR
    case .create(let bits):
      flags = O_RDWR | O_CREAT
      permissions = bits
    case .createNew(let bits):
      flags = O_RDWR | O_CREAT | O_EXCL
      permissions = bits
    }
    let descriptor = try check("open", path) {
      #if canImport(Glibc)
        Glibc.open(path, flags | O_CLOEXEC, permissions)
      #else
        Darwin.open(path, flags | O_CLOEXEC, permissions)
      #endif
    }
    return RealFile(path: path, descriptor: descriptor)
  }

  public func list(_ directory: String) throws(FileError) -> [String] {
    guard let handle = opendir(directory) else { throw fail("opendir", directory) }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Type and permissions as `ls` writes them, `drwxr-xr-x`; `nil` when nothing stands there.
  public func modeText(_ path: String) -> String? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    let letters = Array("rwxrwxrwx")
    let bits = (0..<9).map { info.st_mode & (0o400 >> UInt32($0)) != 0 ? letters[$0] : "-" }
    return (info.st_mode & S_IFMT == S_IFDIR ? "d" : "-") + String(bits)
  }

  /// Bytes that may still be written to the file system of a path; more than `Int` holds are `Int.max`.
  /// - Throws: `FileError` with the path and errno.
  public func freeBytes(_ path: String) throws(FileError) -> Int {
    var info = statvfs()
    guard statvfs(path, &info) == 0 else { throw fail("statvfs", path) }
    let (bytes, overflowed) = UInt64(info.f_bavail).multipliedReportingOverflow(
      by: UInt64(info.f_frsize))
    return overflowed ? .max : Int(clamping: bytes)
  }

  public func kind(_ path: String) throws(FileError) -> FileKind? {
    var info = stat()
    if stat(path, &info) != 0 {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw fail("stat", path)
    }
    switch info.st_mode & S_IFMT {
    case S_IFREG: return .file(size: Int(info.st_size))
    case S_IFDIR: return .directory
    default: return .other
    }
  }

  public func makeDirectory(_ path: String, permissions: UInt32) throws(FileError) {
    if mkdir(path, permissions) == 0 { return }
    if errno == EEXIST {
      if try kind(path) == .directory { return }
      throw FileError(operation: "mkdir", path: path, errno: EEXIST, detail: "is not a directory")
    }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw fail("mkdir", path)
    }
    try makeDirectory(String(path[..<slash]), permissions: permissions)
    if mkdir(path, permissions) != 0 && errno != EEXIST { throw fail("mkdir", path) }
  }

  public func rename(_ from: String, to: String) throws(FileError) {
    #if canImport(Glibc)
      let failed = Glibc.rename(from, to) != 0
    #else
      let failed = Darwin.rename(from, to) != 0
    #endif
    if failed { throw fail("rename to \(to)", from) }
  }

  public func remove(_ path: String) throws(FileError) {
    if unlink(path) == 0 { return }
    if errno == EISDIR || errno == EPERM {
      if rmdir(path) == 0 { return }
      throw fail("rmdir", path)
    }
    throw fail("unlink", path)
  }

  public func syncDirectory(_ path: String) throws(FileError) {
    let file = try open(path, .read)
    defer { file.close() }
    try file.sync()
  }
}

/// An open descriptor of the machine.
final class RealFile: StorageFile {
  let path: String
  private let descriptor: Int32

  init(path: String, descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }

  func size() throws(FileError) -> Int {
    var info = stat()
    if fstat(descriptor, &info) != 0 { throw fail("fstat", path) }
    return Int(info.st_size)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    var done = 0
    while done < buffer.count {
      let n = pread(
        descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if n == 0 { break }
      if n < 0 {
        if errno == EINTR { continue }
        throw fail("read at \(offset + done)", path)
      }
      done += n
    }
    return done
  }

  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < memory.count {
      let n = pwrite(
        descriptor, memory.baseAddress! + done, memory.count - done, off_t(offset + done))
      if n < 0 {
        if errno == EINTR { continue }
        throw fail("write at \(offset + done)", path)
      }
      done += n
    }
  }

  func truncate(to size: Int) throws(FileError) {
    _ = try check("truncate to \(size)", path) { ftruncate(descriptor, off_t(size)) }
  }

  func allocate(to size: Int) throws(FileError) {
    #if canImport(Glibc)
      let code = posix_fallocate(descriptor, 0, off_t(size))
      if code == 0 { return }
      guard code == EOPNOTSUPP || code == EINVAL else {
        errno = code
        throw fail("allocate \(size)", path)
      }
    #endif
    if try self.size() < size { try truncate(to: size) }
  }

  func syncData() throws(FileError) {
    #if canImport(Glibc)
      _ = try check("fdatasync", path) { fdatasync(descriptor) }
    #else
      try sync()
    #endif
  }

  func sync() throws(FileError) {
    #if canImport(Glibc)
      _ = try check("fsync", path) { fsync(descriptor) }
    #else
      _ = try check("fsync", path) { fcntl(descriptor, F_FULLFSYNC) }
    #endif
  }

  func writeBack() throws(FileError) {
    _ = try check("sync_file_range", path) { cdisk_write_back(descriptor) }
  }

  func tryLock() throws(FileError) -> Bool { try lock(LOCK_EX) }

  func tryLockShared() throws(FileError) -> Bool { try lock(LOCK_SH) }

  private func lock(_ kind: Int32) throws(FileError) -> Bool {
    while flock(descriptor, kind | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { return false }
      if errno != EINTR { throw fail("flock", path) }
    }
    return true
  }

  func map(length: Int) throws(FileError) -> any FileMapping {
    let base = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let base, base != MAP_FAILED else { throw fail("mmap \(length) bytes of", path) }
    return RealMapping(memory: UnsafeRawBufferPointer(start: base, count: length))
  }

  func close() {
    // A mapping keeps the open file alive, and with it the lock: give the lock back by name.
    _ = flock(descriptor, LOCK_UN)
    #if canImport(Glibc)
      _ = Glibc.close(descriptor)
    #else
      _ = Darwin.close(descriptor)
    #endif
  }
}

/// An mmap'ed region, unmapped with the object.
final class RealMapping: FileMapping, @unchecked Sendable {
  // @unchecked: read-only memory that lives as long as the object.
  let memory: UnsafeRawBufferPointer

  init(memory: UnsafeRawBufferPointer) { self.memory = memory }

  func willNeed(_ bytes: Range<Int>) {
    // The system wants whole pages; advice that it refuses changes nothing.
    let start = bytes.lowerBound & ~(Int(sysconf(Int32(_SC_PAGESIZE))) - 1)
    let base = UnsafeMutableRawPointer(mutating: memory.baseAddress!) + start
    _ = madvise(base, bytes.upperBound - start, MADV_WILLNEED)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: memory.baseAddress!), memory.count) }
}

private func fail(_ operation: String, _ path: String) -> FileError {
  let code = errno
  return FileError(
    operation: operation, path: path, errno: code, detail: String(cString: strerror(code)))
}

/// Runs a system call that returns −1 on error, again after EINTR.
private func check(
  _ operation: String, _ path: String, _ call: () -> Int32
) throws(FileError) -> Int32 {
  while true {
    let result = call()
    if result >= 0 { return result }
    if errno != EINTR { throw fail(operation, path) }
  }
}
