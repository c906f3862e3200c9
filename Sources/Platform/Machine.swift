#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the system says about the machine.
public enum Machine {
  /// Processors that this process may run on; at least 1.
  public static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// What the machine calls itself; empty when it does not say.
  public static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Bytes of a page of memory.
  public static let pageBytes = sysconf(Int32(_SC_PAGESIZE))

  /// Clock ticks a second, in which /proc counts processor time.
  public static let clockTicks = sysconf(Int32(_SC_CLK_TCK))
}

/// Memory of the process. Unsafe where it takes addresses.
public enum ProcessMemory {
  /// Gives pages back to the system; what they held comes again from the file that is mapped there.
  public static func giveBack(_ start: UnsafeMutableRawPointer, _ count: Int) {
    madvise(start, count, Int32(MADV_DONTNEED))
  }

  /// Keeps all memory of the process in RAM, each page from its first use on.
  /// - Returns: why the system does not allow it; `nil` when it does.
  public static func lock() -> String? {
    #if canImport(Glibc)
      let flags =
        MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT
      return mlockall(flags) == 0 ? nil : SystemError.last.description
    #else
      return "not supported on this system"
    #endif
  }
}
