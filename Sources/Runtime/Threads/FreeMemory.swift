import CUV

/// Gives memory that the allocator holds and nobody uses back to the system.
///
/// glibc returns only the end of a heap by itself: what one long-lived allocation at the end follows
/// stays resident, several hundred MiB after a bulk of writes. Takes some milliseconds, during which
/// other threads may wait for their heap; for worker threads, now and then.
public func releaseFreeMemory() { cuv_release_free_memory() }
