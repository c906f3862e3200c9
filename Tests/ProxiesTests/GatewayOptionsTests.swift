import CommandLineTool
import GoText
import Synchronization
import Testing

@testable import Proxies

/// What the command line of `etcd gateway start` becomes.
@Suite struct GatewayOptionsTests {
  /// The options that a start gets, the exit code and what was printed.
  private func run(
    _ words: String...
  ) -> (options: GatewayOptions?, code: Int32, output: String, error: String) {
    let found = Mutex<GatewayOptions?>(nil)
    let output = Mutex("")
    let error = Mutex("")
    let tool = GatewayCommand.tool { options, _ in
      found.withLock { $0 = options }
      return 0
    }
    let code = tool.run(
      ["gateway"] + words,
      console: Console(
        print: { text in output.withLock { $0 += text } },
        printError: { text in error.withLock { $0 += text } }))
    return (
      found.withLock { $0 }, code, output.withLock { $0 }, error.withLock { $0 }
    )
  }

  @Test func flagsAreRead() {
    #expect(run("start").options == GatewayOptions())
    let (options, code, _, _) = run(
      "start", "--endpoints=a:1,b:2", "--endpoints", "c:3", "--listen-addr", "1.2.3.4:5",
      "--discovery-srv=example.com", "--discovery-srv-name=blue", "--insecure-discovery",
      "--trusted-ca-file=ca.pem", "--retry-delay=1m30s")
    #expect(code == 0 && options?.endpoints == ["a:1", "b:2", "c:3"])
    #expect(options?.listenAddress == "1.2.3.4:5" && options?.retryDelay == .seconds(90))
    #expect(options?.discoveryDomain == "example.com" && options?.discoveryService == "blue")
    #expect(options?.isInsecureDiscovery == true && options?.trustedCAFile == "ca.pem")
    #expect(run("start", "--endpoints=").options?.endpoints == [])
  }

  @Test func whatCannotBeReadIsToldBeforeAndBehindTheUsage() {
    let (options, code, output, error) = run("start", "--retry-delay=soon")
    #expect(options == nil && code == 1 && output.isEmpty)
    let reason = #"invalid argument "soon" for "--retry-delay" flag: time: invalid duration "soon""#
    #expect(error.hasPrefix("Error: \(reason)\nUsage:\n  etcd gateway start [flags]\n"))
    #expect(error.hasSuffix("\n\n\(reason)"))
  }

  @Test(arguments: [
    ("http://127.0.0.1:2379", "127.0.0.1:2379"), ("https://[::1]:2379/x", "[::1]:2379"),
    ("127.0.0.1:2379", "127.0.0.1:2379"), ("localhost:2379", "localhost:2379"),
    ("unix:///tmp/x", "unix:///tmp/x"), ("", ""), ("https://u@h:1", "h:1"),
  ]) func schemesDoNotMatter(_ given: String, _ stripped: String) {
    #expect(GatewayOptions.stripped(given) == stripped)
  }

  @Test func endpointsAreHostsAndPorts() throws {
    #expect(
      try GatewayOptions.remotes(["http://a:1", "[::1]:65535"]) == [
        Remote(host: "a", port: 1), Remote(host: "::1", port: 65_535),
      ])
  }

  @Test(arguments: ["a", "", "::1:2379", "a:", "a:x", "a:65536", "a:-1", "[::1]", "http://a"])
  func whatIsNoAddressIsRefused(_ endpoint: String) {
    #expect {
      try GatewayOptions.remotes(["ok:1", endpoint])
    } throws: { error in
      let refusal = error as? GatewayRefusal
      let shown = GoQuote.text(GatewayOptions.stripped(endpoint))
      return refusal?.output == "error parsing endpoint \(shown)"
        && refusal?.advice?.contains("HOST:PORT") == true
    }
  }

  @Test func noServerIsTheGatewayItself() {
    func refusal(_ addresses: [String], _ own: [String], _ listen: String) -> String? {
      GatewayOptions.loopRefusal(
        Remote(host: "etcd", port: 2379), addresses, listen: HostPort(listen)!, own: own,
        given: listen)?.output
    }
    #expect(
      refusal(["10.0.0.9", "10.0.0.1"], ["10.0.0.1"], "gw:2379")
        == "SRV or endpoint (etcd:2379->10.0.0.1:2379) should not resolve to the gateway listen addr"
        + " (gw:2379)\n")
    #expect(refusal(["10.0.0.1"], ["10.0.0.1"], "gw:2380") == nil, "another port")
    #expect(refusal(["10.0.0.1"], ["10.0.0.2"], "gw:2379") == nil)
    #expect(refusal(["127.0.0.1"], ["0.0.0.0"], "0.0.0.0:2379") != nil, "all addresses are its own")
    #expect(refusal(["10.0.0.1"], ["0.0.0.0"], "0.0.0.0:2379") == nil, "perhaps another machine")
  }

  @Test func descriptorsAreForConnectionsFirst() {
    let small = GatewayCapacity(descriptors: 1_024, loops: 2)
    #expect(small == GatewayCapacity(descriptors: 1_024, loops: 2))
    #expect(small.connections == 416 && small.pipesPerLoop == 32)
    #expect(64 + 2 * small.connections + 2 * 2 * small.pipesPerLoop <= 1_024)
    let large = GatewayCapacity(descriptors: nil, loops: 8)
    #expect(large.connections > 1_000_000 && large.pipesPerLoop == 128)
    #expect(GatewayCapacity(descriptors: 20, loops: 8).connections == 1)
  }
}
