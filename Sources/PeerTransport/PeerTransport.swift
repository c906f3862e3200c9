import Bytes
import EtcdAPI
import EventLoops
import HTTP

/// The peer protocol of etcd (rafthttp): carries raft messages and snapshots between members.
///
/// State lives on `loop`. Every function but `handle` may be called from any thread and takes
/// effect on the loop, in the order of the calls of a thread. Members stay connected until they are
/// removed or `stop()` is called, even when the last reference to the transport is dropped.
public final class PeerTransport: @unchecked Sendable {
  // @unchecked: `peers`, `remotes`, `handler` and `context` are confined to `loop`; other threads
  // only hop to it, or read `active`, which has a lock.

  public let loop: EventLoop
  private let context: PeerContext
  private let active: ActivePeers
  private lazy var handler = PeerRequestHandler(self, context)
  private var peers: [MemberID: Peer] = [:]
  private var remotes: [MemberID: PeerLink] = [:]
  private var snapshots = 0
  private var stopped = false

  /// A transport without peers.
  /// - Parameter delegate: hears what comes in; who needs the transport to be made sets it afterwards,
  ///   before the first peer is added.
  /// - Precondition: the configuration's versions are well-formed.
  public init(
    configuration: PeerTransportConfiguration, loop: EventLoop,
    delegate: (any PeerTransportDelegate)? = nil
  ) {
    self.loop = loop
    context = PeerContext(configuration, loop, delegate)
    active = context.active
  }

  /// Hears what comes in; confined to `loop`.
  public var delegate: (any PeerTransportDelegate)? {
    get { context.delegate }
    set { context.delegate = newValue }
  }

  private func onLoop(_ body: @escaping @Sendable () -> Void) {
    if loop.isCurrent { body() } else { loop.execute(body) }
  }

  // MARK: members

  /// Starts streams to a member of the cluster; a known one gets the URLs, as by `updatePeer`, when they are
  /// others. URLs that cannot be used are logged and ignored.
  /// - Parameter delays: when a member that is new to the transport is dialled.
  public func addPeer(id: MemberID, urls: [String], delays: StreamDelays = StreamDelays()) {
    onLoop { [self] in
      guard !stopped, id != .none, id != context.localID, let parsed = parse(id, urls) else {
        return
      }
      if let known = peers[id] {
        if !known.picker.holds(parsed) { update(known, parsed) }
        return
      }
      remotes.removeValue(forKey: id)?.stop()
      peers[id] = Peer(id: id, urls: parsed, delays: delays, context: context)
      context.logger.info(
        "added remote peer",
        [
          .id("local-member-id", context.localID), .id("remote-peer-id", id),
          LogField("remote-peer-urls", .strings(urls)),
        ])
    }
  }

  /// Changes a member's URLs; connections that work stay.
  public func updatePeer(id: MemberID, urls: [String]) {
    onLoop { [self] in
      guard let peer = peers[id], let parsed = parse(id, urls) else { return }
      update(peer, parsed)
    }
  }

  private func update(_ peer: Peer, _ urls: [PeerURL]) {
    peer.update(urls)
    context.logger.info(
      "updated remote peer",
      [
        .id("local-member-id", context.localID), .id("updated-remote-peer-id", peer.id),
        LogField("updated-remote-peer-urls", .strings(urls.map(\.text))),
      ])
  }

  /// Closes the streams of a member.
  public func removePeer(id: MemberID) {
    onLoop { [self] in
      guard let peer = peers.removeValue(forKey: id) else { return }
      peer.stop()
      context.logger.info(
        "removed remote peer",
        [.id("local-member-id", context.localID), .id("removed-remote-peer-id", id)])
    }
  }

  /// Makes a member reachable by posts only: one that helps this one to catch up, or that is not in
  /// the configuration yet. Ignored when the most are remembered (`remotesMax`) and none of them is idle.
  public func addRemote(id: MemberID, urls: [String]) {
    onLoop { [self] in
      if let known = remotes[id] { known.heardAt = loop.now }
      guard !stopped, peers[id] == nil, remotes[id] == nil, id != .none, id != context.localID,
        let parsed = parse(id, urls), makeRoomForRemote()
      else { return }
      let remote = PeerLink(id: id, urls: parsed, context: context, active: nil)
      remote.heardAt = loop.now
      remotes[id] = remote
      context.logger.info(
        "added new remote peer",
        [
          .id("local-member-id", context.localID), .id("remote-peer-id", id),
          LogField("remote-peer-urls", .strings(urls)),
        ])
    }
  }

  /// Forgets the remote that was silent for longest when there are as many as there may be.
  /// - Returns: whether there is room for another.
  private func makeRoomForRemote() -> Bool {
    guard remotes.count >= context.configuration.remotesMax else { return true }
    guard let idlest = remotes.values.min(by: { $0.heardAt < $1.heardAt }),
      loop.now &- idlest.heardAt >= context.configuration.remoteIdleTime.nanoseconds
    else { return false }
    remotes.removeValue(forKey: idlest.id)
    idlest.stop()
    return true
  }

