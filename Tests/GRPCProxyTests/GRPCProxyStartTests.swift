import CommandLineTool
import EventLoops
import GoText
import Proxies
import Synchronization
import Testing

@testable import GRPCProxy

@Suite struct GRPCProxyStartTests {
  private func options(_ words: [String]) -> GRPCProxyOptions? {
    let box = Given()
    let tool = GRPCProxyCommand.tool { options, _ in
      box.set(options)
      return 0
    }
    _ = tool.run(
      ["grpc-proxy", "start"] + words, console: Console(print: { _ in }, printError: { _ in }))
    return box.value
  }

  /// Carries the options out of the command.
  private final class Given: Sendable {
    private let state = Mutex<GRPCProxyOptions?>(nil)
    func set(_ options: GRPCProxyOptions) { state.withLock { $0 = options } }
    var value: GRPCProxyOptions? { state.withLock { $0 } }
  }

  @Test func everyFlagIsRead() {
    #expect(options([]) == GRPCProxyOptions())
    var expected = GRPCProxyOptions()
    expected.listenAddress = "l:1"
    expected.metricsAddress = "http://m:2"
    expected.endpoints = ["a:1", "b:2"]
    expected.autoSyncInterval = .seconds(3)
    expected.discoveryDomain = "d"
    expected.discoveryService = "s"
    expected.isInsecureDiscovery = true
    expected.advertiseClientURL = "u"
    expected.resolverPrefix = "p"
    expected.resolverTTL = 4
    expected.namespace = "n"
    expected.leasingPrefix = "lp"
    expected.isOrdered = true
    expected.enablesProfiles = true
    expected.isDebug = true
    expected.logsCalls = true
    expected.dataDirectory = "dir"
    expected.sentBytesMax = 5
    expected.receivedBytesMax = 6
    expected.dialKeepaliveTime = .seconds(7)
    expected.dialKeepaliveTimeout = .seconds(8)
    expected.permitsPingsWithoutCalls = true
    expected.certificateFile = "c"
    expected.keyFile = "k"
    expected.trustedCAFile = "ca"
    expected.skipsVerification = true
    expected.listenCertificateFile = "lc"
    expected.listenKeyFile = "lk"
    expected.listenTrustedCAFile = "lca"
    expected.listenCRLFile = "crl"
    expected.listenCipherSuites = ["x", "y"]
    expected.leastTLSVersion = "TLS1.3"
    expected.mostTLSVersion = "TLS1.3"
    expected.isAutomaticTLS = true
    expected.selfSignedValidity = 9
    expected.keepaliveMinTime = .seconds(10)
    expected.keepaliveInterval = .seconds(11)
    expected.keepaliveTimeout = .seconds(12)
    expected.streamsMax = 13
    let words = [
      "--listen-addr=l:1", "--metrics-addr=http://m:2", "--endpoints=a:1,b:2",
      "--endpoints-auto-sync-interval=3s", "--discovery-srv=d", "--discovery-srv-name=s",
      "--insecure-discovery", "--advertise-client-url=u", "--resolver-prefix=p",
      "--resolver-ttl=4", "--namespace=n", "--experimental-leasing-prefix=lp",
      "--experimental-serializable-ordering", "--enable-pprof", "--debug",
      "--experimental-enable-grpc-logging", "--data-dir=dir", "--max-send-bytes=5",
      "--max-recv-bytes=6", "--dial-keepalive-time=7s", "--dial-keepalive-timeout=8s",
      "--permit-without-stream", "--cert=c", "--key=k", "--cacert=ca",
      "--insecure-skip-tls-verify", "--cert-file=lc", "--key-file=lk", "--trusted-ca-file=lca",
      "--client-crl-file=crl", "--listen-cipher-suites=x,y", "--tls-min-version=TLS1.3",
      "--tls-max-version=TLS1.3", "--auto-tls", "--self-signed-cert-validity=9",
      "--grpc-keepalive-min-time=10s", "--grpc-keepalive-interval=11s",
      "--grpc-keepalive-timeout=12s", "--max-concurrent-streams=13",
    ]
    #expect(options(words) == expected)
    // None is left out here.
    let names = GRPCProxyCommand.flagNames
    #expect(Set(words.map { String($0.dropFirst(2).prefix { $0 != "=" }) }) == Set(names))
  }

  /// `--discovery-srv`: the members are those that the DNS names; what it says is wrong is told.
  @Test func membersComeFromTheDNS() async throws {
    var options = GRPCProxyOptions()
    options.discoveryDomain = "example.com"
    options.isInsecureDiscovery = true
    options.listenAddress = "127.0.0.1:0"
    let found = try GRPCProxyStart(options, logger: .disabled) { domain, _ in
      [
        DiscoveredServer(
          url: "http://127.0.0.1:1", remote: Remote(host: "127.0.0.1", port: 1))
      ]
    }.run()
    #expect(found.endpoints == ["http://127.0.0.1:1"])
    await found.stop()
    #expect(throws: GRPCProxyRefusal("no such host")) {
      _ = try GRPCProxyStart(options, logger: .disabled) {
        (_, _) throws(DiscoveryFailure) in throw DiscoveryFailure("no such host")
      }.run()
    }
  }
}
