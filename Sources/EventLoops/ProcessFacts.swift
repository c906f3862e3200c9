import CUV
import Platform

/// What the system says about this process. Any thread.
public enum ProcessFacts {
  /// Bytes of memory, by who has them.
  public struct Memory: Sendable {
    /// In RAM, all kinds together.
    public var resident = 0
    /// Handed out by the allocator.
    public var allocated = 0
    /// Taken from the system by the allocator.
    public var fromSystem = 0
    /// Taken and not handed out.
    public var idle = 0
  }

  /// Memory now; zeros where the system does not tell.
  public static var memory: Memory {
    var found = Memory()
    var resident = 0
    if uv_resident_set_memory(&resident) == 0 { found.resident = resident }
    let heap = cuv_heap_now()
    found.allocated = Int(clamping: heap.allocated)
    found.fromSystem = Int(clamping: heap.from_system)
    found.idle = Int(clamping: heap.idle)
    return found
  }

  /// A thread with the processor time that it has had, in clock ticks.
  public struct ThreadTime: Sendable {
    public let number: String
    public let name: String
    public let user: UInt64
    public let system: UInt64
  }

  /// The threads by number; empty where the system does not tell. Reads files: for people, not for every
  /// request.
  public static var threadTimes: [ThreadTime] {
    var found: [ThreadTime] = []
    for number in SystemFiles.names(in: "/proc/self/task") ?? [] {
      guard let line = SystemFiles.text(of: "/proc/self/task/\(number)/stat"),
        let open = line.firstIndex(of: "("), let close = line.lastIndex(of: ")")
      else { continue }
      // Fields after the name: state is the first, time in user and system mode the 12th and 13th.
      let fields = line[line.index(after: close)...].split(separator: " ")
      guard fields.count > 12 else { continue }
      let name = line[line.index(after: open)..<close]
      found.append(
        ThreadTime(
          number: number, name: String(name), user: UInt64(fields[11]) ?? 0,
          system: UInt64(fields[12]) ?? 0))
    }
    return found.sorted { $0.number < $1.number }
  }

  /// The same as lines of text.
  public static var threads: [String] {
    threadTimes.map { "\($0.number) \($0.name) user \($0.user) system \($0.system)" }
  }
}
