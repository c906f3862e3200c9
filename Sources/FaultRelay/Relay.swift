import Bytes
import CFaultRelay
import EventLoops

/// Stands before members' ports and hands on what comes, by the rules of its link: from the member that dialled,
/// told by the owner of its socket, to the member that is dialled. Confined to its loop.
public final class Relay: @unchecked Sendable {
  // @unchecked: confined to `loop`, which runs the listeners' calls.

  /// Whether this system says who owns a socket. Where it does not, everybody is `clients`.
  public static var knowsOwners: Bool { fault_relay_knows_owners() == 1 }

  private static let connectTimeout: Duration = .seconds(5)
  private let loop: EventLoop
  private var rules: LinkRules = [:]
  private var listeners: [Int: Listener] = [:]
  private var connections: [ObjectIdentifier: RelayedConnection] = [:]
  /// Those that nobody answers, because of a cut.
  private var silent: [ObjectIdentifier: SilentConnection] = [:]
  /// Processes of the members, by name.
  public var processes: [String: Int32] = [:]
  private var owners = SocketOwners()
  /// Connections whose dialler was known, and others.
  public private(set) var accepted = (members: 0, others: 0)

  public init(loop: EventLoop) { self.loop = loop }

  /// Listens on a port of 127.0.0.1 for a member.
  /// - Parameters:
  ///   - inner: the port on which the member itself listens.
  /// - Returns: the port, which the system chose when 0 was given.
  /// - Throws: `ChannelError` when the port cannot be had.
  @discardableResult
  public func listen(_ port: Int, for member: String, inner: Int) throws(ChannelError) -> Int {
    guard listeners[port] == nil else { return port }
    let listener = try Listener(
      loop: loop, endpoint: .tcp(host: "127.0.0.1", port: port), policy: .plain
    ) { [weak self] channel in
      self?.accept(channel, member, inner)
    }
    let bound = listener.address.port ?? port
    listeners[bound] = listener
    return bound
  }

  /// Gives a port back; connections end.
  public func close(_ port: Int, of member: String) {
    listeners.removeValue(forKey: port)?.close()
    for connection in connections.values where connection.link.to == .member(member) {
      connection.reset()
    }
  }

  /// Other rules hold from now on, for all connections.
  public func apply(_ rules: LinkRules) {
    self.rules = rules
    for connection in connections.values { connection.apply(rules) }
    for (id, silent) in silent where !isSilent(silent.link) {
      self.silent[id] = nil
      silent.channel.reset()
    }
  }

  /// Ends all connections of a link, whoever dialled.
  public func reset(_ link: Link) {
    for connection in connections.values
    where connection.link == link || connection.link == link.reversed {
      connection.reset()
    }
  }

  private func accept(
    _ channel: any ByteChannel, _ member: String, _ inner: Int
  ) {
    let dialler = owner(of: channel)
    if case .member = dialler { accepted.members += 1 } else { accepted.others += 1 }
    let link = Link(from: dialler, to: .member(member))
    guard rules[link]?.cut != .refuse, rules[link.reversed]?.cut != .refuse else {
      return channel.reset()
    }
    Connection.connect(
      to: .tcp(host: "127.0.0.1", port: inner), loop: loop, policy: .plain,
      timeout: Self.connectTimeout
    ) { [weak self] result in
      guard let self else { return channel.abort() }
      guard case .success(let target) = result else { return refused(channel, link) }
      let connection = RelayedConnection(
        loop: loop, link: link, dialler: channel, target: target, rules: rules
      ) { [weak self] ended in self?.connections[ObjectIdentifier(ended)] = nil }
      connections[ObjectIdentifier(connection)] = connection
    }
  }

  /// Nobody listens. Behind a cut that cannot be seen.
  private func refused(_ channel: any ByteChannel, _ link: Link) {
    guard isSilent(link) else { return channel.reset() }
    let waiting = SilentConnection(channel, link) { [weak self] in
      self?.silent[ObjectIdentifier($0)] = nil
    }
    silent[ObjectIdentifier(waiting)] = waiting
  }

  /// Whether no answer comes by a link and back.
  private func isSilent(_ link: Link) -> Bool {
    [link, link.reversed].contains { rules[$0]?.cut == .hold || rules[$0]?.cut == .swallow }
  }

  /// Who dialled: the member whose process has the other end of the connection.
  private func owner(of channel: any ByteChannel) -> Party {
    guard let remote = channel.remoteAddress?.port, let from = UInt16(exactly: remote),
      let own = channel.localAddress?.port, let to = UInt16(exactly: own)
    else { return .clients }
    let inode = fault_relay_inode(from, to)
    guard inode != 0 else { return .clients }
    return owners.owner(of: inode, among: processes).map { .member($0) } ?? .clients
  }
}

/// A connection to nobody, open until its dialler gives up or the cut ends. Confined to its loop.
private final class SilentConnection: ByteChannelHandler {
  let channel: any ByteChannel
  let link: Link
  private let onClosed: (SilentConnection) -> Void

  init(_ channel: any ByteChannel, _ link: Link, onClosed: @escaping (SilentConnection) -> Void) {
    self.channel = channel
    self.link = link
    self.onClosed = onClosed
    channel.handler = self
    channel.start()
  }

  // What comes is for nobody.
  func channelRead(_ bytes: Bytes) {}
  func channelReadEnded() { channel.abort() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { onClosed(self) }
}
