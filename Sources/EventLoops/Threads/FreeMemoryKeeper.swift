import Platform
import Synchronization

/// Notes that about so many bytes were freed at once: connections, calls, bodies. Any thread.
///
/// For what comes in floods. What a call frees while others take as much need not be noted.
public func noteFreedMemory(_ bytes: Int) { freedBytes.wrappingAdd(bytes, ordering: .relaxed) }

private let freedBytes = Atomic<Int>(0)

/// All that was ever noted, in bytes.
public var notedFreedMemory: Int { freedBytes.load(ordering: .relaxed) }

/// Decides when to give freed memory back: when the process has grown a good deal or much was freed, and it has
/// stopped growing. Pure.
///
/// After a flood most of what it took is free, but stays with the process (see `releaseFreeMemory`). Growth alone
/// tells of it when it is short; one that rests at its height is told by what is freed afterwards.
struct FreeMemoryPolicy {
  /// Growth that is worth looking for free memory.
  static let growthBytes = 67_108_864
  /// Noted bytes that are.
  static let freedBytes = 33_554_432

  /// The least that was seen, ever and since memory was last given back.
  private var base: Int?
  private var floor: Int?
  private var last = 0
  private var freed = 0

  /// Notes the resident size and what was freed since the last sample, in bytes.
  /// - Returns: whether free memory is to be given back now.
  mutating func sample(_ resident: Int, freed more: Int = 0) -> Bool {
    defer { last = resident }
    let lowest = Swift.min(base ?? resident, resident)
    let low = Swift.min(floor ?? resident, resident)
    (base, floor) = (lowest, low)
    freed = Swift.min(freed + more, Int(Int32.max))
    // While it grows what is free is wanted again soon.
    guard resident - last < Self.growthBytes / 16 else { return false }
    return resident - low >= Self.growthBytes
      || (freed >= Self.freedBytes && resident - lowest >= Self.freedBytes)
  }

  /// Memory was given back; what is left is in use.
  mutating func released(_ resident: Int) {
    floor = resident
    last = resident
    freed = 0
  }
}

/// Gives freed memory back to the system within ten seconds after a flood, away from the loop.
public final class FreeMemoryKeeper: @unchecked Sendable {
  // @unchecked: `policy` and `seen` are touched by `check` alone, whose calls the worker runs one after another.
  private var policy = FreeMemoryPolicy()
  private var seen = notedFreedMemory

  /// Between two looks at the process.
  public static let interval: Duration = .seconds(2)

  public init() {}

  /// Looks at the process every two seconds, from now until the loop stops or the timer is cancelled.
  /// - Parameters:
  ///   - loop: keeps the time; the caller is on it.
  ///   - execute: runs its argument on a thread that may block, one after another.
  @discardableResult
  public func start(
    on loop: EventLoop, _ execute: @escaping (@escaping @Sendable () -> Void) -> Void
  ) -> LoopTimer {
    loop.schedule(after: Self.interval, repeating: Self.interval) { execute { self.check() } }
  }

  /// One look; some microseconds, and some milliseconds where memory is given back.
  func check() {
    let noted = notedFreedMemory
    defer { seen = noted }
    guard let resident = residentHeapBytes(), policy.sample(resident, freed: noted &- seen) else {
      return
    }
    releaseFreeMemory()
    policy.released(residentHeapBytes() ?? resident)
  }
}

/// Bytes of the process in main memory that belong to no file; `nil` where there is no /proc.
func residentHeapBytes() -> Int? {
  // Pages: size, resident, shared.
  guard let fields = SystemFiles.text(of: "/proc/self/statm")?.split(separator: " "),
    fields.count > 2, let resident = Int(fields[1]), let shared = Int(fields[2])
  else { return nil }
  return Swift.max(0, resident - shared) * Machine.pageBytes
}
