import CNghttp2
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where nghttp2 puts the large blocks of one session, so that an idle one holds one page of them.
///
/// nghttp2 1.52 takes three large blocks for each session: its state (3 KB), a frame buffer of 16 KB
/// of which frame heads use the first hundred bytes, a table of streams of 4 KB, empty while there
/// is no stream, and the indexes of two header tables of 1 KB. On a heap, neighbours keep all their pages resident. Here a session gets a slot of
/// whole pages: state and the beginning of the frame buffer share the first, the others are never
/// touched. Whatever has another size than expected comes from the heap.
///
/// Unsafe code: nghttp2's allocator interface is C.
struct SessionMemory {
  private let slot: UnsafeMutablePointer<SessionSlot>

  init() {
    slot = .allocate(capacity: 1)
    slot.initialize(to: SessionSlot(base: SessionSlots.take()))
  }

  /// For `nghttp2_session_server_new3`; valid until `free`.
  var allocator: nghttp2_mem {
    nghttp2_mem(
      mem_user_data: slot,
      malloc: { size, user in
        SessionSlot.of(user).pointee.take(size) ?? malloc(size)
      },
      free: { block, user in
        if !SessionSlot.of(user).pointee.contains(block) { releaseHeapBlock(block) }
      },
      calloc: { count, size, user in
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow else { return nil }
        return SessionSlot.of(user).pointee.take(bytes) ?? calloc(count, size)
      },
      realloc: { block, size, user in
        let slot = SessionSlot.of(user)
        guard let block else { return slot.pointee.take(size) ?? malloc(size) }
        guard let old = slot.pointee.bytes(at: block) else { return realloc(block, size) }
        guard let moved = malloc(size) else { return nil }
        moved.copyMemory(from: block, byteCount: min(old, size))
        return moved
      })
  }

  /// Gives the memory back, after the session was deleted.
  func free() {
    SessionSlots.give(slot.pointee.base)
    slot.deinitialize(count: 1)
    slot.deallocate()
  }
}

/// Free of the C library; inside the struct the name means its own.
private func releaseHeapBlock(_ block: UnsafeMutableRawPointer?) { free(block) }

/// The pages of one session, and which blocks were given out. A block is given out once.
private struct SessionSlot {
  /// `nil` when the system had no memory: everything comes from the heap then.
  let base: UnsafeMutableRawPointer?
  private var given: UInt8 = 0

  /// A block's place, and the sizes that are put there.
  private struct Place {
    let offset: Int
    let sizes: ClosedRange<Int>
  }

  private static let places = [
    Place(offset: 0, sizes: 2_048...3_328), Place(offset: 3_328, sizes: 16_385...16_640),
    Place(offset: 20_480, sizes: 1_024...1_024), Place(offset: 21_504, sizes: 1_024...1_024),
    Place(offset: 22_528, sizes: 4_096...4_096),
  ]
  static let bytes = 28_672

  init(base: UnsafeMutableRawPointer?) { self.base = base }

  static func of(_ user: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<SessionSlot> {
    user!.assumingMemoryBound(to: SessionSlot.self)
  }

  /// Memory of zeros, for fresh pages are.
  mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    guard size >= 1_024, let base else { return nil }
    for index in Self.places.indices
    where Self.places[index].sizes.contains(size) && given & 1 << index == 0 {
      given |= 1 << index
      return base + Self.places[index].offset
    }
    return nil
  }

  func contains(_ block: UnsafeMutableRawPointer?) -> Bool {
    guard let base, let block else { return false }
    return block >= base && block < base + Self.bytes
  }

  /// Room of a block; `nil` for one of the heap.
  func bytes(at block: UnsafeMutableRawPointer) -> Int? {
    guard let base, contains(block) else { return nil }
    return Self.places.first { base + $0.offset == block }?.sizes.upperBound
  }
}

/// Slots of all connections. Any thread.
private enum SessionSlots {
  /// Slots mapped at once.
  private static let batch = 64
  /// Free slots that keep their pages mapped; their contents are given back at once.
  private struct Free: @unchecked Sendable {
    // @unchecked: pointers to memory of nobody, behind the mutex.
    var slots: [UnsafeMutableRawPointer] = []
  }
  private static let free = Mutex(Free())

  static func take() -> UnsafeMutableRawPointer? {
    free.withLock { free in
      if let slot = free.slots.popLast() { return slot }
      let map = mmap(
        nil, SessionSlot.bytes * batch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let map, map != MAP_FAILED else { return nil }
      for index in 1..<batch { free.slots.append(map + index * SessionSlot.bytes) }
      return map
    }
  }

  /// The pages read as zeros when the slot is taken again.
  static func give(_ slot: UnsafeMutableRawPointer?) {
    guard let slot else { return }
    // Where it fails the slot is lost, for the next session relies on the zeros.
    guard madvise(slot, SessionSlot.bytes, Int32(MADV_DONTNEED)) == 0 else { return }
    free.withLock { $0.slots.append(slot) }
  }
}
