import Foundation

/// Watches the memory of a process and keeps the peak. A mapped file's pages are page cache, which
/// the kernel takes back at will: they count as resident and not as anonymous.
final class MemorySampler: @unchecked Sendable {
  // @unchecked: everything mutable is behind `lock`.
  private let pid: Int32
  private let lock = NSLock()
  private let start: ProcessMemory
  private var peak: ProcessMemory
  private var isStopped = false

  private static let intervalMicroseconds: UInt32 = 20_000

  /// Starts to watch.
  init(_ pid: Int32) throws(BenchError) {
    self.pid = pid
    start = try ProcessFacts.memory(pid)
    peak = start
    Thread { while self.sample() { usleep(Self.intervalMicroseconds) } }.start()
  }

  private func sample() -> Bool {
    let memory = try? ProcessFacts.memory(pid)
    return lock.withLock {
      if let memory {
        peak.anonymous = max(peak.anonymous, memory.anonymous)
        peak.resident = max(peak.resident, memory.resident)
      }
      return !isStopped
    }
  }

  /// Ends the watch.
  /// - Returns: how far the memory was above what it was at the start.
  func stop() -> ProcessMemory {
    _ = sample()
    return lock.withLock {
      isStopped = true
      return ProcessMemory(
        resident: peak.resident - start.resident, anonymous: peak.anonymous - start.anonymous)
    }
  }
}

/// Bytes of a process' memory.
struct ProcessMemory {
  var resident: Double
  /// Heap and stacks, without mapped files.
  var anonymous: Double
}
