import CUV

extension Connection {
  /// Where to connect to.
  public typealias Endpoint = Listener.Endpoint

  /// Connects, trying the addresses of a name in order until one answers.
  ///
  /// - Parameters:
  ///   - timeout: for resolution and all attempts together.
  ///   - policy: what the other side has to prove.
  ///   - completion: called once on `loop`; sets the handler and calls `start()`.
  public static func connect(
    to endpoint: Endpoint, loop: EventLoop, policy: ChannelPolicy, timeout: Duration,
    completion: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    loop.preconditionCurrent()
    let deadline = loop.now &+ UInt64(clamping: timeout.nanoseconds)
    let attempt = ConnectAttempt(endpoint: endpoint, loop: loop) { result in
      switch (result, policy) {
      case (.failure(let error), _): completion(.failure(error))
      case (.success(let connection), .plain): completion(.success(connection))
      case (.success(let connection), .layered(let layer)):
        // checked: both are of the loop's clock
        let left = deadline > loop.now ? deadline &- loop.now : 0
        layer.dial(
          over: connection, host: endpoint.host,
          timeout: .nanoseconds(Int64(clamping: left)), completion)
      }
    }
    attempt.begin(timeout)
  }
}

/// One call of `Connection.connect`. Kept alive by the requests in the hands of libuv.
private final class ConnectAttempt {
  private let endpoint: Listener.Endpoint
  private let loop: EventLoop
  private var completion: ((Result<Connection, ChannelError>) -> Void)?
  private var addresses: ArraySlice<SocketAddress> = []
  private var lastError: ChannelError?
  private var current: Connection?
  private var timer: LoopTimer?

  init(
    endpoint: Listener.Endpoint, loop: EventLoop,
    completion: @escaping (Result<Connection, ChannelError>) -> Void
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.completion = completion
  }

  private var name: String {
    switch endpoint {
    case .tcp(let host, let port): "dial tcp \(host):\(port)"
    case .unix(let path): "dial unix \(path)"
    }
  }

  func begin(_ timeout: Duration) {
    timer = loop.schedule(after: timeout) { [self] in
      current?.abort()
      finish(.failure(.timedOut(operation: name)))
    }
    switch endpoint {
    case .unix(let path): connectUnix(path)
    case .tcp(let host, let port):
      if let numeric = SocketAddress(host: host.isEmpty ? "127.0.0.1" : host, port: port) {
        addresses = [numeric]
        tryNext()
      } else {
        resolve(host, port)
      }
    }
  }

  private func resolve(_ host: String, _ port: Int) {
    let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    var hints = addrinfo()
    #if canImport(Glibc)
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
      hints.ai_socktype = SOCK_STREAM
    #endif
    let result = uv_getaddrinfo(
      loop.core!.loop, request,
      { request, status, list in
        let attempt = Unmanaged<ConnectAttempt>.fromOpaque(request!.pointee.data)
          .takeRetainedValue()
        request!.deallocate()
        attempt.resolved(status, list)
        uv_freeaddrinfo(list)
      }, host, String(port), &hints)
    if result != 0 {
      request.deallocate()
      Unmanaged.passUnretained(self).release()
      finish(.failure(.resolve(host: host, reason: UVError(result).description)))
    }
  }

  private func resolved(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
    guard completion != nil else { return }
    guard status == 0, let list else {
      let reason = String(cString: uv_strerror(status))
      finish(.failure(.resolve(host: name, reason: reason)))
      return
    }
    addresses = SocketAddress.all(list)[...]
    tryNext()
  }

  private func tryNext() {
    guard completion != nil else { return }
    guard let address = addresses.popFirst() else {
      finish(.failure(lastError ?? .resolve(host: name, reason: "no suitable address")))
      return
    }
    let connection = Connection(loop: loop, kind: .tcp)
    let request = newRequest()
    current = connection
    let result = address.withSockaddr {
      uv_tcp_connect(request, connection.tcp, $0, Self.connected)
    }
    if let result, result == 0 { return }
    request.deallocate()
    Unmanaged.passUnretained(self).release()
    failed(result ?? Int32(UV_EINVAL.rawValue))
  }

  private func connectUnix(_ path: String) {
    let connection = Connection(loop: loop, kind: .unix)
    current = connection
    uv_pipe_connect(newRequest(), connection.pipe, path, Self.connected)
  }

  private func newRequest() -> UnsafeMutablePointer<uv_connect_t> {
    let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    return request
  }

  private static let connected: uv_connect_cb = { request, status in
    let attempt = Unmanaged<ConnectAttempt>.fromOpaque(request!.pointee.data).takeRetainedValue()
    request!.deallocate()
    if status == 0 { attempt.succeeded() } else { attempt.failed(status) }
  }

  private func succeeded() {
    guard completion != nil, let connection = current else { return }
    connection.configure()
    finish(.success(connection))
  }

  private func failed(_ status: Int32) {
    guard completion != nil else { return }
    lastError = .system(operation: name, UVError(status))
    current?.abort()
    current = nil
    tryNext()
  }

  private func finish(_ result: Result<Connection, ChannelError>) {
    guard let completion else { return }
    self.completion = nil
    timer?.cancel()
    current = nil
    completion(result)
  }
}

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif
