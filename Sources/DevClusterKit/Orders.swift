/// Why a command ended without doing what was asked; one line for standard error.
public struct DevClusterError: Error, Equatable, CustomStringConvertible, Sendable {
  public let description: String
  /// Exit status of the command.
  public let code: Int32

  public init(_ description: String, code: Int32 = ExitStatus.failed) {
    self.description = description
    self.code = code
  }

  /// The command line says something that cannot be.
  static func usage(_ text: String) -> DevClusterError {
    DevClusterError(text, code: ExitStatus.usage)
  }

  static func notRunning(_ directory: String) -> DevClusterError {
    DevClusterError(
      "no cluster is running in \(directory) (start it with: devcluster up)",
      code: ExitStatus.notRunning)
  }
}

/// What commands end with.
public enum ExitStatus {
  public static let failed: Int32 = 1
  public static let usage: Int32 = 2
  /// Some members are not healthy.
  public static let degraded: Int32 = 3
  public static let noQuorum: Int32 = 4
  public static let notRunning: Int32 = 5
  /// `run`: the cluster did not start.
  public static let noStart: Int32 = 125
}

/// What a command line asks for.
enum Order: Sendable, Equatable {
  case up(UpOptions)
  /// A command with a cluster around it.
  case run(UpOptions, [String])
  case down
  case clean
  case status(isJSON: Bool)
  case processes
  case environment(EnvironmentFormat)
  case logs(LogOptions)
  case events(follow: Bool, isJSON: Bool)
  /// Asked of the running cluster.
  case ask(ControlRequest)
  /// Files of a cluster, running or not.
  case snapshot(ControlRequest.SnapshotAction, String)
  case upgrade([String], String, wait: Int)
  case showConfiguration(UpOptions)
  case initConfiguration(String)
  case export(ExportFormat, UpOptions)
  case scenario(ScenarioOrder)
  /// The status page; whether a browser is started.
  case open(startsBrowser: Bool)
  case version
}

/// How `env` says where the cluster is.
public enum EnvironmentFormat: String, Sendable, CaseIterable { case sh, fish, json }

/// What `export` writes.
public enum ExportFormat: String, Sendable, CaseIterable { case procfile, systemd, compose }

/// What of the members' logs is shown.
public struct LogOptions: Sendable, Equatable {
  public var members: [String] = []
  public var follow = false
  /// The last so many lines; `nil` for all.
  public var count: Int?
  /// Nanoseconds before now; `nil` for all.
  public var since: Int64?
  var level: LogLine.Level?
  /// What lines contain.
  public var grep: String?
  public var isJSON = false
}

/// What `devcluster up` was told.
public struct UpOptions: Sendable, Equatable {
  /// `nil`: as many as the directory has, or 3.
  public var size: Int?
  /// Program of every member; `nil`: the `etcd` beside this executable.
  public var binary: String?
  /// Programs of single members, by name.
  public var binaries: [String: String] = [:]
  public var ports: Ports?
  public var detach = false
  /// Seconds the cluster has to become healthy.
  public var wait = 60
  public var isWaitGiven = false
  /// Flags for every member, from behind `--`; `nil` when there was no `--`.
  public var extra: [String]?
  public var security: ClusterPlan.Security?
  public var auth = false
  /// `nil`: as it was, or peers alone.
  public var relay: ClusterPlan.Relaying?
  /// Whether members' disks can be made to fail; `nil`: as it was, or where that costs next to nothing.
  public var watchesDisks: Bool?
  /// Data in memory where there is room, and writes that nobody waits for.
  public var isFast = false
  /// Whether members find each other by a discovery service; `nil`: as it was, or not.
  public var isDiscovered: Bool?
  /// A status page from the start; `nil`: as it was, or none.
  public var page: PagePlan?
  /// A snapshot that a new cluster begins with; `nil` for nothing.
  public var snapshot: String?
  /// A configuration file; `nil` for `devcluster.yaml` where there is one.
  public var file: String?
  /// The least level of members' lines that are shown in the foreground; `nil` for none at all.
  var logs: LogLine.Level? = .warn
  /// Whether members' lines are shown as they are.
  public var isRaw = false
  /// Descriptor on which a detached supervisor reports; set by the process that detaches it.
  public var reportDescriptor: Int32?
  /// Whether the cluster ends with whoever holds the other end of that descriptor.
  public var isTethered = false

  public enum Ports: Sendable, Equatable {
    case standard
    case auto
    case base(Int)
  }
}

extension UpOptions {
  /// The flags of `up` that say the same of the cluster, for another process.
  var clusterWords: [String] {
    var words: [String] = []
    if let binary { words.append("--binary=\(binary)") }
    for (name, path) in binaries.sorted(by: { $0.key < $1.key }) {
      words.append("--binary=\(name)=\(path)")
    }
    if isWaitGiven { words.append("--wait=\(wait)") }
    switch ports {
    case .standard: words.append("--ports=standard")
    case .auto: words.append("--ports=auto")
    case .base(let port): words.append("--ports=\(port)")
    case nil: break
    }
    if let security { words.append("--tls=\(security.rawValue)") }
    if auth { words.append("--auth") }
    if relay == .some(.none) { words.append("--direct") }
    if relay == .all { words.append("--client-relay") }
    if isFast { words.append("--fast") }
    if let isDiscovered { words.append("--discovery=\(isDiscovered)") }
    if let snapshot { words.append("--snapshot=\(snapshot)") }
    if let watchesDisks { words.append("--disk-faults=\(watchesDisks)") }
    return words
  }
}

/// Things done to running members.
public enum MemberAction: String, Sendable, CaseIterable {
  case stop, start, kill, restart, pause, resume

  /// One line for the list of commands.
  var summary: String {
    switch self {
    case .stop: "Ends members"
    case .start: "Starts members and waits until they are healthy"
    case .kill: "Ends members as a crash would"
    case .restart: "Ends members and starts them again"
    case .pause: "Freezes members: alive for the system, dead for the others"
    case .resume: "Lets frozen members go on"
    }
  }
}
