import CUV
import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A socket that has left its connection, and the place that it has among those that were let in. Closed when
/// nobody has it any more: a loop that has stopped drops its work.
package final class DetachedSocket: @unchecked Sendable {
  // @unchecked: used by the one loop that it is for, or, when that has stopped, by whoever drops it last.

  /// It does not block.
  package let descriptor: Int32
  private var admission: ConnectionAdmission?
  private var isOpen = true

  fileprivate init(_ descriptor: Int32, _ admission: ConnectionAdmission?) {
    self.descriptor = descriptor
    self.admission = admission
  }

  /// The descriptor is another's from now on. - Returns: the place, which is the receiver's.
  func release() -> ConnectionAdmission? {
    isOpen = false
    defer { admission = nil }
    return admission
  }

  /// Closes it, and gives its place to others.
  package func close() {
    guard isOpen else { return }
    isOpen = false
    Descriptor.close(descriptor)
    admission?.leave()
    admission = nil
  }

  deinit { close() }
}

extension Connection {
  /// Takes the socket out of the connection, which is closed; its handler hears nothing more.
  /// - Returns: `nil` when descriptors are short: then the peer sees a closed connection, and its place is free.
  /// - Precondition: nothing was written that still waits.
  package func detach() -> DetachedSocket? {
    loop.preconditionCurrent()
    precondition(
      pendingWriteBytes == 0, "a connection is taken apart with \(pendingWriteBytes) bytes unsent")
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
      return nil
    }
    return DetachedSocket(copy, admission)
  }
}
