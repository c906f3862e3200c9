import CUV
import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Connection {
  /// Hands the socket to another loop. What was read is the caller's; this object is closed, and its
  /// handler hears nothing more.
  /// - Precondition: nothing was written that still waits.
  /// - Parameter done: called on `target`, with the connection there; never when descriptors are short or
  ///   the loop has stopped: the peer sees a closed connection.
  public func move(to target: EventLoop, _ done: @escaping @Sendable (Connection) -> Void) {
    loop.preconditionCurrent()
    precondition(
      pendingWriteBytes == 0, "a connection moves with \(pendingWriteBytes) bytes unsent")
    var descriptor: Int32 = -1
    let found = uv_fileno(handle.base, &descriptor)
    let copy = found == 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, 0) : -1
    handler = nil
    // The place that the connection takes moves along.
    let admission = admission
    self.admission = nil
    abort()
    guard copy >= 0 else {
      admission?.leave()
      return
    }
    let kind = kind
    target.execute {
      let moved = Connection(loop: target, kind: kind)
      let result = kind == .tcp ? uv_tcp_open(moved.tcp, copy) : uv_pipe_open(moved.pipe, copy)
      guard result == 0 else {
        Descriptor.close(copy)
        admission?.leave()
        moved.abort()
        return
      }
      moved.admission = admission
      moved.configure()
      done(moved)
    }
  }
}
