import FileSystem

/// An open file of a simulated disk.
final class SimulatedFile: StorageFile, @unchecked Sendable {
  // @unchecked: confined to one thread, see SimulatedFileSystem.

  let path: String
  private let fileSystem: SimulatedFileSystem
  private let inode: SimulatedInode
  private var isClosed = false

  init(_ fileSystem: SimulatedFileSystem, path: String, inode: SimulatedInode) {
    self.fileSystem = fileSystem
    self.path = path
    self.inode = inode
  }

  private func check(_ operation: String) throws(FileError) {
    precondition(!isClosed, "\(operation) of \(path) after close")
    try fileSystem.checkPower(operation, path)
  }

  private func change(_ operation: String, upTo end: Int = 0) throws(FileError) {
    try check(operation)
    guard end <= SimulatedMemory.reservedBytes else {
      throw fileSystem.error(operation, path, FileError.tooLarge, "file too large")
    }
    try fileSystem.count(operation, path)
  }

  private func checkWrite(_ operation: String, _ partly: () -> Void) throws(FileError) {
    do { try fileSystem.checkWrite(operation, path) } catch {
      partly()
      throw error
    }
  }

  func size() throws(FileError) -> Int {
    try check("fstat")
    return inode.size
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try check("read")
    try fileSystem.checkRead(path)
    let count = min(buffer.count, max(inode.size - offset, 0))
    if count > 0 {
      buffer.baseAddress!.copyMemory(from: inode.memory.base + offset, byteCount: count)
    }
    return count
  }

  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try change("write at \(offset)", upTo: offset + memory.count)
    try checkWrite("write at \(offset)") {
      // What the kernel has taken until then: it takes whole pages, here whole sectors.
      let end =
        (offset + memory.count / 2) / SimulatedInode.sectorBytes * SimulatedInode.sectorBytes
      guard end > offset else { return }
      inode.write(UnsafeRawBufferPointer(rebasing: memory[..<(end - offset)]), at: offset)
    }
    inode.write(memory, at: offset)
  }

  func truncate(to size: Int) throws(FileError) {
    try change("truncate to \(size)", upTo: size)
    inode.resize(to: size)
  }

  func allocate(to size: Int) throws(FileError) {
    try change("allocate \(size)", upTo: size)
    if inode.size < size { try checkWrite("allocate \(size)") {} }
    if inode.size < size { inode.resize(to: size) }
  }

  func syncData() throws(FileError) { try sync() }

  func sync() throws(FileError) {
    try change("fsync")
    if fileSystem.failSync() {
      inode.forget()
      throw fileSystem.error("fsync", path, 5, "I/O error")
    }
    if fileSystem.ignoresSync { return }
    if fileSystem.misdirectsNextSync, inode.misdirect() { fileSystem.misdirectsNextSync = false }
    inode.sync()
  }

  func tryLock() throws(FileError) -> Bool {
    try check("flock")
    if let holder = inode.lockHolder, holder != ObjectIdentifier(self) { return false }
    inode.lockHolder = ObjectIdentifier(self)
    return true
  }

  func map(length: Int) throws(FileError) -> any FileMapping {
    try check("mmap")
    guard length <= SimulatedMemory.reservedBytes else {
      throw fileSystem.error("mmap \(length) bytes of", path, 12, "cannot allocate memory")
    }
    return SimulatedMapping(inode.memory, length: length)
  }

  func close() {
    isClosed = true
    if inode.lockHolder == ObjectIdentifier(self) { inode.lockHolder = nil }
  }

  deinit { if !isClosed { close() } }
}
