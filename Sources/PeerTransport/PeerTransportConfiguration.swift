import EtcdAPI
import EventLoops
import HTTP

/// Who the local member is, and the limits of its connections to the others.
public struct PeerTransportConfiguration: Sendable {
  public var localID: MemberID
  public var clusterID: UInt64
  /// The local member's advertised peer URLs, sent with every request.
  public var peerURLs: [String]
  /// Version of this server, `major.minor.patch`.
  public var serverVersion: String
  /// Oldest cluster version this server works with.
  public var minClusterVersion = "3.0.0"
  /// To have a connection: etcd gives a second more than an election timeout.
  public var dialTimeout: Duration = .seconds(2)
  /// Longest silence of a stream, and longest time a stream may take nothing.
  public var readTimeout: Duration = .seconds(5)
  /// To take bytes of a stream, before it is given up.
  public var writeTimeout: Duration = .seconds(5)
  /// Least time between two attempts to open a stream.
  public var redialInterval: Duration = .milliseconds(100)
  /// Between two probes of a peer.
  public var probeInterval: Duration = .seconds(4)
  /// Between two looks at what the probes found, while it is good and while it is not.
  public var probeReportInterval: Duration = .seconds(30)
  public var probeReportErrorInterval: Duration = .seconds(5)
  /// A posted message's answer has to begin within this.
  public var pipelineTimeout: Duration = .seconds(30)
  /// Longest time a snapshot may make no progress, and longest wait for its answer to begin, with a second
  /// for each 64 MiB: the receiver answers after it has saved, synced and checked the whole file.
  public var snapshotStallTimeout: Duration = .seconds(60)
  /// Longest silence inside the answer to a snapshot.
  public var snapshotResponseTimeout: Duration = .seconds(5)
  /// Messages that may wait for a stream, and their bytes.
  public var streamQueueMessages = 4096
  public var streamQueueBytes = 64 << 20
  /// Messages that may wait to be posted, and posts at a time.
  public var pipelineQueueMessages = 64
  public var pipelineConcurrency = 4
  /// Snapshots on their way out, and on their way in.
  public var snapshotsInFlight = 16
  /// Reads the databases that are sent; `nil`: the loop does, which only memory is quick enough for.
  public var worker: WorkerThread?
  /// Most bytes of a snapshot queued on its connection.
  public var snapshotQueueBytes = 1 << 20
  /// Posted messages together, and so each of them; Go takes 512 MB each, however many at once. Those in front
  /// of databases are among them and count twice.
  public static let postedBytesMax = 300 << 20
  public var postedBytes = postedBytesMax
  /// Time that a body which holds room others want may let pass without a byte.
  public var postedGrace: Duration = .seconds(2)
  /// Largest message.
  public var messageLimit = StreamDecoder.messageLimit
  /// Members outside of the configuration that are remembered because they contacted us, and the silence after
  /// which one of them may be forgotten for another.
  public var remotesMax = 64
  public var remoteIdleTime: Duration = .seconds(10)
  public var logger = Logger.disabled
  public var metrics = MetricsRegistry()
  /// Opens connections: plain, or with TLS for secure URLs.
  public let dial: HTTPClient.Dial

  public init(
    localID: MemberID, clusterID: UInt64, peerURLs: [String], serverVersion: String,
    dial: @escaping HTTPClient.Dial
  ) {
    self.localID = localID
    self.clusterID = clusterID
    self.peerURLs = peerURLs
    self.serverVersion = serverVersion
    self.dial = dial
  }
}
