import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Member
import Platform
import Protobuf

/// Answers the peer protocol's requests with etcd's statuses and texts.
/// Confined to the transport's loop.
///
/// - Source: etcd rafthttp handlers; the routes are those of its multiplexer.
final class PeerRequestHandler {
  private unowned let transport: PeerTransport
  private let context: PeerContext
  /// Snapshots on their way in, oldest first.
  private var snapshots: [SnapshotReceiver] = []
  /// One for each text of a warning.
  private var throttles: [String: LogThrottle] = [:]
  /// What messages that are posted hold together, those in front of databases too.
  private let bodies: HTTPBodyBudget

  init(_ transport: PeerTransport, _ context: PeerContext) {
    self.transport = transport
    self.context = context
    bodies = HTTPBodyBudget(
      bytesMax: context.configuration.postedBytes, grace: context.configuration.postedGrace)
  }

  // MARK: answers

  /// Plain text with a line end, as Go's `http.Error`.
  private func refuse(
    _ exchange: HTTPExchange, _ status: Int, _ text: String, _ headers: HTTPHeaders = [:]
  ) {
    var headers = headers
    headers.set("Content-Type", "text/plain; charset=utf-8")
    headers.set("X-Content-Type-Options", "nosniff")
    exchange.respond(status: status, headers: headers, body: Bytes(text + "\n"))
  }

  /// A refusal that makes the sender report a critical error.
  private func forbid(_ exchange: HTTPExchange, _ text: String) {
    var headers = clusterHeaders
    headers.set("Content-Type", "application/json")
    exchange.respond(status: 403, headers: headers, body: Bytes("{\"message\":\"\(text)\"}"))
  }

  private var clusterHeaders: HTTPHeaders { [PeerField.clusterID: context.clusterText] }

  private func requireMethod(_ exchange: HTTPExchange, _ method: String) -> Bool {
    if exchange.request.method == method { return true }
    refuse(exchange, 405, "Method Not Allowed", ["Allow": method])
    return false
  }

  func probe(_ exchange: HTTPExchange) {
    exchange.respond(
      status: 200, headers: ["Content-Type": "text/plain; charset=utf-8"],
      body: ProbeAnswer.body(WallClock.nanoseconds))
  }

  // MARK: checks

  /// Whether the sender's versions and cluster fit; if not, answers 412.
  private func isCompatible(_ exchange: HTTPExchange, _ headers: HTTPHeaders) -> Bool {
    let request = exchange.request.headers
    if let conflict = versionConflict(request) {
      warnOfSender(
        "failed to check version compatibility", request,
        .error(LogText.shortened(conflict.description)))
      refuse(exchange, 412, "incompatible version", headers)
      return false
    }
    let cluster = request[PeerField.clusterID] ?? ""
    guard cluster == context.clusterText else {
      warnOfSender(
        "request cluster ID mismatch", request, .given("remote-peer-cluster-id", cluster))
      refuse(exchange, 412, "cluster ID mismatch", headers)
      return false
    }
    return true
  }

  private func versionConflict(_ headers: HTTPHeaders) -> VersionConflict? {
    let (server, oldest) = (headers["X-Server-Version"], headers["X-Min-Cluster-Version"])
    let name = headers["X-Server-From"] ?? ""
    let local = context.configuration.serverVersion
    guard let remote = PeerVersion.header(server) else { return .malformed(server ?? "") }
    guard let minimum = PeerVersion.header(oldest) else { return .malformed(oldest ?? "") }
    let text = server ?? "2.0.0"
    if remote < context.minVersion {
      return .remoteTooLow(name: name, remote: text, local: local)
    }
    if minimum > context.localVersion {
      return .localTooLow(name: name, remote: text, local: local)
    }
    return nil
  }

  /// Writes a line to the log at most once a second: whoever reaches the port chooses how often.
  private func warn(_ message: String, _ fields: @autoclosure () -> [LogField]) {
    guard let skipped = throttles[message, default: LogThrottle()].pass(context.loop.now) else {
      return
    }
    let more = skipped > 0 ? [LogField("skipped-logs", .int(skipped))] : []
    context.logger.warn(message, fields() + more)
  }

