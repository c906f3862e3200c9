import Platform

/// A local cluster on paper: all that `up` was told, and what became of it. Pure; `ClusterFile` keeps it.
public struct ClusterPlan: Sendable, Equatable {
  /// How many members `up` makes: etcd advises against more voters.
  public static let sizes = 1...7
  /// Tells its members from those of other clusters.
  static let token = "devcluster"
  /// How many it may have with those that were added.
  public static let membersMax = 9

  /// Absolute path of the directory that holds everything.
  public var directory: String
  public var ports: PortPlan
  public var members: [MemberPlan]
  /// Absolute path of the program of members without one of their own; `nil`: the `etcd` beside this one.
  public var binary: String?
  /// Flags for every member.
  public var flags: [String] = []
  /// Variables for every member, `NAME=value`.
  public var environment: [String] = []
  public var security = Security.none
  /// What goes through the supervisor, where faults are made.
  public private(set) var relay = Relaying.peers
  /// Who may do what; `nil` without authentication.
  public var auth: AuthPlan?
  /// Whether users were made and authentication is on.
  public var isAuthReady = false
  /// Keys that it gets when it is new.
  public var seed: [AuthPlan.Pair] = []
  public var zones = ZonePlan()
  /// What is made once the cluster is healthy.
  var faults: [FaultOrder] = []
  /// Whether it was ever healthy: before that nobody has data in it.
  public var wasHealthy = false
  /// Whether writes are not waited for.
  public var skipsSync = false
  /// Whether the supervisor is asked before members' disks, where faults are made.
  public var watchesDisks = true
  /// Whether those that make the cluster find each other by a discovery service instead of being told.
  public var isDiscovered = false
  /// Whether there is a status page from the start.
  public var page = PagePlan.none
  /// Where data are, when not in the directory.
  public var memoryDirectory: String?

  /// Whose connections are relayed.
  public enum Relaying: String, Sendable, CaseIterable {
    case none
    /// Those between members.
    case peers
    /// Those of clients as well.
    case all
  }

  /// How connections are secured.
  public enum Security: String, Sendable, CaseIterable {
    case none
    /// An authority of the cluster's own.
    case own
    /// Certificates that each member makes for itself.
    case auto
  }

  /// A new cluster.
  public init(
    size: Int, ports: PortPlan = .standard, directory: String, memoryDirectory: String? = nil
  ) {
    precondition(Self.sizes.contains(size), "cluster of \(size) members")
    self.directory = directory
    self.ports = ports
    self.memoryDirectory = memoryDirectory
    members = []
    for index in 1...size { members.append(newMember(index)) }
  }

  /// Member `index` as it would be.
  func newMember(_ index: Int) -> MemberPlan {
    let name = "m\(index)"
    var member = MemberPlan(
      name: name, ports: ports.ports(index), directory: "\(directory)/\(name)",
      dataDirectory: memoryDirectory.map { "\($0)/\(name)/data" })
    member.isSecure = security != .none
    member.relaysPeers = relay != .none
    member.relaysClients = relay == .all
    return member
  }

  /// How many voters were made to be.
  public var size: Int { members.count }
  var voters: Int { members.count { !$0.isLearner } }
  public func member(_ name: String) -> MemberPlan? { members.first { $0.name == name } }
  public var names: String { members.map(\.name).joined(separator: ", ") }

  /// The plan with this security.
  func secured(_ security: Security) -> ClusterPlan {
    var plan = self
    plan.security = security
    for index in plan.members.indices { plan.members[index].isSecure = security != .none }
    return plan
  }

  /// The plan with this relay.
  func relayed(_ relay: Relaying) -> ClusterPlan {
    var plan = self
    plan.relay = relay
    for index in plan.members.indices {
      plan.members[index].relaysPeers = relay != .none
      plan.members[index].relaysClients = relay == .all
    }
    return plan
  }

  /// Those that make the cluster.
  var founders: [MemberPlan] { members.filter { $0.joined == nil && !$0.isLearner } }

