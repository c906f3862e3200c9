/// A local cluster on paper: names, ports and files of its members. Pure.
public struct ClusterPlan: Sendable, Equatable {
  /// How many members a cluster may have: etcd advises against more voters.
  public static let sizes = 1...7

  public let size: Int
  /// First port of a compact block, two ports a member; `nil` for the standard ports.
  public let basePort: Int?
  /// Absolute path of the directory that holds everything.
  public let directory: String

  public init(size: Int, basePort: Int?, directory: String) {
    precondition(Self.sizes.contains(size), "cluster of \(size) members")
    self.size = size
    self.basePort = basePort
    self.directory = directory
  }

  /// The members, `m1` first.
  public var members: [MemberPlan] {
    (1...size).map { index in
      let port = clientPort(index)
      return MemberPlan(
        name: "m\(index)", clientPort: port, peerPort: port + 1,
        directory: "\(directory)/m\(index)")
    }
  }

  /// Client port of member `index`: 12379, 22379 … 52379; then, because a port ends at 65535, a
  /// second row 12389, 22389. The peer port is the one behind it.
  private func clientPort(_ index: Int) -> Int {
    if let basePort { return basePort + 2 * (index - 1) }
    let row = (index - 1) / 5
    return ((index - 1) % 5 + 1) * 10_000 + 2379 + 10 * row
  }

  public func member(_ name: String) -> MemberPlan? { members.first { $0.name == name } }

  /// What every member is told about the others.
  public var initialCluster: String {
    members.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",")
  }

  /// Client URLs of all members, as clients take them.
  public var endpoints: String { members.map(\.clientURL).joined(separator: ",") }

  /// The line that points `etcdctl` at the cluster.
  public var exportLine: String { "export ETCDCTL_ENDPOINTS=\(endpoints)" }

  /// Arguments of a member's process, without the program.
  public func arguments(of member: MemberPlan, extra: [String]) -> [String] {
    [
      "--name", member.name, "--data-dir", member.dataDirectory,
      "--listen-client-urls", member.clientURL, "--advertise-client-urls", member.clientURL,
      "--listen-peer-urls", member.peerURL, "--initial-advertise-peer-urls", member.peerURL,
      "--initial-cluster", initialCluster, "--initial-cluster-state", "new",
      "--initial-cluster-token", "devcluster",
    ] + extra
  }

  /// The environment of a member: ours without what would change its flags.
  public static func environment(from ours: [String]) -> [String] {
    ours.filter { !$0.hasPrefix("ETCD_") || $0.hasPrefix("ETCD_UNSUPPORTED_ARCH=") }
  }
}

/// One member on paper.
public struct MemberPlan: Sendable, Equatable {
  public let name: String
  public let clientPort: Int
  public let peerPort: Int
  /// Absolute path of what belongs to this member alone.
  public let directory: String

  public var clientURL: String { "http://127.0.0.1:\(clientPort)" }
  public var peerURL: String { "http://127.0.0.1:\(peerPort)" }
  public var dataDirectory: String { directory + "/data" }
  public var logFile: String { directory + "/log" }
  public var pidFile: String { directory + "/pid" }
}
