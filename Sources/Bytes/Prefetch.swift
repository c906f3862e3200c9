import CBytes

/// Asks for the cache line at an address that is read soon, so that the read need not wait for memory.
/// Any address is allowed.
@inlinable @inline(__always)
public func prefetchMemory(_ address: UnsafeRawPointer) { cbytes_prefetch(address) }
