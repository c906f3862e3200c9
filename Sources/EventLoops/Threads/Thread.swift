import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An operating-system thread that runs one body and can be joined once.
struct OSThread: @unchecked Sendable {
  // @unchecked: a pthread_t is an opaque handle that any thread may use.
  private let handle: pthread_t

  /// Carries the body through `pthread_create`'s untyped argument.
  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
    func run() {
      // The kernel keeps 15 bytes of a thread's name and refuses longer ones.
      let short = String(name.prefix(15))
      cuv_name_thread(short)
      body()
    }
  }

  /// Starts a thread.
  /// - Traps: when the system has no thread left; nothing useful can be done without it.
  init(name: String, _ body: @escaping @Sendable () -> Void) {
    let argument = Unmanaged.passRetained(Start(name, body)).toOpaque()
    #if canImport(Glibc)
      var created = pthread_t()
      let result = pthread_create(
        &created, nil,
        { raw in
          Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue().run()
          return nil
        }, argument)
      precondition(result == 0, "cannot create thread \(name): errno \(result)")
      handle = created
    #else
      var created: pthread_t?
      let result = pthread_create(
        &created, nil,
        { raw in
          Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().run()
          return nil
        }, argument)
      precondition(result == 0, "cannot create thread \(name): errno \(result)")
      handle = created!
    #endif
  }

  /// Waits until the body has returned. At most one call.
  func join() { pthread_join(handle, nil) }

  /// A number that differs between living threads and is never 0.
  @inline(__always)
  static var current: UInt {
    #if canImport(Glibc)
      return UInt(pthread_self())
    #else
      return UInt(bitPattern: pthread_self())
    #endif
  }
}

extension Duration {
  /// Whole nanoseconds, at most `Int64.max` (292 years); negative durations give 0.
  ///
  /// The largest value added to a clock that counts from the system's start still fits in 64 bits, so a
  /// deadline never wraps, and the time left of it fits in a signed number.
  public var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    if seconds < 0 || attoseconds < 0 { return 0 }
    let longest = UInt64(Int64.max)
    let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow || product >= longest { return longest }
    return Swift.min(longest, product + UInt64(attoseconds / 1_000_000_000))
  }
}
