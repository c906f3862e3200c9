import CUV

/// A subscription to a signal; confined to its loop.
public final class SignalSource: LoopResource, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in init and `cancel()`.
  private let handle = UVHandle<uv_signal_t>()
  private let body: (Int32) -> Void
  /// The handle's memory goes soon after it is closed.
  private var isClosed = false

  fileprivate init(loop: EventLoop, number: Int32, body: @escaping (Int32) -> Void) throws(UVError)
  {
    self.body = body
    super.init(loop: loop)
    uv_signal_init(loop.core!.loop, handle.pointer)
    handle.attach(self)
    let result = uv_signal_start(
      handle.pointer,
      { handle, number in
        let source = Unmanaged<LoopResource>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
        (source as! SignalSource).body(number)
      }, number)
    guard result == 0 else {
      handle.close()
      throw UVError(result)
    }
  }

  /// Ends the subscription; the signal's default action is back when it was the last one.
  public func cancel() {
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

extension EventLoop {
  /// Calls `body` on the loop whenever the process gets signal `number`. Lasts until cancelled or
  /// the loop stops. On the loop only.
  /// - Throws: `UVError` for a signal that cannot be caught.
  @discardableResult
  public func onSignal(
    _ number: Int32, _ body: @escaping (Int32) -> Void
  ) throws(UVError) -> SignalSource {
    preconditionCurrent()
    return try SignalSource(loop: self, number: number, body: body)
  }
}