  private func warnOfSender(_ message: String, _ headers: HTTPHeaders, _ field: LogField) {
    warn(
      message,
      [
        .id("local-member-id", context.localID),
        LogField("local-member-cluster-id", .string(context.clusterText)),
        LogField("local-member-server-version", .string(context.configuration.serverVersion)),
        LogField(
          "local-member-server-minimum-cluster-version",
          .string(context.configuration.minClusterVersion)),
        .given("remote-peer-server-name", headers["X-Server-From"] ?? ""),
        .given("remote-peer-server-version", headers["X-Server-Version"] ?? "2.0.0"),
        .given(
          "remote-peer-server-minimum-cluster-version",
          headers["X-Min-Cluster-Version"] ?? "2.0.0"),
        field,
      ])
  }

  /// Remembers a sender that is not in the configuration yet, so that it can be answered.
  /// - Returns: the sender; `nil` when it did not say.
  private func noteSender(_ exchange: HTTPExchange) -> MemberID? {
    let headers = exchange.request.headers
    guard let text = headers["X-Server-From"], let from = MemberID(hex: text) else { return nil }
    noteURLs(from, headers)
    return from
  }

  private func noteURLs(_ from: MemberID, _ headers: HTTPHeaders) {
    guard let list = headers["X-PeerURLs"], !list.isEmpty, list.utf8.count <= 4096,
      from != .none, from != context.localID, context.delegate?.isRemoved(from) == false
    else { return }
    let urls = list.split(separator: ",").map(String.init)
    transport.rememberRemote(from, urls)
  }

  // MARK: streams

  func stream(_ exchange: HTTPExchange, _ path: String) {
    guard requireMethod(exchange, "GET") else { return }
    var headers = clusterHeaders
    headers.add("X-Server-Version", context.configuration.serverVersion)
    guard isCompatible(exchange, headers) else { return }
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    guard let kind = StreamKind.allCases.first(where: { $0.path == path[..<slash] }) else {
      context.logger.debug(
        "ignored unexpected streaming request path",
        handlerIDs + [.given("path", path)])
      return refuse(exchange, 404, "invalid path", headers)
    }
    let text = path[path.index(after: slash)...]
    guard let from = MemberID(hex: text) else {
      warn(
        "failed to parse path into ID",
        handlerIDs + [.given("path", String(text)), .error("invalid member ID")])
      return refuse(exchange, 404, "invalid from", headers)
    }
    guard context.delegate?.isRemoved(from) == false else {
      warn(
        "rejected stream from remote peer because it was removed",
        handlerIDs + [.id("remote-peer-id-from", from)])
      return refuse(exchange, 410, "removed member", headers)
    }
    guard let peer = transport.peer(from) else {
      noteURLs(from, exchange.request.headers)
      warn(
        "failed to find remote peer in cluster",
        handlerIDs + [
          .id("remote-peer-id-from", from),
          LogField("cluster-id", .string(context.clusterText)),
        ])
      return refuse(exchange, 404, "error sender not found", headers)
    }
    let target = exchange.request.headers["X-Raft-To"] ?? ""
    guard target == context.localID.hex else {
      warn(
        "ignored streaming request; ID mismatch",
        handlerIDs + [
          .given("remote-peer-id-header", target), .id("remote-peer-id-from", from),
          LogField("cluster-id", .string(context.clusterText)),
        ])
      return refuse(exchange, 412, "to field mismatch", headers)
    }
    exchange.startResponse(status: 200, headers: headers)
    peer.attach(kind, exchange)
  }

  private var handlerIDs: [LogField] {
    [
      .id("local-member-id", context.localID),
      .id("remote-peer-id-stream-handler", context.localID),
    ]
  }

  // MARK: pipeline

  func pipeline(_ exchange: HTTPExchange) {
    guard requireMethod(exchange, "POST") else { return }
    guard isCompatible(exchange, clusterHeaders) else { return }
    let from = noteSender(exchange)
    let limit = context.configuration.messageLimit
    exchange.collectBody(limit: limit, budget: bodies) { [weak self] result in
      self?.pipelineBody(exchange, from, result)
    }
  }

  private func pipelineBody(
    _ exchange: HTTPExchange, _ from: MemberID?, _ result: Result<Bytes, HTTPBodyError>
  ) {
    let own: LogField = .id("local-member-id", context.localID)
    let body: Bytes
    switch result {
    case .success(let bytes): body = bytes
    case .failure(let error):
      warn("failed to read Raft message", [own, .error(error)])
      transport.countReceiveFailure(from)
      return refuse(exchange, 400, "error reading raft message", clusterHeaders)
    }
    let message: Raftpb.Message
    do {
      // Detached: an entry in the log must not keep the connection's read buffer. What is larger than one
      // was gathered in memory of its own.
      message = try Raftpb.Message.decode(body.count > 65_536 ? body : body.detached())
    } catch {
      warn("failed to unmarshal Raft message", [own, .error(error)])
      transport.countReceiveFailure(from)
      return refuse(exchange, 400, "error unmarshalling raft message", clusterHeaders)
    }
    guard admit(exchange, message, from) else { return }
    transport.link(message.sender)?.metrics.receivedBytes.add(body.count)
    context.receive(message)
    exchange.respond(status: 204, headers: clusterHeaders)
  }

