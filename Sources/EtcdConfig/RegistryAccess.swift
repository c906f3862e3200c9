/// Where an etcd gathers the members of a new cluster, and how it is reached.
///
/// - Source: etcd 3.6 `v3discovery.DiscoveryConfig`, `clientv3.ConfigSpec`.
public struct RegistryAccess: Sendable, Equatable {
  /// As clients write them; empty for none.
  public var endpoints: [String] = []
  /// Which cluster is meant.
  public var token = ""
  public var dialTimeout = Duration.seconds(2)
  public var requestTimeout = Duration.seconds(5)
  public var keepaliveTime = Duration.seconds(2)
  public var keepaliveTimeout = Duration.seconds(6)
  /// Whether endpoints without a scheme are plain.
  public var isTransportInsecure = true
  public var skipsVerification = false
  public var certificateFile = ""
  public var keyFile = ""
  public var trustedCAFile = ""
  /// What certificates must be valid for; empty for the host of the endpoint.
  public var serverName = ""
  /// `name[:password]`.
  public var user = ""
  public var password = ""

  public init() {}

  /// Whether anything but times was given.
  var isAnyGiven: Bool {
    !endpoints.isEmpty
      || [token, certificateFile, keyFile, trustedCAFile, user, password].contains { !$0.isEmpty }
  }
}
