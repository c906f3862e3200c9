import CommandLineTool
import GoText

extension GRPCProxyCommand {
  static func options(_ invocation: Invocation) -> GRPCProxyOptions {
    var options = GRPCProxyOptions()
    // The kinds of the flags have read all values before.
    func list(_ name: String) -> [String] {
      let text = invocation.string(name)
      return text.isEmpty
        ? [] : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    func time(_ name: String) -> Duration {
      .nanoseconds((try? GoDuration.parse(invocation.string(name))) ?? 0)
    }
    func number(_ name: String) -> Int {
      Int(clamping: (try? GoNumber.signed(invocation.string(name))) ?? 0)
    }
    func unsigned(_ name: String) -> UInt64 {
      (try? GoNumber.unsigned(invocation.string(name))) ?? 0
    }
    options.listenAddress = invocation.string("listen-addr")
    options.metricsAddress = invocation.string("metrics-addr")
    options.endpoints = list("endpoints")
    options.autoSyncInterval = time("endpoints-auto-sync-interval")
    options.discoveryDomain = invocation.string("discovery-srv")
    options.discoveryService = invocation.string("discovery-srv-name")
    options.isInsecureDiscovery = invocation.bool("insecure-discovery")
    options.advertiseClientURL = invocation.string("advertise-client-url")
    options.resolverPrefix = invocation.string("resolver-prefix")
    options.resolverTTL = number("resolver-ttl")
    options.namespace = invocation.string("namespace")
    options.leasingPrefix = invocation.string("experimental-leasing-prefix")
    options.isOrdered = invocation.bool("experimental-serializable-ordering")
    options.enablesProfiles = invocation.bool("enable-pprof")
    options.isDebug = invocation.bool("debug")
    options.logsCalls = invocation.bool("experimental-enable-grpc-logging")
    options.dataDirectory = invocation.string("data-dir")
    options.sentBytesMax = number("max-send-bytes")
    options.receivedBytesMax = number("max-recv-bytes")
    options.dialKeepaliveTime = time("dial-keepalive-time")
    options.dialKeepaliveTimeout = time("dial-keepalive-timeout")
    options.permitsPingsWithoutCalls = invocation.bool("permit-without-stream")
    options.keepaliveMinTime = time("grpc-keepalive-min-time")
    options.keepaliveInterval = time("grpc-keepalive-interval")
    options.keepaliveTimeout = time("grpc-keepalive-timeout")
    options.streamsMax = UInt32(clamping: unsigned("max-concurrent-streams"))
    options.certificateFile = invocation.string("cert")
    options.keyFile = invocation.string("key")
    options.trustedCAFile = invocation.string("cacert")
    options.skipsVerification = invocation.bool("insecure-skip-tls-verify")
    options.listenCertificateFile = invocation.string("cert-file")
    options.listenKeyFile = invocation.string("key-file")
    options.listenTrustedCAFile = invocation.string("trusted-ca-file")
    options.listenCRLFile = invocation.string("client-crl-file")
    options.listenCipherSuites = list("listen-cipher-suites")
    options.isAutomaticTLS = invocation.bool("auto-tls")
    options.selfSignedValidity = UInt(clamping: unsigned("self-signed-cert-validity"))
    options.leastTLSVersion = invocation.string("tls-min-version")
    options.mostTLSVersion = invocation.string("tls-max-version")
    return options
  }
}
