/// Why a command ended without doing what was asked; one line for standard error.
public struct DevClusterError: Error, Equatable, CustomStringConvertible, Sendable {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// What a command line asks for.
public enum Order: Sendable, Equatable {
  case up(UpOptions)
  case down
  case clean
  case status
  case environment
  case logs(member: String?, follow: Bool)
  /// Something done to one member.
  case member(MemberAction, String)
  /// Watch over the supervisor; only the supervisor says this.
  case guardian
}

/// What `devcluster up` was told.
public struct UpOptions: Sendable, Equatable {
  /// `nil`: as many as the directory has, or 3.
  public var size: Int?
  /// Program of every member; `nil`: the `etcd` beside this executable.
  public var binary: String?
  /// Programs of single members, by name.
  public var binaries: [String: String] = [:]
  public var basePort: Int?
  public var detach = false
  /// Seconds the cluster has to become healthy.
  public var wait = 60
  /// Flags for every member, from behind `--`.
  public var extra: [String] = []
  /// Descriptor on which a detached supervisor reports; set by the process that detaches it.
  public var reportDescriptor: Int32?
}

/// Things done to one running cluster's member.
public enum MemberAction: String, Sendable, CaseIterable {
  case stop, start, kill, restart, pause, resume

  /// One line for the list of commands.
  var summary: String {
    switch self {
    case .stop: "Ends one member"
    case .start: "Starts one member and waits until it is healthy"
    case .kill: "Ends one member as a crash would"
    case .restart: "Ends one member and starts it again"
    case .pause: "Freezes one member: alive for the system, dead for the others"
    case .resume: "Lets a frozen member go on"
    }
  }
}
