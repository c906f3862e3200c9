/// What `etcd grpc-proxy start` is told.
///
/// - Source: etcd `etcdmain/grpc_proxy.go`.
package struct GRPCProxyOptions: Sendable, Equatable {
  package var listenAddress = "127.0.0.1:23790"
  /// A URL; empty for none.
  package var metricsAddress = ""
  package var endpoints = ["127.0.0.1:2379"]
  /// Between questions who the members are; zero for never.
  package var autoSyncInterval = Duration.zero
  /// A domain whose DNS records name the members; empty for none.
  package var discoveryDomain = ""
  package var discoveryService = ""
  package var isInsecureDiscovery = false

  package var advertiseClientURL = "127.0.0.1:23790"
  package var resolverPrefix = ""
  /// Seconds.
  package var resolverTTL = 0

  package var namespace = ""
  package var leasingPrefix = ""
  package var isOrdered = false

  package var enablesProfiles = false
  package var isDebug = false
  package var logsCalls = false
  package var dataDirectory = "default.proxy"

  /// Bytes of messages to members and from them; those below 1 are the defaults of Go's client.
  package var sentBytesMax = 1_572_864
  package var receivedBytesMax = Int(Int32.max)
  package var dialKeepaliveTime = Duration.zero
  package var dialKeepaliveTimeout = Duration.seconds(20)
  package var permitsPingsWithoutCalls = false

  /// What is shown to members, and who may have signed what they show.
  package var certificateFile = ""
  package var keyFile = ""
  package var trustedCAFile = ""
  package var skipsVerification = false

  /// What is shown to clients, and who may have signed what they show.
  package var listenCertificateFile = ""
  package var listenKeyFile = ""
  package var listenTrustedCAFile = ""
  package var listenCRLFile = ""
  package var listenCipherSuites: [String] = []
  package var leastTLSVersion = "TLS1.2"
  package var mostTLSVersion = ""
  package var isAutomaticTLS = false
  /// Years.
  package var selfSignedValidity: UInt = 1

  package var keepaliveMinTime = Duration.seconds(5)
  package var keepaliveInterval = Duration.seconds(7_200)
  package var keepaliveTimeout = Duration.seconds(20)
  package var streamsMax = UInt32.max

  package init() {}

  /// Whether files of TLS are given for clients.
  var hasListenTLS: Bool {
    !listenTrustedCAFile.isEmpty || !listenCertificateFile.isEmpty || !listenKeyFile.isEmpty
  }

  /// Whether files of TLS are given for members.
  var hasTLS: Bool { !trustedCAFile.isEmpty || !certificateFile.isEmpty || !keyFile.isEmpty }
}
