/// What a configuration file says of a cluster. Pure.
public struct ClusterConfig: Sendable, Equatable {
  /// What it says of one member.
  public struct Member: Sendable, Equatable {
    /// A path, a name or a version.
    public var binary: String?
    public var flags: [String] = []
    public var environment: [String] = []
    public var isLearner = false
    public var starts = true
  }

  public var size: Int?
  public var ports: UpOptions.Ports?
  public var security: ClusterPlan.Security?
  public var wait: Int?
  public var isFast: Bool?
  public var watchesDisks: Bool?
  /// Whether members find each other by a discovery service.
  public var isDiscovered: Bool?
  public var auth: AuthPlan?
  /// A status page from the start.
  public var page: PagePlan?
  public var binary: String?
  public var flags: [String] = []
  public var environment: [String] = []
  public var members: [String: Member] = [:]
  /// Keys that a new cluster has.
  public var seed: [AuthPlan.Pair] = []
  /// A snapshot that a new cluster begins with.
  public var snapshot: String?
  public var zones = ZonePlan()
  /// What is made once the cluster is healthy, at every `up`.
  var faults: [FaultOrder] = []

  /// Whether something has to be between members, or before clients.
  var needsRelay: Bool {
    !zones.isEmpty || faults.contains(where: \.isOfLinks)
  }
  var needsClientRelay: Bool {
    zones.hasClients || faults.contains { ($0.from + $0.to).contains("clients") }
  }

  /// A file as `config init` writes it.
  static let sample = """
    # devcluster.yaml: read by devcluster up in this directory, or named with -f. All of it may be left out.

    cluster:
      members: 3          # 1 to 7
      ports: standard     # standard, auto, or the first of a block
      tls: false          # true: an authority of the cluster's own; auto: members make their own
      wait: 60            # seconds to become healthy
      fast: false         # data in memory
      discovery: false    # members find each other by a discovery service
      disk-faults: true   # devcluster disk works (Linux); by default unless fast

    # binary: 3.5.30      # a path, or a version (DEVCLUSTER_VERSIONS, ~/.cache/devcluster); ours by default

    # auth:
    #   root: secret
    #   users:
    #     - {name: app, password: app, permissions: ["rw /app/*", "r /shared"]}

    ui: false             # true, or a port: a status page on 127.0.0.1, as of devcluster up --ui

    flags: {}             # of every member, such as {snapshot-count: 1000}
    env: {}               # variables of every member

    members: {}
    #   m2: {binary: 3.5.30}
    #   m3: {flags: {log-level: debug}, env: {GOMAXPROCS: 2}}
    #   m4: {learner: true}
    #   m5: {start: false}

    # seed:
    #   keys: {/app/greeting: hello}
    #   snapshot: prod.db   # what a new cluster begins with

    # zones:              # how far members are from each other; nothing heals it
    #   eu: [m1, m2]
    #   us: [m3]
    #   latency: {eu-us: 40ms±5ms}

    # faults:             # made once the cluster is healthy, until devcluster heal
    #   - {slow: leader 20ms}
    #   - {disk: m2 slow 5ms, for: 30s}

    """
}

extension AuthPlan {
  /// A key with its value.
  public struct Pair: Sendable, Equatable {
    public var key: String
    public var value: String
  }
}
