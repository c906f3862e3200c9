import EtcdAPI
import EtcdClient
import GRPC

/// How far a command came at one endpoint, and what to do: lines behind Go's error, which says neither.
enum Hint {
  /// An endpoint without a connection.
  struct Obstacle: Sendable, Equatable {
    let endpoint: String
    let phase: GRPCConnectFailure.Phase
    /// What the client was told.
    let reason: String
    var isSecure = false
    var hasCertificate = false
    var hasAuthority = false
    /// Whether the port was found to speak TLS; only asked where plain text was not understood.
    var speaksTLS = false
  }

  /// What a connected member says while requests to it wait.
  enum Member: Sendable, Equatable {
    case silent
    case status(leader: UInt64, id: UInt64, errors: [String])
  }

  /// - Returns: a line, with its end.
  static func line(_ obstacle: Obstacle) -> String {
    let reason = plain(obstacle.reason)
    return "Hint: \(obstacle.endpoint): \(name(obstacle.phase)) failed: \(reason). "
      + "\(advice(obstacle, reason))\n"
  }

  /// - Returns: a line, with its end.
  static func line(_ endpoint: String, waitingFor member: Member) -> String {
    "Hint: \(endpoint): connected, no answer in time. \(advice(member))\n"
  }

  /// What to do about a server's refusal.
  /// - Returns: a line, with its end; `nil` where the error says enough.
  static func line(_ message: String) -> String? { refusals[message].map { "Hint: \($0)\n" } }

  /// A line without its beginning and its end.
  static func body(_ line: String) -> String {
    String(line.dropFirst("Hint: ".utf8.count).dropLast())
  }

  static func name(_ phase: GRPCConnectFailure.Phase) -> String {
    switch phase {
    case .resolve: "name lookup"
    case .connect: "connect"
    case .tls: "TLS handshake"
    case .http2: "HTTP/2"
    }
  }

  /// The part of an error of gRPC's that says something.
  static func plain(_ text: String) -> String {
    var text = text[...]
    for prefix in ["connection error: desc = \"", "transport: "] where text.hasPrefix(prefix) {
      text = text.dropFirst(prefix.utf8.count)
      if prefix.hasSuffix("\""), text.hasSuffix("\"") { text = text.dropLast() }
    }
    for prefix in [
      "Error while dialing: ", "authentication handshake failed: ", "error reading from server: ",
    ] where text.hasPrefix(prefix) { text = text.dropFirst(prefix.utf8.count) }
    if text.hasPrefix("lookup ") || text.hasPrefix("dial "),
      let end = text.ranges(of: ": ").last?.upperBound
    {
      text = text[end...]
    }
    // Whoever waits for the first frame gives up by that.
    return text == "connection aborted" ? silence : String(text)
  }

  private static let silence = "silence"

  // MARK: what to do

  private static func advice(_ obstacle: Obstacle, _ reason: String) -> String {
    switch obstacle.phase {
    case .resolve:
      reason.contains("missing port")
        ? "Endpoints have a port: HOST:2379."
        : "No address is known for this name: see its spelling, /etc/hosts and the DNS of this machine."
    case .connect: connectAdvice(reason)
    case .tls: tlsAdvice(obstacle, reason)
    case .http2: http2Advice(obstacle, reason)
    }
  }

  private static func connectAdvice(_ reason: String) -> String {
    if reason.contains("connection refused") {
      return
        "Nothing listens there: see whether etcd runs, and compare with its --listen-client-urls."
    }
    if reason.contains("timeout") || reason.contains("timed out") {
      return
        "Nobody answered: the machine is down, a firewall drops packets, or --dial-timeout is too "
        + "short."
    }
    if reason.contains("no such file") { return "There is no socket of this path." }
    if reason.contains("permission denied") { return "This user may not use it." }
    return "See the address, and this machine's network."
  }

