import Bytes
import CNghttp2
import Calls
import EventLoops

/// A stream of a client that is written to without waiting, and whose replies go to a callback. Used on the loop of
/// its client only.
public struct ClientFeed {
  private let call: ClientCall
  init(_ call: ClientCall) { self.call = call }

  /// Bytes of requests that have not left.
  public var queuedBytes: Int { call.outbound.queuedBytes }

  /// Queues a request; one on a stream that is over is dropped.
  public func send(_ message: Bytes) {
    call.loop.preconditionCurrent()
    guard call.status == nil else { return }
    call.enqueue(.bytes(message))
  }

  /// Gives the stream up without another word to its callbacks.
  public func cancel() {
    call.loop.preconditionCurrent()
    call.onEnd = nil
    call.onMessage = nil
    call.fail(.cancelled, NGHTTP2_CANCEL)
  }
}