  /// Ends everything; later calls are ignored and requests are answered 503.
  public func stop() {
    onLoop { [self] in
      guard !stopped else { return }
      stopped = true
      endLinks()
      context.streamClient.close()
      context.pipelineClient.close()
      context.delegate = nil
    }
  }

  /// Forgets the links before they are stopped: the delegate may send while it is told of losses.
  private func endLinks() {
    let ending = Array(peers.values) + Array(remotes.values)
    peers.removeAll()
    remotes.removeAll()
    for link in ending { link.stop() }
  }

  private func parse(_ id: MemberID, _ urls: [String]) -> [PeerURL]? {
    if let parsed = PeerURL.list(urls) { return parsed }
    context.logger.warn(
      "failed to parse peer URLs",
      [
        .id("local-member-id", context.localID), .id("remote-peer-id", id),
        LogField("remote-peer-urls", .strings(urls)),
      ])
    return nil
  }

  // MARK: messages

  /// Sends messages to the members in their `to`; messages to nobody are dropped. One hop a batch.
  public func send(_ messages: [Raftpb.Message]) {
    guard !messages.isEmpty else { return }
    onLoop { [self] in
      for message in messages where message.receiver != .none { send(message) }
    }
  }

  private func send(_ message: Raftpb.Message) {
    if let peer = peers[message.receiver] {
      peer.send(message)
    } else if let remote = remotes[message.receiver] {
      remote.send(message)
    } else {
      context.logger.debug(
        "ignored message send request; unknown remote peer target",
        [
          LogField("type", .string(message.type.logName)),
          .id("unknown-target-peer-id", message.receiver),
        ])
    }
  }

  /// Sends a MsgSnap and the database behind it; the delegate hears how it ended.
  public func sendSnapshot(_ message: Raftpb.Message, source: any SnapshotSource) {
    onLoop { [self] in
      guard !stopped, let peer = peers[message.receiver], !peer.isPaused,
        snapshots < context.configuration.snapshotsInFlight
      else {
        context.logger.warn(
          "dropped database snapshot; unknown member or too many snapshots in flight",
          [.id("remote-peer-id", message.receiver), LogField("in-flight", .int(snapshots))])
        source.close()
        context.delegate?.reportSnapshot(message.receiver, failed: true)
        return
      }
      snapshots += 1
      peer.sendSnapshot(message, source) { [weak self] in self?.snapshots -= 1 }
    }
  }

  // MARK: state

  /// Monotonic nanoseconds (`EventLoop.now`) since when a member can be reached; `nil` when it
  /// cannot, or is unknown. Any thread, at once.
  public func activeSince(_ id: MemberID) -> UInt64? { active.time(id) }

  /// Members that can be reached. Any thread, at once.
  public var activePeers: Int { active.count }

  /// Drops everything to and from a member, as a broken network would.
  public func pausePeer(id: MemberID) { setPaused(id, true) }

  /// Undoes `pausePeer`.
  public func resumePeer(id: MemberID) { setPaused(id, false) }

  private func setPaused(_ id: MemberID, _ paused: Bool) {
    onLoop { [self] in
      peers[id]?.isPaused = paused
      remotes[id]?.isPaused = paused
    }
  }

  // MARK: requests

  /// Adds the routes of the peer protocol. Their requests must come on the transport's loop.
  /// - Source: etcd `rafthttp.transport.Handler`.
  public func register(in router: inout HTTPRouter) {
    func serve(
      _ pattern: String,
      _ answer: @escaping @Sendable (PeerRequestHandler, HTTPExchange, String) -> Void
    ) {
      router.add(nil, pattern) { [self] exchange, path in
        loop.preconditionCurrent()
        if stopped { return exchange.respond(status: 503, body: "stopped\n") }
        answer(handler, exchange, path)
      }
    }
    serve("/raft") { handler, exchange, _ in handler.pipeline(exchange) }
    serve("/raft/snapshot") { handler, exchange, _ in handler.snapshot(exchange) }
    serve("/raft/probing") { handler, exchange, _ in handler.probe(exchange) }
    serve("/raft/stream/") { handler, exchange, path in handler.stream(exchange, path) }
  }

  /// A member of the cluster. On the loop.
  func peer(_ id: MemberID) -> Peer? { peers[id] }

  /// A member of the cluster or a remote. On the loop.
  func link(_ id: MemberID) -> PeerLink? { peers[id] ?? remotes[id] }

  /// A request told the URLs of its sender. On the loop.
  func rememberRemote(_ id: MemberID, _ urls: [String]) {
    guard PeerURL.list(urls) != nil else { return }
    addRemote(id: id, urls: urls)
    context.delegate?.memberURLsSeen(id, urls)
  }

  /// On the loop. Senders are told apart only when known, so that labels stay bounded.
  func countReceiveFailure(_ from: MemberID?) {
    if let link = from.flatMap(link) {
      link.metrics.receivedFailures.add()
    } else {
      context.configuration.metrics.counter(
        "etcd_network_peer_received_failures_total",
        "The total number of receive failures from peers.", ["From": "unknown"]
      ).add()
    }
  }
}
