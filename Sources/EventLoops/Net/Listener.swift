import Bytes
import CUV
import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A listening TCP or unix socket. New connections go round-robin to a set of loops.
public final class Listener: LoopResource, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in init, `start` and `close()`.

  /// What to listen on.
  public enum Endpoint: Sendable, Hashable {
    /// Host (numeric, a name, or empty for all addresses) and port, 0 for a free one.
    case tcp(host: String, port: Int)
    /// A path; a stale socket file there is removed first.
    case unix(path: String)

    /// The name to ask for, without brackets; for a unix socket the last part of its path.
    public var host: String {
      switch self {
      case .tcp(let host, _): host
      case .unix(let path): path.split(separator: "/").last.map(String.init) ?? path
      }
    }
  }

  /// The bound address, with the port the system chose.
  public private(set) var address: SocketAddress
  private let kind: Connection.Kind
  private let inherited: InheritedSocket?
  private let handle = UVHandle<uv_stream_t>(
    bytes: max(MemoryLayout<uv_tcp_t>.size, MemoryLayout<uv_pipe_t>.size))
  private let targets: [EventLoop]
  private var nextTarget = 0
  private let policy: ChannelPolicy
  private let accept: @Sendable (any ByteChannel) -> Void
  private let admission: ConnectionAdmission?
  /// A connection was taken by libuv and waits until it may be served; no other is taken meanwhile.
  private var isHeld = false
  private var isClosed = false
  private var spare = SpareDescriptor()
  private var retry: LoopTimer?

  /// Whether connections are left to the kernel; libuv takes the first all the same.
  private var isPaused: Bool

  /// Between attempts to accept while the process has no descriptor left.
  private static let retryDelay: Duration = .milliseconds(500)
  private static let backlog: Int32 = 1024

  /// Binds and listens, on the loop. Connections wait in the kernel's backlog until `start()` when
  /// `isPaused`.
  /// - Parameters:
  ///   - reusesPort: whether other processes may listen on the same port (SO_REUSEPORT).
  ///   - inherited: the socket of `endpoint`, when somebody else has opened it, and keeps it.
  ///   - targets: loops that get the connections; empty for `loop` alone.
  ///   - admission: counts and limits connections, of this listener and others; those beyond wait in the
  ///     backlog.
  ///   - policy: what connections have to prove before they are served.
  ///   - accept: called on the connection's loop; sets the handler and calls `ByteChannel.start()`.
  /// - Throws: `ChannelError.addressInUse`, `.resolve` or `.system`.
  public init(
    loop: EventLoop, endpoint: Endpoint, policy: ChannelPolicy, targets: [EventLoop] = [],
    isPaused: Bool = false, reusesPort: Bool = false, inherited: InheritedSocket? = nil,
    admission: ConnectionAdmission? = nil,
    accept: @escaping @Sendable (any ByteChannel) -> Void
  ) throws(ChannelError) {
    loop.preconditionCurrent()
    self.targets = targets.isEmpty ? [loop] : targets
    self.policy = policy
    self.accept = accept
    self.isPaused = isPaused
    self.admission = admission
    self.inherited = inherited
    switch endpoint {
    case .tcp(let host, let port):
      kind = .tcp
      address = try .forListening(host: host, port: port)
    case .unix(let path):
      kind = .unix
      address = .unix(path: path)
    }
    if let inherited { address = inherited.address }
    super.init(loop: loop)
    let raw = UnsafeMutableRawPointer(handle.pointer)
    switch kind {
    case .tcp: uv_tcp_init(loop.core!.loop, raw.assumingMemoryBound(to: uv_tcp_t.self))
    case .unix: uv_pipe_init(loop.core!.loop, raw.assumingMemoryBound(to: uv_pipe_t.self), 0)
    }
    handle.attach(self)
    do throws(ChannelError) {
      if reusesPort && kind == .tcp && inherited == nil { try reusePort() }
      try bind()
    } catch {
      handle.close()
      throw error
    }
  }

  /// Makes the socket before it is bound, for an option that has to be set by then.
  private func reusePort() throws(ChannelError) {
    let family =
      address.withSockaddr { Int32($0.pointee.sa_family) } ?? AF_INET
    #if canImport(Glibc)
      let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    #else
      let descriptor = socket(family, SOCK_STREAM, 0)
    #endif
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    guard descriptor >= 0, setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) == 0 else {
      let reason = UVError(errno)
      if descriptor >= 0 { Descriptor.close(descriptor) }
      throw .system(operation: "set SO_REUSEPORT for \(address)", reason)
    }
    let tcp = UnsafeMutableRawPointer(handle.pointer).assumingMemoryBound(to: uv_tcp_t.self)
    let result = uv_tcp_open(tcp, descriptor)
    guard result == 0 else {
      Descriptor.close(descriptor)
      throw .system(operation: "open a socket for \(address)", UVError(result))
    }
  }

  private func bind() throws(ChannelError) {
    let raw = UnsafeMutableRawPointer(handle.pointer)
    var result: Int32
    switch address {
    case .unix where inherited != nil:
      result = uv_pipe_open(
        raw.assumingMemoryBound(to: uv_pipe_t.self), inherited?.descriptor ?? -1)
    case _ where inherited != nil:
      result = uv_tcp_open(raw.assumingMemoryBound(to: uv_tcp_t.self), inherited?.descriptor ?? -1)
    case .unix(let path):
      try removeStaleSocket(path)
      result = uv_pipe_bind(raw.assumingMemoryBound(to: uv_pipe_t.self), path)
    default:
      let tcp = raw.assumingMemoryBound(to: uv_tcp_t.self)
      result = address.withSockaddr { uv_tcp_bind(tcp, $0, 0) } ?? Int32(UV_EINVAL.rawValue)
    }
    if result == 0 {
      result = uv_listen(handle.pointer, Self.backlog) { stream, status in
        let owner = Unmanaged<LoopResource>.fromOpaque(stream!.pointee.data)
        (owner.takeUnretainedValue() as! Listener).connectionWaits(status)
      }
    }
    guard result == 0 else {
      if result == Int32(UV_EADDRINUSE.rawValue) { throw .addressInUse(address.description) }
      throw .system(operation: "listen \(address)", UVError(result))
    }
    if kind == .tcp {
      let tcp = raw.assumingMemoryBound(to: uv_tcp_t.self)
      address = Connection.address(tcp, uv_tcp_getsockname) ?? address
    }
  }

  /// A socket file nobody listens on blocks the bind; one with a listener is in use.
  private func removeStaleSocket(_ path: String) throws(ChannelError) {
    var info = stat()
    guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK else { return }
    guard UnixProbe.nobodyListens(path) else { throw .addressInUse(path) }
    unlink(path)
  }

  private func connectionWaits(_ status: Int32) {
    guard status == 0 else { return acceptFailed(status) }
    guard !isPaused else {
      isHeld = true
      return
    }
    loop.meter.begin(loop.now, .accepts)
    guard spare.isHeld else {
      // The descriptor of this connection was the last: it waits until there is another.
      isHeld = true
      retry = loop.schedule(after: Self.retryDelay) { [weak self] in self?.acceptHeld() }
      return
    }
    if let admission {
      let loop = loop
      let isWelcome = admission.enter { [weak self] in
        guard let self else { return }
        loop.execute { self.acceptHeld() }
      }
      guard isWelcome else {
        isHeld = true
        return
      }
    }
    take()
  }

  /// libuv accepts again at once as long as there is no descriptor for it, and would do nothing else. The spare
  /// one lets it come to an end.
  private func acceptFailed(_ status: Int32) {
    guard status == Int32(UV_EMFILE.rawValue) || status == Int32(UV_ENFILE.rawValue) else { return }
    if spare.isHeld { spare.release() } else { usleep(1_000) }
  }

  private func acceptHeld() {
    guard isHeld, !isClosed else { return }
    isHeld = false
    spare.acquire()
    connectionWaits(0)
  }

  /// Serves the connection that libuv has taken.
  private func take() {
    let target = targets[nextTarget % targets.count]
    nextTarget &+= 1
    let connection = Connection(loop: loop, kind: kind)
    guard uv_accept(handle.pointer, connection.handle.pointer) == 0 else {
      admission?.leave()
      connection.abort()
      return
    }
    connection.admission = admission
    if target === loop {
      connection.configure()
      policy.accept(connection, accept)
    } else {
      connection.move(to: target) { [policy, accept] in policy.accept($0, accept) }
    }
  }

  /// Takes the connections that wait, and those to come.
  public func start() {
    loop.preconditionCurrent()
    guard isPaused else { return }
    isPaused = false
    acceptHeld()
  }

  /// Stops listening. Connections stay.
  public func close() {
    loop.preconditionCurrent()
    // Once: libuv gives the handle's memory back soon after.
    guard !isClosed else { return }
    isClosed = true
    retry?.cancel()
    spare.release()
    handle.close()
    // Who opened it may start us again.
    if case .unix(let path) = address, inherited == nil { unlink(path) }
  }

  override func loopStopping() { close() }
}
