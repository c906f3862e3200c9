import CUV

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
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