  private static func tlsAdvice(_ obstacle: Obstacle, _ reason: String) -> String {
    if reason.contains("first record does not look like") {
      return "The port speaks plain text: use http://, without --cacert, --cert and --key."
    }
    if reason.contains("signed by unknown authority") {
      return obstacle.hasAuthority
        ? "The authority of --cacert did not sign the server's certificate: give the one that did."
        : "Give the authority that signed the server's certificate: --cacert FILE."
    }
    if reason.contains("expired or is not yet valid") {
      return "Renew the server's certificate; or this machine's clock is wrong."
    }
    if ["SAN", "valid for", "legacy"].contains(where: reason.contains) {
      return "Use an endpoint that the certificate names, or issue one that names this endpoint "
        + "(subjectAltName)."
    }
    if reason.hasPrefix("remote error") { return refusedAdvice(obstacle, reason) }
    if reason.contains("timeout") {
      return
        "The port takes connections, but shakes no hands: it may speak plain text, or the member hangs."
    }
    if reason.contains("EOF") {
      return
        "The server closed the connection at the first words: if the port speaks plain text, use "
        + "http://; else its log says why."
    }
    return "See the server's log for what it says of this connection."
  }

  /// The server did not take what was shown to it.
  private static func refusedAdvice(_ obstacle: Obstacle, _ reason: String) -> String {
    guard obstacle.hasCertificate else {
      return "The server asks for a client certificate: give --cert and --key, signed by its "
        + "--trusted-ca-file."
    }
    if reason.contains("expired certificate") { return "Renew the client certificate (--cert)." }
    return
      "The server does not take the client certificate (--cert): see that its --trusted-ca-file "
      + "signed it, that it is for clientAuth, valid and not revoked; the server's log has the reason."
  }

  private static func http2Advice(_ obstacle: Obstacle, _ reason: String) -> String {
    if obstacle.speaksTLS {
      return
        "The port speaks TLS: use https://, with --cacert FILE, and --cert and --key where the "
        + "server asks for them."
    }
    if reason == silence {
      return "Something takes connections there and says nothing: a member that starts or hangs, "
        + "or no etcd."
    }
    return
      "What listens there is no client port of etcd\(obstacle.isSecure ? "" : ", or wants TLS"); "
      + "compare with its --listen-client-urls."
  }

  private static func advice(_ member: Member) -> String {
    switch member {
    case .silent:
      return
        "It does not tell its status either: the process hangs, is stopped or is overloaded; see "
        + "its log and its machine."
    case .status(leader: 0, _, let errors):
      let told = errors.isEmpty ? "" : " (\(errors.joined(separator: ", ")))"
      return
        "The member has no leader\(told): see that a majority of the members runs and that they "
        + "reach each other's peer URLs; `etcdctl doctor` lists them."
    case .status(let leader, let id, _):
      let who = leader == id ? "it leads" : "leader \(String(leader, radix: 16))"
      return
        "The member answers for itself (\(who)), so what it waits for is slow: the disk of the "
        + "leader, the network between members, or load. See `etcdctl doctor`, or give a longer "
        + "--command-timeout."
    }
  }

  private static let majority =
    "A majority of the members did not answer: see that they run and reach each other; `etcdctl doctor` "
    + "lists them."
  private static let slow =
    "Consensus was too slow: an election, a slow disk or network, or load; `etcdctl doctor` measures them."

  private static let refusals: [String: String] = [
    EtcdError.noLeader.message: majority, EtcdError.unhealthyCluster.message: majority,
    EtcdError.timeout.message: slow, EtcdError.timeoutLeaderFailure.message: slow,
    EtcdError.timeoutConnectionLost.message: majority,
    EtcdError.leaderChanged.message: "The cluster has just elected a leader: try again.",
    EtcdError.stopped.message: "The member is being stopped: give --endpoints of others, too.",
    EtcdError.noSpace.message:
      "The database is as large as --quota-backend-bytes: compact, `etcdctl defrag --cluster`, then "
      + "`etcdctl alarm disarm`.",
    EtcdError.corrupt.message:
      "Members hold different data: compare `etcdctl endpoint hashkv --cluster`, and replace the member "
      + "that is alone with its hash.",
    EtcdError.tooManyRequests.message:
      "The member applies more slowly than requests come: see its disk with `etcdctl doctor`.",
  ]
}
