import Bytes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Open files, pipes and sockets by their number. Unsafe: buffers of system calls; none escapes.
public enum Descriptor {
  /// Opens a file for reading; negative when that fails, and `SystemError.last` says why.
  public static func openToRead(_ path: String) -> Int32 { open(path, O_RDONLY | O_CLOEXEC) }

  /// Opens or creates a file to which every write is appended; negative when that fails, and
  /// `SystemError.last` says why.
  public static func openToAppend(_ path: String, permissions: UInt32) -> Int32 {
    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode_t(permissions))
  }

  /// Gives it back; whoever opens next may get the number.
  public static func close(_ descriptor: Int32) {
    #if canImport(Glibc)
      _ = Glibc.close(descriptor)
    #else
      _ = Darwin.close(descriptor)
    #endif
  }

  /// Bytes of an open file; 0 when the system does not tell.
  public static func size(of descriptor: Int32) -> Int {
    var info = stat()
    return fstat(descriptor, &info) == 0 ? Int(info.st_size) : 0
  }

  /// One read(2), again when a signal cut it short; 0 at the end, negative for an error.
  public static func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    while true {
      #if canImport(Glibc)
        let count = Glibc.read(descriptor, memory.baseAddress, memory.count)
      #else
        let count = Darwin.read(descriptor, memory.baseAddress, memory.count)
      #endif
      if count < 0, errno == EINTR { continue }
      return count
    }
  }

  /// As above, into the bytes that `buffer` has.
  public static func read(_ descriptor: Int32, into buffer: inout [UInt8]) -> Int {
    buffer.withUnsafeMutableBytes { read(descriptor, into: $0) }
  }

  /// Writes all of it, with one write(2) unless the system takes a part at a time.
  /// - Returns: `false` when the other side takes no more.
  @discardableResult
  public static func write(_ bytes: Bytes, to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { memory in
      var rest = memory[...]
      while !rest.isEmpty {
        let piece = UnsafeRawBufferPointer(rebasing: rest)
        #if canImport(Glibc)
          let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
        #else
          let count = Darwin.write(descriptor, piece.baseAddress, piece.count)
        #endif
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
      }
      return true
    }
  }

  /// A pipe whose ends a program that is started does not inherit; `nil` when the system has none left.
  public static func pipe() -> (reading: Int32, writing: Int32)? {
    var ends: [Int32] = [0, 0]
    #if canImport(Glibc)
      guard Glibc.pipe(&ends) == 0 else { return nil }
    #else
      guard Darwin.pipe(&ends) == 0 else { return nil }
    #endif
    for end in ends { setInherited(end, false) }
    return (ends[0], ends[1])
  }

  /// Whether programs that are started get it.
  public static func setInherited(_ descriptor: Int32, _ isInherited: Bool) {
    _ = fcntl(descriptor, F_SETFD, isInherited ? 0 : FD_CLOEXEC)
  }

  /// Whether it leads to a terminal.
  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Whether the other end of a pipe or socket is gone; nothing is read or written.
  public static func isHungUp(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: 0, revents: 0)
    guard poll(&entry, 1, 0) == 1 else { return false }
    // checked: 16 bits fit
    return Int32(entry.revents) & (POLLERR | POLLHUP | POLLNVAL) != 0
  }
}
