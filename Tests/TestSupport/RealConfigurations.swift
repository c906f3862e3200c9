/// How tools in use start etcd, without their certificates.
public struct RealConfiguration: Sendable, CustomStringConvertible {
  public let name: String
  private let flags: [String]
  private let variables: [String: String]

  public var description: String { name }

  /// The command line of a member that is alone, on these ports of 127.0.0.1.
  public func arguments(
    client: Int, peer: Int, metrics: Int, directory: String
  ) -> [String] {
    flags.map { filled($0, client, peer, metrics, directory) }
  }

  /// Its environment.
  public func environment(
    client: Int, peer: Int, metrics: Int, directory: String
  ) -> [String: String] {
    variables.mapValues { filled($0, client, peer, metrics, directory) }
  }

  private func filled(
    _ text: String, _ client: Int, _ peer: Int, _ metrics: Int, _ directory: String
  ) -> String {
    let values = [
      "CLIENT": "http://127.0.0.1:\(client)", "PEER": "http://127.0.0.1:\(peer)",
      "METRICS": "http://127.0.0.1:\(metrics)", "DATA": directory,
    ]
    return values.reduce(text) {
      $0.split(separator: $1.key, omittingEmptySubsequences: false)
        .joined(separator: $1.value)
    }
  }

  public static let all = [kubeadm, kubespray, openShift, procfile, compose]

  /// The static pod of kubeadm for etcd 3.5.
  private static let kubeadm = RealConfiguration(
    name: "kubeadm",
    flags: [
      "--advertise-client-urls=CLIENT", "--data-dir=DATA",
      "--experimental-initial-corrupt-check=true",
      "--experimental-watch-progress-notify-interval=5s", "--initial-advertise-peer-urls=PEER",
      "--initial-cluster=master=PEER", "--listen-client-urls=CLIENT",
      "--listen-metrics-urls=METRICS", "--listen-peer-urls=PEER", "--name=master",
      "--snapshot-count=10000",
    ], variables: [:])

  /// kubespray's etcd.env.
  private static let kubespray = RealConfiguration(
    name: "kubespray", flags: [],
    variables: [
      "ETCD_DATA_DIR": "DATA", "ETCD_ADVERTISE_CLIENT_URLS": "CLIENT",
      "ETCD_INITIAL_ADVERTISE_PEER_URLS": "PEER", "ETCD_INITIAL_CLUSTER_STATE": "new",
      "ETCD_METRICS": "basic", "ETCD_LISTEN_CLIENT_URLS": "CLIENT",
      "ETCD_ELECTION_TIMEOUT": "5000", "ETCD_HEARTBEAT_INTERVAL": "250",
      "ETCD_INITIAL_CLUSTER_TOKEN": "k8s_etcd", "ETCD_LISTEN_PEER_URLS": "PEER",
      "ETCD_NAME": "etcd1", "ETCD_PROXY": "off", "ETCD_INITIAL_CLUSTER": "etcd1=PEER",
      "ETCD_AUTO_COMPACTION_RETENTION": "8", "ETCD_SNAPSHOT_COUNT": "100000",
      "ETCD_ENABLE_V2": "false", "ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK": "True",
      "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL": "5s",
      "ETCDCTL_ENDPOINTS": "CLIENT",
    ])

  /// The pod of OpenShift's etcd operator.
  private static let openShift = RealConfiguration(
    name: "OpenShift",
    flags: [
      "--logger=zap", "--log-level=info", "--experimental-initial-corrupt-check=true",
      "--snapshot-count=10000", "--initial-advertise-peer-urls=PEER", "--listen-client-urls=CLIENT",
      "--listen-peer-urls=PEER", "--listen-metrics-urls=METRICS",
      "--advertise-client-urls=CLIENT",
    ],
    variables: [
      "ETCD_DATA_DIR": "DATA", "ETCD_NAME": "node-0", "ETCD_INITIAL_CLUSTER": "node-0=PEER",
      "ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_ELECTION_TIMEOUT": "1000",
      "ETCD_HEARTBEAT_INTERVAL": "100", "ETCD_QUOTA_BACKEND_BYTES": "8589934592",
      "ETCD_ENABLE_PPROF": "true", "ETCD_SOCKET_REUSE_ADDRESS": "true",
      "ETCD_EXPERIMENTAL_WARNING_APPLY_DURATION": "200ms",
      "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL": "5s",
      "ETCD_EXPERIMENTAL_MAX_LEARNERS": "1", "ETCD_STATIC_POD_VERSION": "7",
      "ALL_ETCD_ENDPOINTS": "CLIENT",
    ])

  /// etcd's own Procfile.
  private static let procfile = RealConfiguration(
    name: "Procfile",
    flags: [
      "--name", "infra1", "--data-dir", "DATA", "--listen-client-urls", "CLIENT",
      "--advertise-client-urls", "CLIENT", "--listen-peer-urls", "PEER",
      "--initial-advertise-peer-urls", "PEER", "--initial-cluster-token", "etcd-cluster-1",
      "--initial-cluster", "infra1=PEER", "--initial-cluster-state", "new", "--enable-pprof",
      "--logger=zap", "--log-outputs=stderr",
    ], variables: [:])

  /// A compose file that sets what others only have by default.
  private static let compose = RealConfiguration(
    name: "compose",
    flags: [
      "--data-dir=DATA", "--listen-client-urls=CLIENT",
      "--advertise-client-urls=CLIENT", "--listen-peer-urls=PEER",
      "--initial-advertise-peer-urls=PEER", "--initial-cluster=default=PEER",
      "--auto-compaction-mode=revision", "--auto-compaction-retention=1000",
      "--quota-backend-bytes=4294967296", "--snapshot-count=50000",
      "--experimental-compaction-batch-limit=1000", "--log-level=INFO", "--v2-deprecation=not-yet",
      "--backend-bbolt-freelist-type=map", "--proxy-failure-wait=10",
    ], variables: [:])
}