  /// What those that make the cluster are told about each other.
  public var initialCluster: String {
    founders.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",")
  }

  /// Client URLs of all members, as clients take them.
  public var endpoints: String { members.map(\.clientURL).joined(separator: ",") }

  /// Where the files of certificates are.
  var certificates: CertificateFiles { CertificateFiles(directory: directory + "/tls") }

  /// Arguments of a member's process, without the program.
  public func arguments(of member: MemberPlan) -> [String] {
    let own = [
      "--name", member.name, "--data-dir", member.dataDirectory,
      "--listen-client-urls", member.ownClientURL, "--advertise-client-urls", member.clientURL,
      "--listen-peer-urls", member.ownPeerURL, "--initial-advertise-peer-urls", member.peerURL,
    ]
    return own + bootstrap(of: member) + securityArguments + defaults(besides: flags + member.flags)
      + flags + member.flags
  }

  private func bootstrap(of member: MemberPlan) -> [String] {
    if isDiscovered && member.joined == nil && !member.isLearner {
      return ["--discovery", discoveryURL, "--discovery-fallback", "exit"]
    }
    return [
      "--initial-cluster", member.joined ?? initialCluster,
      "--initial-cluster-state", member.joined == nil ? "new" : "existing",
      "--initial-cluster-token", Self.token,
    ]
  }

  /// Where the supervisor serves discovery, and what names the cluster there.
  var discoveryURL: String { "http://127.0.0.1:\(ports.discovery)/\(Self.token)" }

  /// The plan with members that are told about each other, for who has no supervisor.
  func undiscovered() -> ClusterPlan {
    var plan = self
    plan.isDiscovered = false
    return plan
  }

  private var securityArguments: [String] {
    switch security {
    case .none: []
    case .own: certificates.arguments
    case .auto: ["--auto-tls", "--peer-auto-tls"]
    }
  }

  /// Flags that fit a cluster on one machine, where nobody said otherwise.
  private func defaults(besides given: [String]) -> [String] {
    func isGiven(_ name: String) -> Bool {
      given.contains { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
    }
    // etcd lets nobody be added for 5 s after a start; who waits for `up` has waited enough.
    var flags = isGiven("strict-reconfig-check") ? [] : ["--strict-reconfig-check=false"]
    if auth != nil && !isGiven("bcrypt-cost") { flags.append("--bcrypt-cost=4") }
    if skipsSync && !isGiven("unsafe-no-fsync") { flags.append("--unsafe-no-fsync") }
    return flags
  }

  /// Flags that are the cluster's business; given to all members they would break it.
  static let reservedFlags: Set<String> = [
    "name", "data-dir", "listen-client-urls", "advertise-client-urls", "listen-peer-urls",
    "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state",
    "initial-cluster-token", "config-file",
  ]
  static let discoveryFlags: Set<String> = [
    "discovery", "discovery-fallback", "discovery-srv", "discovery-endpoints", "discovery-token",
  ]
  static let securityFlags: Set<String> = [
    "auto-tls", "peer-auto-tls", "cert-file", "key-file", "trusted-ca-file", "client-cert-auth",
    "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "peer-client-cert-auth",
  ]

  /// - Throws: `DevClusterError` for a flag that members get from `devcluster` itself.
  static func check(flags: [String]) throws(DevClusterError) {
    for word in flags where word.hasPrefix("-") {
      let name = String(word.drop { $0 == "-" }.prefix { $0 != "=" })
      if reservedFlags.contains(name) {
        throw DevClusterError.usage("--\(name) is set by devcluster, for each member its own")
      }
      if discoveryFlags.contains(name) {
        throw DevClusterError.usage(
          "--\(name) is a way to find members that devcluster names already; say devcluster up"
            + " --discovery for a discovery service of the cluster's own")
      }
      if securityFlags.contains(name) {
        throw DevClusterError.usage(
          "--\(name) would leave devcluster and its URLs behind; say devcluster up --tls, or"
            + " --tls=auto for certificates that members make for themselves")
      }
    }
  }

  /// The environment of a member: ours without what would change its flags or make it speak to whoever
  /// started us.
  /// - Source: sd_notify(3), sd_listen_fds(3) for the variables of systemd.
  public static func environment(from ours: [String]) -> [String] {
    let systemd = [
      "NOTIFY_SOCKET=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WATCHDOG_USEC=",
      "WATCHDOG_PID=",
    ]
    return ours.filter { entry in
      if systemd.contains(where: entry.hasPrefix) { return false }
      if entry.hasPrefix(ShiftedClock.variable + "=") { return false }
      let isEtcds = entry.hasPrefix("ETCD_") || entry.hasPrefix("ETCDCTL_")
      return !isEtcds || entry.hasPrefix("ETCD_UNSUPPORTED_ARCH=")
    }
  }
}

/// Users and roles that a cluster gets when it is new.
public struct AuthPlan: Sendable, Equatable {
  public struct User: Sendable, Equatable {
    public var name: String
    public var password: String
    /// `read`, `write` or `readwrite`, and what on: a key, or a prefix with `*` at its end.
    public var permissions: [Permission]
  }

  public struct Permission: Sendable, Equatable {
    public var kind: Kind
    public var key: String
    public var isPrefix: Bool
  }

  public enum Kind: String, Sendable, CaseIterable {
    case read = "r"
    case write = "w"
    case both = "rw"
  }

  /// Password of root.
  public var root = "root"
  public var users: [User] = []

  public init() {}
}

/// Where the files of certificates are.
struct CertificateFiles: Equatable {
  let directory: String
  var authority: String { directory + "/ca.pem" }
  var authorityKey: String { directory + "/ca-key.pem" }
  func certificate(_ use: Use) -> String { "\(directory)/\(use.rawValue).pem" }
  func key(_ use: Use) -> String { "\(directory)/\(use.rawValue)-key.pem" }

  enum Use: String, CaseIterable { case server, peer, client }

  /// Flags of a member.
  var arguments: [String] {
    [
      "--cert-file", certificate(.server), "--key-file", key(.server), "--trusted-ca-file",
      authority, "--client-cert-auth", "--peer-cert-file", certificate(.peer), "--peer-key-file",
      key(.peer), "--peer-trusted-ca-file", authority, "--peer-client-cert-auth",
    ]
  }
}
