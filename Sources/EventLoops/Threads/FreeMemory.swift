import CUV
import Platform

/// Gives memory that the allocator holds and nobody uses back to the system.
///
/// glibc returns only the end of a heap by itself: what one long-lived allocation at the end follows
/// stays resident, several hundred MiB after a bulk of writes. Takes some milliseconds, during which
/// other threads may wait for their heap; for worker threads, now and then.
public func releaseFreeMemory() { cuv_release_free_memory() }

/// Gives back the pages of the program's own code; those that are still used come again from the page
/// cache, one short fault for sixteen pages.
///
/// Start-up reads most of the program once: options, restoring, elections, and what lies beside them.
/// A member that has started needs a part of it. For a worker thread, once. Does nothing where there
/// is no /proc.
public func releaseProgramPages() {
  guard let maps = SystemFiles.bytes(of: "/proc/self/maps") else { return }
  for line in maps.split(separator: UInt8(ascii: "\n")) {
    // "START-END r-xp OFFSET DEVICE INODE PATH"; code is never written, so nothing is lost.
    let fields = line.split(separator: UInt8(ascii: " "))
    guard fields.count == 6, fields[1].elementsEqual("r-xp".utf8),
      fields[5].first == UInt8(ascii: "/")
    else { continue }
    let bounds = fields[0].split(separator: UInt8(ascii: "-")).compactMap {
      UInt(String(decoding: $0, as: UTF8.self), radix: 16)
    }
    guard bounds.count == 2, let start = UnsafeMutableRawPointer(bitPattern: bounds[0]) else {
      continue
    }
    ProcessMemory.giveBack(start, Int(bounds[1] - bounds[0]))
  }
}
