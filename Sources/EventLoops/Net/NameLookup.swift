import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Questions to the system's resolver that no loop waits for. On the loop; at most one answer each.
package enum NameLookup {
  /// All names of a numeric address, without the dots at their ends; none when it has none.
  package static func names(
    of host: String, loop: EventLoop, _ done: @escaping ([String]) -> Void
  ) {
    loop.preconditionCurrent()
    let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)
    let question = Question(host, done)
    request.pointee.data = Unmanaged.passRetained(question).toOpaque()
    let result = uv_queue_work(
      loop.core!.loop, request,
      { request in
        let question = Unmanaged<Question>.fromOpaque(request!.pointee.data)
        let box = question.takeUnretainedValue()
        box.names = NameLookup.systemNames(of: box.host)
      },
      { request, _ in
        let question = Unmanaged<Question>.fromOpaque(request!.pointee.data).takeRetainedValue()
        request!.deallocate()
        question.done(question.names)
      })
    if result == 0 { return }
    request.deallocate()
    Unmanaged.passUnretained(question).release()
    done([])
  }

  /// Touched by a thread of the pool and, when that is through, by the loop.
  fileprivate final class Question {
    let host: String
    let done: ([String]) -> Void
    var names: [String] = []
    init(_ host: String, _ done: @escaping ([String]) -> Void) {
      self.host = host
      self.done = done
    }
  }

  /// Bytes that the resolver may fill with the names of an address.
  private static let answerBytes = 16 << 10

  /// Blocks. Unlike getnameinfo, which gives the first, this has all that the system knows.
  fileprivate static func systemNames(of host: String) -> [String] {
    var address = in6_addr()
    let families = [
      (AF_INET, socklen_t(MemoryLayout<in_addr>.size)),
      (AF_INET6, socklen_t(MemoryLayout<in6_addr>.size)),
    ]
    guard let (family, length) = families.first(where: { inet_pton($0.0, host, &address) == 1 })
    else { return [] }
    #if canImport(Glibc)
      var entry = hostent()
      var found: UnsafeMutablePointer<hostent>?
      var failure: Int32 = 0
      return withUnsafeTemporaryAllocation(of: CChar.self, capacity: answerBytes) { buffer in
        guard
          gethostbyaddr_r(
            &address, length, family, &entry, buffer.baseAddress!, buffer.count, &found, &failure)
            == 0, let found
        else { return [] }
        return texts(found)
      }
    #else
      return gethostbyaddr(&address, length, family).map(texts) ?? []
    #endif
  }

  private static func texts(_ entry: UnsafeMutablePointer<hostent>) -> [String] {
    var names = [String(cString: entry.pointee.h_name)]
    var next = entry.pointee.h_aliases
    while let alias = next?.pointee {
      names.append(String(cString: alias))
      next = next?.successor()
    }
    return names.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
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
