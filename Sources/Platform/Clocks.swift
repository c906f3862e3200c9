#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Time of day, for what is shown to people or must differ between two starts; never for deadlines.
public enum WallClock {
  /// Nanoseconds since 1970.
  public static var nanoseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec) &+ ShiftedClock.offset
  }

  /// Seconds since 1970.
  public static var seconds: Int64 { nanoseconds / 1_000_000_000 }

  /// Seconds by which local time is ahead of UTC at a time since 1970.
  public static func zoneOffset(at seconds: Int) -> Int {
    var time = time_t(seconds)
    var parts = tm()
    localtime_r(&time, &parts)
    return parts.tm_gmtoff
  }
}

/// Nanoseconds of the monotonic clock, which all loops share.
public func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
