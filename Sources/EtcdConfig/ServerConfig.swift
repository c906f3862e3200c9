/// Everything a member needs to know, validated before it gets here.
///
/// - Units: times in milliseconds, sizes in bytes.
public struct ServerConfig: Sendable, Equatable {
  public var name = "default"
  public var dataDirectory = "default.etcd"
  /// Empty: inside the data directory.
  public var walDirectory = ""
  public var listenPeerURLs: [ListenURL] = []
  public var listenClientURLs: [ListenURL] = []
  public var listenMetricsURLs: [ListenURL] = []
  public var initialAdvertisePeerURLs: [String] = ["http://localhost:2380"]
  public var advertiseClientURLs: [String] = ["http://localhost:2379"]
  /// Peer URLs of every first member, by name.
  public var initialCluster: [String: [String]] = [:]
  public var initialClusterToken = "etcd-cluster"
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
  /// Why `initial-cluster` could not be read; matters only to a member without data.
  public var initialClusterProblem: String?

  public init() {}

  /// Bytes the backend may have; `nil` = no limit.
  public var quota: Int? {
    if quotaBackendBytes < 0 { return nil }
    return quotaBackendBytes == 0 ? 2 << 30 : Int(quotaBackendBytes)
  }

  /// Time after which a request fails.
  /// - Source: etcd `ReqTimeout`.
  public var requestTimeout: Duration { .milliseconds(5000 + 2 * electionTimeout) }
}

/// What history the leader drops on its own.
public enum AutoCompaction: Sendable, Equatable {
  /// What is older than this.
  case periodic(Duration)
  /// What is this many revisions old.
  case revision(Int64)
}

/// A URL to listen on.
public struct ListenURL: Sendable, Hashable, CustomStringConvertible {
  public enum Scheme: String, Sendable { case http, https, unix, unixs }
  public let scheme: Scheme
  /// Numeric address or `localhost`; the socket path for unix.
  public let host: String
  public let port: Int

  public init(scheme: Scheme, host: String, port: Int) {
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  public var description: String {
    switch scheme {
    case .unix, .unixs: return "\(scheme.rawValue)://\(host)"
    case .http, .https:
      return "\(scheme.rawValue)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
  }
}

/// Versions a member reports.
public enum ServerVersion {
  /// What clients, peers and tools take us for: an etcd whose features they may use.
  public static let etcd = "3.5.21"
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

  /// Compares two dotted versions by number.
  public static func isOlder(_ a: String, than b: String) -> Bool {
    func numbers(_ text: String) -> [Int] { text.split(separator: ".").map { Int($0) ?? 0 } }
    return numbers(a).lexicographicallyPrecedes(numbers(b))
  }
}
