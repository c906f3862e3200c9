import CUV
import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Connection {
  public func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void) {
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
    let parcel = SocketParcel(copy, admission)
    target.execute {
      let moved = Connection(loop: target, kind: kind)
      let result = kind == .tcp ? uv_tcp_open(moved.tcp, copy) : uv_pipe_open(moved.pipe, copy)
      guard result == 0 else { return moved.abort() }
      moved.admission = parcel.accept()
      moved.configure()
      done(moved)
    }
  }
}

/// A socket and its place on the way from one loop to another. A loop that has stopped drops its work: whoever
/// is not accepted is closed, and the place given back.
private final class SocketParcel: @unchecked Sendable {
  // @unchecked: used by the loop that it is for, or, when that has stopped, by whoever drops it last.
  private let descriptor: Int32
  private let admission: ConnectionAdmission?
  private var isAccepted = false

  init(_ descriptor: Int32, _ admission: ConnectionAdmission?) {
    self.descriptor = descriptor
    self.admission = admission
  }

  /// The descriptor is another's from now on. - Returns: the place, which is the receiver's.
  func accept() -> ConnectionAdmission? {
    isAccepted = true
    return admission
  }

  deinit {
    guard !isAccepted else { return }
    Descriptor.close(descriptor)
    admission?.leave()
  }
}
