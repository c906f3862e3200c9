/// One member on paper.
public struct MemberPlan: Sendable, Equatable {
  public var name: String
  public var ports: MemberPorts
  /// Absolute path of what belongs to this member alone.
  public var directory: String
  public var dataDirectory: String
  /// Whether URLs are https.
  public var isSecure = false
  /// Whether the relay stands before its peer port, and its client port.
  public var relaysPeers = true
  public var relaysClients = false
  /// Absolute path of its program; `nil` for the one of all.
  public var binary: String?
  /// Flags of this member alone; they stand behind those of all.
  public var flags: [String] = []
  /// Variables of this member alone, `NAME=value`.
  public var environment: [String] = []
  public var isLearner = false
  /// Whether `up` starts it.
  public var startsWithCluster = true
  /// What it was told about the others when it joined a cluster that was there already; `nil` for those that
  /// made it.
  public var joined: String?

  public init(name: String, ports: MemberPorts, directory: String, dataDirectory: String? = nil) {
    self.name = name
    self.ports = ports
    self.directory = directory
    self.dataDirectory = dataDirectory ?? directory + "/data"
  }

  private var scheme: String { isSecure ? "https" : "http" }
  public var clientURL: String { "\(scheme)://127.0.0.1:\(ports.client)" }
  public var peerURL: String { "\(scheme)://127.0.0.1:\(ports.peer)" }
  /// Where the member itself listens.
  var ownClientPort: Int { relaysClients ? ports.innerClient : ports.client }
  var ownPeerPort: Int { relaysPeers ? ports.innerPeer : ports.peer }
  var ownClientURL: String { "\(scheme)://127.0.0.1:\(ownClientPort)" }
  var ownPeerURL: String { "\(scheme)://127.0.0.1:\(ownPeerPort)" }
  public var logFile: String { directory + "/log" }
  public var pidFile: String { directory + "/pid" }
  /// How wrong its clock is, for programs that ask.
  var clockFile: String { directory + "/clock" }

  /// The number in its name; 0 for a name that is none of ours.
  var index: Int { Int(name.dropFirst()) ?? 0 }
}
