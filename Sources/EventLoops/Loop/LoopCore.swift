import CUV
import Platform

/// An object that owns one libuv handle. The handle's `data` points to it, retained, until closed.
///
/// Confined to its loop.
public class LoopResource: @unchecked Sendable {
  // @unchecked: confined to `loop`; subclasses assert it in their entry points.
  public let loop: EventLoop
  init(loop: EventLoop) { self.loop = loop }

  /// The loop stops: close the handle now.
  func loopStopping() {}
}

/// Memory of a libuv handle of type `Handle`, tied to its `LoopResource`.
///
/// `attach` retains the owner; `close` gives the memory and the owner back once libuv is done.
struct UVHandle<Handle> {
  let pointer: UnsafeMutablePointer<Handle>

  /// Zeroed memory.
  /// - Parameter bytes: at least the size of `Handle`; more for a common part of larger handles.
  init(bytes: Int = MemoryLayout<Handle>.size) {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    pointer = raw.assumingMemoryBound(to: Handle.self)
  }

  var base: UnsafeMutablePointer<uv_handle_t> {
    UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: uv_handle_t.self)
  }

  /// Gives the memory of a handle back that libuv does not know.
  func free() { UnsafeMutableRawPointer(pointer).deallocate() }

  func attach(_ owner: LoopResource) {
    base.pointee.data = Unmanaged.passRetained(owner).toOpaque()
  }

  func close() {
    guard uv_is_closing(base) == 0 else { return }
    uv_close(base, Self.closed)
  }

  /// Closes it in another way, where that can be done.
  /// - Parameter end: gets what has to be called at the end; below zero when it did nothing.
  func close(_ end: (uv_close_cb) -> Int32) {
    guard uv_is_closing(base) == 0, end(Self.closed) < 0 else { return }
    uv_close(base, Self.closed)
  }

  private static var closed: uv_close_cb {
    { handle in
      if let data = handle!.pointee.data {
        Unmanaged<LoopResource>.fromOpaque(data).release()
      }
      UnsafeMutableRawPointer(handle!).deallocate()
    }
  }
}

/// The libuv side of an `EventLoop`: the loop and the handles the loop itself needs. Created, used
/// and closed on the loop's thread.
final class LoopCore {
  let loop: UnsafeMutablePointer<uv_loop_t>
  let async: UnsafeMutablePointer<uv_async_t>
  private let prepare: UnsafeMutablePointer<uv_prepare_t>
  private let idle: UnsafeMutablePointer<uv_idle_t>
  private let timer: UnsafeMutablePointer<uv_timer_t>
  private var armed: UInt64?
  private var busy = false
  private var closed = false

  init(owner: EventLoop) {
    loop = .allocate(capacity: 1)
    async = .allocate(capacity: 1)
    prepare = .allocate(capacity: 1)
    idle = .allocate(capacity: 1)
    timer = .allocate(capacity: 1)
    let result = uv_loop_init(loop)
    precondition(result == 0, "uv_loop_init: \(UVError(result))")
    loop.pointee.data = Unmanaged.passUnretained(owner).toOpaque()
    uv_async_init(loop, async) { LoopCore.owner($0!.pointee.loop).drainInbox() }
    uv_prepare_init(loop, prepare)
    uv_prepare_start(prepare) { LoopCore.owner($0!.pointee.loop).endTurn() }
    uv_idle_init(loop, idle)
    uv_timer_init(loop, timer)
    async.pointee.data = nil
    prepare.pointee.data = nil
    idle.pointee.data = nil
    timer.pointee.data = nil
  }

  static func owner(_ loop: UnsafeMutablePointer<uv_loop_t>) -> EventLoop {
    Unmanaged<EventLoop>.fromOpaque(loop.pointee.data).takeUnretainedValue()
  }

  /// While busy the loop polls without blocking.
  func setBusy(_ wanted: Bool) {
    guard wanted != busy, !closed else { return }
    busy = wanted
    if wanted { uv_idle_start(idle) { _ in } } else { uv_idle_stop(idle) }
  }

  /// Wakes the loop at `deadline` for its timers; rounds up to libuv's milliseconds.
  func arm(_ deadline: UInt64?) {
    guard deadline != armed, !closed else { return }
    armed = deadline
    guard let deadline else {
      uv_timer_stop(timer)
      return
    }
    uv_update_time(loop)
    let now = monotonicNanoseconds()
    let left = deadline > now ? deadline - now : 0
    let delay = left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1)
    uv_timer_start(
      timer,
      { handle in
        let owner = LoopCore.owner(handle!.pointee.loop)
        owner.core?.armed = nil
        owner.fireTimers()
      }, delay, 0)
  }

  /// Tells every resource that the loop stops.
  func closeResources() {
    var found: [LoopResource] = []
    withUnsafeMutablePointer(to: &found) { list in
      uv_walk(
        loop,
        { handle, argument in
          guard let data = handle!.pointee.data, uv_is_closing(handle) == 0 else { return }
          argument!.assumingMemoryBound(to: [LoopResource].self).pointee
            .append(Unmanaged<LoopResource>.fromOpaque(data).takeUnretainedValue())
        }, list)
    }
    for resource in found { resource.loopStopping() }
  }

  func closeOwnHandles() {
    guard !closed else { return }
    closed = true
    for raw in [
      UnsafeMutableRawPointer(async), UnsafeMutableRawPointer(prepare),
      UnsafeMutableRawPointer(idle), UnsafeMutableRawPointer(timer),
    ] {
      uv_close(raw.assumingMemoryBound(to: uv_handle_t.self)) {
        UnsafeMutableRawPointer($0!).deallocate()
      }
    }
  }

  /// After `uv_run` returned.
  func finish() {
    let result = uv_loop_close(loop)
    precondition(result == 0, "handles left open on a stopped loop: \(UVError(result))")
    loop.deallocate()
  }
}

/// A libuv result below zero: a negated errno of the system.
public struct UVError: Error, Sendable, Equatable, CustomStringConvertible {
  /// errno, positive.
  public let code: Int32
  init(_ result: Int32) { code = result < 0 ? -result : result }
  public var description: String { String(cString: uv_strerror(-code)) }
}
