import GoText

/// Everything a member needs to know, validated before it gets here.
///
/// - Units: times in milliseconds where they are no `Duration`, sizes in bytes.
public struct ServerConfig: Sendable, Equatable {
  public var name = "default"
  public var dataDirectory = "default.etcd"
  /// Empty: inside the data directory.
  public var walDirectory = ""
  public var listenPeerURLs: [ListenURL] = []
  public var listenClientURLs: [ListenURL] = []
  /// Listeners for HTTP alone. When there are any, `listenClientURLs` carry gRPC alone.
  public var listenClientHTTPURLs: [ListenURL] = []
  public var listenMetricsURLs: [ListenURL] = []
  public var initialAdvertisePeerURLs: [String] = ["http://localhost:2380"]
  public var advertiseClientURLs: [String] = ["http://localhost:2379"]
  /// Peer URLs of every first member, by name.
  public var initialCluster: [String: [String]] = [:]
  public var initialClusterToken = "etcd-cluster"
  /// The domain of which the DNS names the first members, and the suffix of the service's name; empty without.
  public var discoverySRV = ""
  public var discoverySRVName = ""
  /// The base of a discovery service, a slash and the token of a cluster; empty without.
  public var discoveryURL = ""
  /// The HTTP proxy on the way there; empty for none.
  public var discoveryProxy = ""
  /// The etcd that gathers the members instead of such a service.
  public var registry = RegistryAccess()
  /// Whether a member for which the cluster has no place any more becomes a proxy.
  public var discoveryFallsBackToProxy = true
  /// Whether to found a cluster (`new`) or join one (`existing`).
  public var isNewCluster = true
  public var heartbeatInterval = 100
  public var electionTimeout = 1000
  public var initialElectionTickAdvance = true
  public var preVote = true
  public var snapshotCount: UInt64 = 100_000
  public var snapshotCatchUpEntries: UInt64 = 5000
  /// 0 = 2 GiB, negative = no limit.
  public var quotaBackendBytes: Int64 = 0
  public var maxTxnOps = 128
  /// Where spans of calls go.
  public struct Tracing: Sendable, Equatable {
    public var isEnabled = false
    /// Host and port of an OTLP collector over gRPC, without TLS.
    public var address = "localhost:4317"
    public var serviceName = "etcd"
    public var instanceID = ""
    /// Calls of a million that are recorded although their clients record none.
    public var samplingRate = 0
  }

  public var tracing = Tracing()
  /// A proxy for the v2 API of other members, instead of a member.
  public struct Proxy: Sendable, Equatable {
    public enum Mode: String, Sendable {
      case off
      /// Hands everything on.
      case on
      /// Hands requests on that change nothing.
      case readonly
    }

    public var mode = Mode.off
    /// How long a member that did not answer is left out.
    public var failureWait = Duration.seconds(5)
    /// Between two questions who the members are.
    public var refreshInterval = Duration.seconds(30)
    /// Zero for no limit, here and below.
    public var dialTimeout = Duration.seconds(1)
    /// Longest time in which a member takes nothing of a request.
    public var writeTimeout = Duration.seconds(5)
    /// Longest silence of a member that was asked.
    public var readTimeout = Duration.zero

    public init() {}
  }

  public var proxy = Proxy()
  /// Whether the v2 API is served.
  public var enableV2 = false
  /// Learners that the cluster may have at a time.
  public var maxLearners = 1
  public var maxRequestBytes = 1_572_864
  public var maxConcurrentStreams = UInt32.max
  public var maxSnapshots = 5
  public var maxWALs = 5
  public var unsafeNoFsync = false
  public var strictReconfigCheck = true
  public var keepaliveMinTime = 5000
  public var keepaliveInterval = 7_200_000
  public var keepaliveTimeout = 20_000
  /// Kind of tokens and its options.
  public var authToken = "simple"
  /// 4…31; each one more doubles the work.
  public var bcryptCost = 10
  /// Seconds a simple token lives after its last use.
  public var authTokenTTL = 300
  public var corsOrigins = ["*"]
  public var hostWhitelist = ["*"]
  /// Whether the v3 JSON gateway is served.
  public var enableGateway = true
  /// Whether histograms of gRPC calls are exported.
  public var extensiveMetrics = false
  /// Whether the leader records what is left of long leases, and whether a restart remembers it.
  public var leaseCheckpoint = false
  public var leaseCheckpointPersist = false
  /// Whether to start alone from the data that is there, forgetting the other members.
  public var forceNewCluster = false
  /// `nil` = off.
  public var autoCompaction: AutoCompaction?
  /// How far the v2 store is given up.
  public var v2Deprecation = V2Deprecation.notYet

  // TLS.

  public var clientTLS = TransportSecurity()
  public var peerTLS = TransportSecurity()
  /// Years that a generated certificate is valid.
  public var selfSignedCertValidity = 1
  /// Go's names; empty for the default.
  public var cipherSuites: [String] = []
  /// `TLS1.2` or `TLS1.3`; empty for the default.
  public var tlsMinVersion = "TLS1.2"
  public var tlsMaxVersion = ""

  // Sockets and process.

  /// Whether listeners set SO_REUSEPORT: another process may listen on the same port.
  public var socketReusePort = false
  /// Longest silence of a peer's stream before it is taken for dead, and longest wait for a peer to
  /// take bytes; never below 5 s.
  public var raftReadTimeout = Duration.seconds(5)
  public var raftWriteTimeout = Duration.seconds(5)
  /// Whether all memory of the process stays in RAM.
  public var memoryLock = false
  /// Whether `/debug/pprof/` is served.
  public var enablePprof = false

