import EventLoops
import GoText
import Platform
import Synchronization

/// A TCP proxy in front of servers that it knows no protocol of: each connection goes to one of them.
///
/// - Source: etcd `proxy/tcpproxy/userspace.go`.
package final class Gateway: @unchecked Sendable {
  // @unchecked: `start` and `stop` are called by one thread, which alone uses `listener` and `desks` outside of their
  // loops; the rest is immutable or behind the mutex.

  private let remotes: Mutex<Remotes>
  private let interval: Duration
  private let logger: Logger
  private let loops: [EventLoop]
  private let capacity: GatewayCapacity
  private var listener: Listener?
  private var desks: [RelayDesk] = []

  /// Loops, however many processors there are.
  static let loopsMax = 8
  /// How long a server may take to answer; Go leaves that to the system, which gives up after two minutes.
  private static let dialTimeout = Duration.seconds(5)

  /// - Parameters:
  ///   - remotes: at least one.
  ///   - interval: between attempts to reach those that did not answer.
  package convenience init(_ remotes: [Remote], interval: Duration, logger: Logger) {
    self.init(
      remotes, interval: interval, logger: logger, loops: min(Machine.processors, Self.loopsMax))
  }

  /// - Parameter capacity: that of the process where there is none.
  init(
    _ remotes: [Remote], interval: Duration, logger: Logger, loops count: Int,
    capacity: GatewayCapacity? = nil
  ) {
    self.remotes = Mutex(Remotes(remotes))
    self.interval = interval
    self.logger = logger
    loops = (0..<count).map { number in
      EventLoop(name: number == 0 ? "etcd-gateway" : "etcd-gateway-\(number)")
    }
    self.capacity = capacity ?? GatewayCapacity(descriptors: descriptorLimit, loops: count)
  }

  /// Where it listens, with the port that the system chose.
  package var address: SocketAddress? { listener?.address }

  /// Listens; connections wait in the kernel until `open`.
  /// - Throws: `GatewayRefusal`, in Go's words; nothing is left running.
  package func start(_ listen: HostPort) throws(GatewayRefusal) {
    for loop in loops { loop.start() }
    do {
      guard let port = UInt16(listen.port.isEmpty ? "0" : listen.port) else {
        let isNumber = listen.port.allSatisfy(\.isASCIIDigit)
        throw GatewayRefusal(
          error: isNumber
            ? "listen tcp: address \(listen.port): invalid port\n"
            : "listen tcp: address tcp/\(listen.port): unknown port\n")
      }
      for loop in loops {
        desks.append(try loop.run { try RelayDesk(loop, pipesMax: self.capacity.pipesPerLoop) })
      }
      listener = try loops[0].run { try self.listen(listen.host, port) }
    } catch {
      stop()
      throw error as? GatewayRefusal ?? GatewayRefusal(error: "\(Self.words(error, listen))\n")
    }
  }

  private func listen(_ host: String, _ port: UInt16) throws(ChannelError) -> Listener {
    let limit = capacity.connections
    let admission = ConnectionAdmission(limit: limit) { [logger] limit in
      logger.warn(
        "the limit of open files allows no more connections; others wait until one closes",
        [
          LogField("connections", .int(limit)),
          LogField("open-files-limit", .int(descriptorLimit ?? 0)),
        ])
    }
    return try Listener(
      loop: loops[0], endpoint: .tcp(host: host, port: Int(port)), policy: .plain, targets: loops,
      isPaused: true, admission: admission
    ) { [weak self] channel in
      guard let self else { return channel.abort() }
      serve(channel)
    }
  }

  /// As Go says why a server cannot be reached.
  private static func words(_ error: ChannelError) -> String {
    guard case .system(let operation, let reason) = error else { return "\(error)" }
    return "\(operation): connect: \(SystemError(reason.code).description.lowercased())"
  }

  /// As Go says why an address cannot be listened on.
  package static func words(_ error: any Error, _ listen: HostPort) -> String {
    guard case .system(_, let reason)? = error as? ChannelError else { return "\(error)" }
    let address = listen.host.contains(":") ? "[\(listen.host)]" : listen.host
    let words = SystemError(reason.code).description.lowercased()
    return "listen tcp \(address):\(listen.port): bind: \(words)"
  }

  /// Takes connections from now on, and tries again and again those servers that did not answer.
  package func open() {
    let endpoints = remotes.withLock { $0.all.map(\.description) }
    logger.info("ready to proxy client requests", [LogField("endpoints", .strings(endpoints))])
    loops[0].run { [self] in
      loops[0].schedule(after: interval, repeating: interval) { [weak self] in self?.examine() }
      listener?.start()
    }
  }

  /// Ends all connections. Once.
  package func stop() {
    if let listener { loops[0].run { listener.close() } }
    listener = nil
    for desk in desks { desk.loop.run { desk.close() } }
    for loop in loops { loop.stop() }
    // The loops looked at them until here.
    desks = []
  }

  /// Connections that are open.
  package var connections: Int {
    // checked: each is a descriptor or two
    desks.reduce(0) { sum, desk in sum + desk.loop.run { desk.count } }
  }

  // MARK: connections

  /// Finds a server for a connection, which is not read from until then. On its loop.
  private func serve(_ client: any ByteChannel) {
    var random = SystemRandomNumberGenerator()
    let picked = remotes.withLock { remotes in
      remotes.pick(using: &random).map { ($0, remotes.all[$0]) }
    }
    guard let (index, remote) = picked else { return client.abort() }
    dial(remote, client.loop) { [weak self] result in
      guard let self else { return client.abort() }
      switch result {
      case .success(let server): join(client, server)
      case .failure(let error):
        _ = remotes.withLock { $0.deactivate(index) }
        logger.warn(
          "deactivated endpoint",
          [
            LogField("address", .string(remote.description)),
            LogField("interval", .duration(interval)),
            LogField("error", .string(Self.words(error))),
          ])
        serve(client)
      }
    }
  }

  private func dial(
    _ remote: Remote, _ loop: EventLoop,
    _ done: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    Connection.connect(
      to: .tcp(host: remote.host, port: Int(remote.port)), loop: loop, policy: .plain,
      timeout: Self.dialTimeout, completion: done)
  }

  private func join(_ client: any ByteChannel, _ server: any ByteChannel) {
    guard let desk = desks.first(where: { $0.loop === client.loop }),
      let outer = (client as? Connection)?.detach(),
      let inner = (server as? Connection)?.detach()
    else {
      client.abort()
      return server.abort()
    }
    desk.add(outer, inner)
  }

  // MARK: servers that did not answer

  private func examine() {
    for index in remotes.withLock({ $0.examine() }) {
      let remote = remotes.withLock { $0.all[index] }
      dial(remote, loops[0]) { [weak self] result in
        guard let self else { return }
        let address = LogField("address", .string(remote.description))
        switch result {
        case .success(let channel):
          channel.abort()
          remotes.withLock { $0.activate(index) }
          logger.info("activated", [address])
        case .failure(let error):
          remotes.withLock { $0.stayInactive(index) }
          logger.warn(
            "failed to activate endpoint (stay inactive for another interval)",
            [
              address, LogField("interval", .duration(interval)),
              LogField("error", .string(Self.words(error))),
            ])
        }
      }
    }
  }
}

/// What the descriptors of a process are for: two for each connection, two for each pipe, some for the rest. A value.
struct GatewayCapacity: Equatable {
  let connections: Int
  let pipesPerLoop: Int

  /// For logs, loops, listeners, and connections that are being made.
  private static let reserve = 64
  /// More pipes than bytes can be under way in at a time; others lie in buffers.
  private static let pipesMax = 1_024
  /// Where the system has no limit.
  private static let connectionsMax = 1 << 20

  init(connections: Int, pipesPerLoop: Int) {
    (self.connections, self.pipesPerLoop) = (connections, pipesPerLoop)
  }

  /// - Parameter descriptors: that the process may have; `nil` for any number.
  init(descriptors: Int?, loops: Int) {
    // checked: halves and differences of what fits
    let all = min(descriptors ?? Int.max, 2 * Self.connectionsMax)
    let pipes = min(all / 16, Self.pipesMax)
    connections = max((all - Self.reserve - 2 * pipes) / 2, 1)
    pipesPerLoop = pipes / max(loops, 1)
  }
}
