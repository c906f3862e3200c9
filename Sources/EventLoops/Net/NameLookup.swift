import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Questions to the system's resolver that no loop waits for. On the loop; at most one answer each.
package enum NameLookup {
  /// The name of an address, without the dot at its end; `nil` when it has none.
  package static func name(
    of address: SocketAddress, loop: EventLoop, _ done: @escaping (String?) -> Void
  ) {
    loop.preconditionCurrent()
    let request = UnsafeMutablePointer<uv_getnameinfo_t>.allocate(capacity: 1)
    let waiting = Waiting<String?>(done)
    request.pointee.data = Unmanaged.passRetained(waiting).toOpaque()
    let result = address.withSockaddr {
      uv_getnameinfo(
        loop.core!.loop, request,
        { request, status, name, _ in
          let waiting = Unmanaged<Waiting<String?>>.fromOpaque(request!.pointee.data)
            .takeRetainedValue()
          request!.deallocate()
          let name = status == 0 ? name.map { String(cString: $0) } : nil
          waiting.done(name.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 })
        }, $0, NI_NAMEREQD)
    }
    if result == 0 { return }
    request.deallocate()
    Unmanaged.passUnretained(waiting).release()
    done(nil)
  }

  /// The numeric addresses of a name.
  /// - Parameter done: gets the resolver's words when there are none.
  package static func addresses(
    of host: String, loop: EventLoop, _ done: @escaping (Result<[String], ChannelError>) -> Void
  ) {
    loop.preconditionCurrent()
    let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    let waiting = Waiting<Result<[String], ChannelError>> { result in
      done(
        result.mapError { error in
          guard case .resolve(_, let reason) = error else { return error }
          return .resolve(host: host, reason: reason)
        })
    }
    request.pointee.data = Unmanaged.passRetained(waiting).toOpaque()
    let result = uv_getaddrinfo(
      loop.core!.loop, request,
      { request, status, list in
        let waiting = Unmanaged<Waiting<Result<[String], ChannelError>>>
          .fromOpaque(request!.pointee.data).takeRetainedValue()
        request!.deallocate()
        defer { uv_freeaddrinfo(list) }
        guard status == 0, let list else {
          let reason = status == UV_EAI_NONAME.rawValue ? "no such host" : "\(UVError(status))"
          return waiting.done(.failure(.resolve(host: "", reason: reason)))
        }
        waiting.done(.success(SocketAddress.all(list).compactMap(\.host)))
      }, host, nil, nil)
    if result == 0 { return }
    request.deallocate()
    Unmanaged.passUnretained(waiting).release()
    done(.failure(.resolve(host: host, reason: "\(UVError(result))")))
  }

  private final class Waiting<Answer> {
    let done: (Answer) -> Void
    init(_ done: @escaping (Answer) -> Void) { self.done = done }
  }
}