  /// Threads that serve client connections, at most 8; 0 = as many as the processors suggest.
  public var clientLoops = 0

  // Backend.

  /// Longest time that an applied change waits for its commit to the backend; zero = the default.
  public var backendBatchInterval = Duration.zero
  /// Whether the alarm NOSPACE goes by itself once there is space, and space in use counts instead of the file.
  public var disarmsNoSpace = false
  /// Applied changes that make a commit before that time; 0 = the default.
  public var backendBatchLimit = 0
  /// A start defragments when that frees at least as many MiB; 0 = never.
  public var bootstrapDefragThresholdMegabytes: UInt64 = 0
  /// Whether health and calls of clients are refused while the member defragments.
  public var stopGRPCOnDefrag = false
  /// Revisions that one batch of a compaction deletes, at least 1.
  public var compactionBatchLimit = 1000
  /// Pause between two batches of a compaction, above zero.
  public var compactionSleepInterval = Duration.milliseconds(10)

  // Checks.

  /// Whether a member with data compares itself with the others before it serves anyone.
  public var initialCorruptCheck = false
  /// Time between two comparisons that the leader makes; zero = never.
  public var corruptCheckInterval = Duration.zero
  /// Whether the leader compares the hashes that compactions left, and how often.
  public var compactHashCheck = false
  public var compactHashCheckInterval = Duration.seconds(60)
  /// Time between two looks at a downgrade under way; zero = never.
  public var downgradeCheckInterval = Duration.seconds(5)

  /// Whether whole structures are checked while the member runs, and a broken guarantee ends it.
  /// - Source: `ETCD_VERIFY=all`, as for etcd `server/verify`.
  public var verifies = false

  // Notices.

  /// Time between two progress notifications of a watch that has no events, at least 100 ms.
  public var watchProgressNotifyInterval = Duration.seconds(600)
  /// Applying a request that takes longer is logged.
  public var warningApplyDuration = Duration.milliseconds(100)
  /// A unary call that takes longer is logged; above zero.
  public var warningUnaryRequestDuration = Duration.milliseconds(300)

  /// Why `initial-cluster` could not be read; matters only to a member without data.
  public var initialClusterProblem: String?

  public init() {}

  /// Whether a start may lead to a proxy.
  /// - Source: etcd `etcdmain.config.mayBeProxy`.
  var mayBeProxy: Bool {
    proxy.mode != .off || !discoveryURL.isEmpty && discoveryFallsBackToProxy
  }

  /// Bytes the backend may have; `nil` = no limit.
  public var quota: Int? {
    if quotaBackendBytes < 0 { return nil }
    return quotaBackendBytes == 0 ? 2 << 30 : Int(clamping: quotaBackendBytes)
  }

  /// Time after which a request fails.
  /// - Source: etcd `ReqTimeout`.
  public var requestTimeout: Duration { .milliseconds(5000) + .milliseconds(electionTimeout) * 2 }
}

/// What history the leader drops on its own.
public enum AutoCompaction: Sendable, Equatable {
  /// What is older than this.
  case periodic(Duration)
  /// What is this many revisions old.
  case revision(Int64)
}

/// How far the v2 store is given up.
///
/// - Source: etcd `config.V2DeprecationEnum`.
public enum V2Deprecation: String, Sendable, CaseIterable, Comparable {
  /// Keys of the v2 API may be there.
  case notYet = "not-yet"
  /// A member with keys of the v2 API in its store does not start.
  case writeOnly = "write-only"
  case writeOnlyDropData = "write-only-drop-data"
  case gone

  public static func < (a: V2Deprecation, b: V2Deprecation) -> Bool {
    // Stages follow each other in the order of their declaration.
    allCases.firstIndex(of: a) ?? 0 < allCases.firstIndex(of: b) ?? 0
  }
}

/// A URL to listen on.
public struct ListenURL: Sendable, Hashable, CustomStringConvertible {
  public let scheme: EtcdURL.Scheme
  /// Numeric address or `localhost`; the socket path for unix.
  public let host: String
  public let port: Int

  public init(scheme: EtcdURL.Scheme, host: String, port: Int) {
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  public var description: String {
    if scheme.isUnix { return "\(scheme.rawValue)://\(host)" }
    return "\(scheme.rawValue)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
  }
}

/// Versions a member reports.
public enum ServerVersion {
  /// What clients, peers and tools take us for: an etcd whose features they may use.
  public static let etcd = "3.5.30"
  /// Oldest cluster that this member can be part of.
  public static let minimumCluster = "3.0.0"
  /// Our own version.
  public static let own = "0.1.0"

  /// `MAJOR.MINOR.0` of a version; `nil` when it is not one.
  public static func clusterVersion(of version: String) -> String? {
    let parts = version.split(separator: ".")
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
    return "\(major).\(minor).0"
  }

  /// `3.5` of `3.5.0`.
  public static func majorMinor(_ version: String) -> String {
    version.split(separator: ".").prefix(2).joined(separator: ".")
  }

  /// Compares two dotted versions by number.
  public static func isOlder(_ a: String, than b: String) -> Bool {
    func numbers(_ text: String) -> [Int] { text.split(separator: ".").map { Int($0) ?? 0 } }
    return numbers(a).lexicographicallyPrecedes(numbers(b))
  }
}
