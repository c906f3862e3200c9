import FileSystem

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The bytes of one simulated file at an address that never changes.
///
/// A database keeps its file mapped while it grows, so address space is reserved up front; the system
/// gives memory only to pages that are touched. Unsafe, because a mapping is raw memory by nature.
final class SimulatedMemory: FileMapping, @unchecked Sendable {
  // @unchecked: written only through the file system that owns it, which is confined to one thread.

  /// Address space of a file, in bytes: the largest file and the longest mapping.
  static let reservedBytes = 256 << 20

  let base: UnsafeMutableRawPointer
  var memory: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: Self.reservedBytes)
  }

  init() {
    #if canImport(Glibc)
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    #else
      let flags = MAP_PRIVATE | MAP_ANON | MAP_NORESERVE
    #endif
    let address = mmap(nil, Self.reservedBytes, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let address, address != MAP_FAILED else {
      preconditionFailure("no address space for a simulated file")
    }
    base = address
  }

  deinit { munmap(base, Self.reservedBytes) }
}

/// A mapping of a simulated file's first bytes.
final class SimulatedMapping: FileMapping, @unchecked Sendable {
  // @unchecked: a view of `SimulatedMemory`, see there.
  private let owner: SimulatedMemory
  let memory: UnsafeRawBufferPointer

  init(_ owner: SimulatedMemory, length: Int) {
    self.owner = owner
    memory = UnsafeRawBufferPointer(rebasing: owner.memory[..<length])
  }
}
