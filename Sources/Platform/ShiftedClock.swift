import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file in which another process says by how much the time of day is wrong here: the fault "clock" of `devcluster`.
/// Sixteen bytes in the machine's order: nanoseconds to add, and the process that follows.
///
/// Unsafe: who follows has the file mapped, so that reading the clock stays without a system call. The words are
/// atomic; the mapping is never taken back.
public enum ShiftedClock {
  /// The variable that names the file. It does not begin with `ETCD_`, of which Go's members complain.
  public static let variable = "DEVCLUSTER_CLOCK"
  private static let length = 16
  private static let followerOffset: off_t = 8

  private struct Words: ~Copyable {
    let offset: Atomic<Int64>
    let follower: Atomic<Int64>
  }

  /// The address of what is followed; 0 for nothing.
  private static let followed = Atomic<UInt>(0)

  /// Has the time of day of this process be that of a file from now on; makes the file where there is none.
  /// - Throws: `SystemError` of the call that failed.
  public static func follow(_ path: String) throws(SystemError) {
    let descriptor = try open(path)
    defer { close(descriptor) }
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw .last }
    let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let base, base != MAP_FAILED else { throw .last }
    let words = UnsafePointer(base.assumingMemoryBound(to: Words.self))
    words.pointee.follower.store(Int64(getpid()), ordering: .relaxed)
    followed.store(UInt(bitPattern: words), ordering: .releasing)
  }

  /// Nanoseconds to add to the time of day of this process.
  static var offset: Int64 {
    let words = UnsafePointer<Words>(bitPattern: followed.load(ordering: .acquiring))
    return words?.pointee.offset.load(ordering: .relaxed) ?? 0
  }

  /// Says how wrong the clock of a file is, in nanoseconds.
  /// - Throws: `SystemError` of the call that failed.
  public static func set(_ offset: Int64, in path: String) throws(SystemError) {
    let descriptor = try open(path)
    defer { close(descriptor) }
    var offset = offset
    guard pwrite(descriptor, &offset, MemoryLayout<Int64>.size, 0) == MemoryLayout<Int64>.size
    else { throw .last }
  }

  /// The process that takes its time from a file; 0 for nobody.
  public static func follower(of path: String) -> Int32 {
    guard let descriptor = try? open(path) else { return 0 }
    defer { close(descriptor) }
    var follower: Int64 = 0
    let count = pread(descriptor, &follower, MemoryLayout<Int64>.size, followerOffset)
    guard count == MemoryLayout<Int64>.size else { return 0 }
    return Int32(truncatingIfNeeded: follower)
  }

  private static func open(_ path: String) throws(SystemError) -> Int32 {
    #if canImport(Glibc)
      let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    #else
      let descriptor = Darwin.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    #endif
    guard descriptor >= 0 else { throw .last }
    return descriptor
  }
}