  /// Whether a posted message may be handed on; if not, answers.
  private func admit(
    _ exchange: HTTPExchange, _ message: Raftpb.Message, _ from: MemberID?,
    withDatabase: Bool = false
  ) -> Bool {
    if context.delegate?.isRemoved(message.sender) == true {
      warn(
        "rejected Raft message from removed member",
        [.id("local-member-id", context.localID), .id("removed-member-id", message.sender)])
      forbid(exchange, "cannot process message from removed member")
      return false
    }
    switch MessageCheck.fault(
      message, local: context.localID, peer: from, withDatabase: withDatabase)
    {
    case nil: break
    case .wrongTarget:
      warn(
        "rejected Raft message to mismatch member",
        [.id("local-member-id", context.localID), .id("mismatch-member-id", message.receiver)])
      forbid(exchange, "cannot process message to mismatch member")
      return false
    case let fault?:
      warn(
        "failed to process Raft message",
        [.id("local-member-id", context.localID), .error(fault.rawValue)])
      transport.countReceiveFailure(from)
      refuse(exchange, 500, "error processing raft message", clusterHeaders)
      return false
    }
    if transport.link(message.sender)?.isPaused == true {
      refuse(exchange, 500, "error processing raft message", clusterHeaders)
      return false
    }
    return true
  }

  // MARK: snapshots

  func snapshot(_ exchange: HTTPExchange) {
    guard requireMethod(exchange, "POST") else { return countUnknownSnapshot() }
    guard isCompatible(exchange, clusterHeaders) else { return countUnknownSnapshot() }
    let from = noteSender(exchange)
    makeRoom(for: from)
    guard snapshots.count < context.configuration.snapshotsInFlight else {
      countUnknownSnapshot()
      return refuse(exchange, 500, "too many snapshots in flight", clusterHeaders)
    }
    let receiver = SnapshotReceiver(
      exchange, context, sender: from, bodies, owner(exchange, from))
    snapshots.append(receiver)
    receiver.start()
  }

  private func owner(_ exchange: HTTPExchange, _ from: MemberID?) -> SnapshotReceiver.Owner {
    SnapshotReceiver.Owner { [weak self] message in
      self?.admit(exchange, message, from, withDatabase: true) ?? false
    } refuse: { [weak self] status, text in
      guard let self else { return }
      refuse(exchange, status, text, clusterHeaders)
    } isKnown: { [weak self] sender in
      self?.transport.peer(sender) != nil
    } warn: { [weak self] text, fields in
      self?.warn(text, fields)
    } ended: { [weak self] receiver, message in
      guard let self else { return }
      snapshots.removeAll { $0 === receiver }
      guard let message else { return }
      context.receive(message)
      exchange.respond(status: 204, headers: clusterHeaders)
    }
  }

  /// A member that sends again has given up what it sent before. When all places are taken, one is freed for
  /// a sender that can be answered: that of a stranger when it is a member, or one that too little comes for.
  /// A name has one place, so bodies that are held open do not keep a member behind, whatever names they have.
  private func makeRoom(for sender: MemberID?) {
    guard let sender else { return }
    for older in snapshots where older.claimedSender == sender {
      older.giveWay("a newer snapshot took its place")
    }
    guard snapshots.count >= context.configuration.snapshotsInFlight,
      transport.link(sender) != nil
    else { return }
    func isMember(_ id: MemberID?) -> Bool { id.flatMap(transport.peer) != nil }
    let mayGo = snapshots.filter(\.canGiveWay)
    if let slow = mayGo.first(where: \.isTooSlow) {
      slow.giveWay("it came too slowly, and another member waits")
    } else if isMember(sender), let stranger = mayGo.last(where: { !isMember($0.claimedSender) }) {
      stranger.giveWay("a member of the cluster took its place")
    }
  }

  private func countUnknownSnapshot() {
    SnapshotMetrics.receiveFailures(context.configuration.metrics).add()
  }
}
