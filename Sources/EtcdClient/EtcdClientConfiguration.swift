/// Where a cluster is and how to talk to it.
public struct EtcdClientConfiguration: Sendable {
  /// A user of the cluster.
  public struct Credentials: Sendable {
    /// The name of the user.
    public var name: String
    /// In the clear, as connections without TLS send it.
    public var password: String

    /// A user with a password; an empty part makes it nobody.
    public init(name: String, password: String) {
      self.name = name
      self.password = password
    }
  }

  /// Members, as `host:port`, `http://host:port`, `https://host:port`, `unix:///path` or `unixs:///path`. Requests go round those that can be
  /// reached.
  public var endpoints: [String]
  /// How members are verified; needed for none of `https://` and `unixs://`, which are verified by the system's
  /// trusted certificates then, and without it `host:port` is plain.
  public var tls: TLS?
  /// Who signs in; nobody when `nil` or when a part is empty.
  public var credentials: Credentials?
  /// How long an attempt to connect may take.
  public var dialTimeout: Duration
  /// How long a request may take with all its attempts; `nil` for as long as it takes.
  public var requestTimeout: Duration?
  /// Silence after which a connection with requests under way is probed, ten seconds at least; `nil` for
  /// never.
  public var keepaliveInterval: Duration?
  /// How long a probe may stay unanswered before the connection counts as broken.
  public var keepaliveTimeout: Duration

  /// By default connections are given up after five seconds, and requests after ten.
  public init(
    endpoints: [String], tls: TLS? = nil, credentials: Credentials? = nil,
    dialTimeout: Duration = .seconds(5),
    requestTimeout: Duration? = .seconds(10), keepaliveInterval: Duration? = .seconds(30),
    keepaliveTimeout: Duration = .seconds(10)
  ) {
    self.endpoints = endpoints
    self.tls = tls
    self.credentials = credentials
    self.dialTimeout = dialTimeout
    self.requestTimeout = requestTimeout
    self.keepaliveInterval = keepaliveInterval
    self.keepaliveTimeout = keepaliveTimeout
  }

  /// What to sign in with, if there is anything.
  var login: Credentials? {
    guard let credentials, !credentials.name.isEmpty, !credentials.password.isEmpty else {
      return nil
    }
    return credentials
  }
}
