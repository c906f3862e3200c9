import CUV

/// Tells of a descriptor that can be read; confined to its loop. Whoever made the descriptor closes it, after the
/// watch.
package final class DescriptorWatch: LoopResource, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in init and `cancel()`.
  private let handle = UVHandle<uv_poll_t>()
  private let body: () -> Void
  private var isClosed = false

  /// - Parameter body: called on the loop, again and again while there is something to read.
  /// - Throws: `UVError` for a descriptor that the system cannot watch.
  package init(
    loop: EventLoop, descriptor: Int32, _ body: @escaping () -> Void
  ) throws(UVError) {
    loop.preconditionCurrent()
    self.body = body
    super.init(loop: loop)
    var result = uv_poll_init(loop.core!.loop, handle.pointer, descriptor)
    guard result == 0 else {
      isClosed = true
      handle.free()
      throw UVError(result)
    }
    handle.attach(self)
    result = uv_poll_start(handle.pointer, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      let watch = Unmanaged<LoopResource>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
      unsafeDowncast(watch, to: DescriptorWatch.self).body()
    }
    guard result == 0 else {
      close()
      throw UVError(result)
    }
  }

  /// Ends it. On the loop.
  package func cancel() {
    loop.preconditionCurrent()
    close()
  }

  override func loopStopping() { close() }

  private func close() {
    guard !isClosed else { return }
    isClosed = true
    handle.close()
  }
}
