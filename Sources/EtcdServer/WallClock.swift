#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Time of day, for what must differ between two moments or is shown to people.
enum WallClock {
  /// Seconds since 1970.
  static func seconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int(now.tv_sec)
  }
}
