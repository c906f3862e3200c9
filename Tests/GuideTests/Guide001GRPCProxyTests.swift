import Foundation
import TestSupport
import Testing

/// Guide 001, section 6: the gRPC proxy.
@Suite(.serialized) struct Guide001GRPCProxyTests {
  private let cluster: Cluster
  private let port: Int
  private let ports = freePorts(4)

  init() throws {
    cluster = Cluster([Binaries.go35 ?? Binaries.ours])
    try cluster.start()
    port = cluster.members[0].clientPort
  }

  /// The guide's ports are ours.
  private func shell(_ more: [(text: String, by: String)] = []) -> GuideShell {
    GuideShell(
      more + [
        (":23790", ":\(ports[0])"), (":23791", ":\(ports[1])"), (":23792", ":\(ports[2])"),
        ("localhost:2379", "localhost:\(port)"),
      ])
  }

  /// §6.5: names without ports are no endpoints; with one, commands go through.
  @Test func keysAreServed() throws {
    let start =
      "$ etcd grpc-proxy start --endpoints=infra0.example.com,infra1.example.com,infra2.example.com"
      + " --listen-addr=127.0.0.1:2379"
    let plain = GuideShell([])
    let refused = try plain.start(start)[0]
    refused.process.waitUntilExit()
    #expect(refused.process.terminationStatus == 1)
    #expect(refused.log.contains("infra0.example.com"))

    let shell = GuideShell([
      ("infra0.example.com,infra1.example.com,infra2.example.com", "127.0.0.1:\(port)"),
      ("127.0.0.1:2379", "127.0.0.1:\(ports[3])"),
    ])
    try shell.start(start)[0].waitFor("started gRPC proxy")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:2379 put foo bar") == "OK\n")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:2379 get foo") == "foo\nbar\n")
  }

  /// §6.6: proxies register, and are the members that clients see; without a prefix each shows itself.
  @Test func proxiesAreTheMembers() throws {
    let shell = shell()
    let proxies = try shell.start(
      #"""
      $ etcd grpc-proxy start --endpoints=localhost:2379 \
        --listen-addr=127.0.0.1:23790 \
        --advertise-client-url=127.0.0.1:23790 \
        --resolver-prefix="___grpc_proxy_endpoint" \
        --resolver-ttl=60

      $ etcd grpc-proxy start --endpoints=localhost:2379 \
        --listen-addr=127.0.0.1:23791 \
        --advertise-client-url=127.0.0.1:23791 \
        --resolver-prefix="___grpc_proxy_endpoint" \
        --resolver-ttl=60
      """#)
    for proxy in proxies { try proxy.waitFor("registered session with lease") }
    let list =
      "ETCDCTL_API=3 etcdctl --endpoints=http://localhost:23790 member list --write-out table"
    var table = ""
    try eventually("both are listed") {
      table = shell.output(list)
      return table.contains(":\(ports[0])") && table.contains(":\(ports[1])")
    }
    #expect(table.contains("|  0 | started |") && table.contains(" CLIENT ADDRS "))
    // Who goes is gone.
    proxies[1].end()
    try eventually("one is listed") {
      !shell.output(list).contains(":\(ports[1])")
    }

    try shell.start(
      #"""
      $ etcd grpc-proxy start --endpoints=localhost:2379 \
        --listen-addr=127.0.0.1:23792 \
        --advertise-client-url=127.0.0.1:23792
      """#)[0].waitFor("started gRPC proxy")
    let own = shell.output(
      "ETCDCTL_API=3 etcdctl --endpoints=http://localhost:23792 member list --write-out table")
    #expect(own.contains("127.0.0.1:\(ports[2])") && !own.contains("127.0.0.1:\(ports[0])"))
  }

  /// §6.6 with one of Go's beside ours: each lists both.
  @Test(.enabled(if: Binaries.go35 != nil)) func proxiesOfBothKindsKnowEachOther() throws {
    let scratch = Scratch()
    let more = ["--resolver-prefix=___grpc_proxy_endpoint", "--resolver-ttl=60"]
    let proxies = try [Binaries.ours, try #require(Binaries.go35)].map {
      try GRPCProxyProcessTests.proxy(scratch, "127.0.0.1:\(port)", more, program: $0)
    }
    for proxy in proxies {
      try eventually("\(proxy.address) lists both") {
        let list = run(Binaries.ctl35!, ["--endpoints=\(proxy.address)", "member", "list"]).output
        return proxies.allSatisfy { list.contains($0.address) }
      }
    }
  }

  /// §6.7.
  @Test func keysHaveANamespace() throws {
    let shell = shell()
    try shell.start(
      #"""
      $ etcd grpc-proxy start --endpoints=localhost:2379 \
        --listen-addr=127.0.0.1:23790 \
        --namespace=my-prefix/
      """#)[0].waitFor("started gRPC proxy")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=localhost:23790 put my-key abc") == "OK\n")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=localhost:23790 get my-key")
        == "my-key\nabc\n")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=localhost:2379 get my-prefix/my-key")
        == "my-prefix/my-key\nabc\n")
    #expect(
      shell.output("etcdctl --endpoints=localhost:23790 get --prefix ''") == "my-key\nabc\n")
    #expect(shell.output("etcdctl --endpoints=localhost:23790 del my-key") == "1\n")
  }

  /// §6.8 and §6.9: TLS ends at the proxy, or begins there; metrics have an address of their own.
  @Test func tlsEndsAtTheProxy() throws {
    let authority = try TestAuthority()
    let pair = try authority.issue("peer")
    let client = try authority.issue("client", commonName: "")
    let named = try authority.issue("named", commonName: "root")
    let shell = shell([
      ("localhost:12379", "localhost:\(ports[3])"), ("peer.crt", pair.certificate),
      ("peer.key", pair.key), ("client.crt", client.certificate), ("client.key", client.key),
      ("ca.crt", authority.certificate), (" &", ""),
    ])
    cluster.members[0].kill()
    let server = try shell.start(
      "$ etcd --listen-client-urls https://localhost:2379 --advertise-client-urls https://localhost:2379"
        + " --cert-file=peer.crt --key-file=peer.key --trusted-ca-file=ca.crt --client-cert-auth"
        + " --listen-peer-urls=http://localhost:23791 --initial-cluster=default=http://localhost:23791"
        + " --initial-advertise-peer-urls=http://localhost:23791")[0]
    try server.waitFor("ready to serve client requests")
    #expect(
      shell.run(
        "$ ETCDCTL_API=3 etcdctl --endpoints=http://localhost:2379 --command-timeout=2s endpoint status"
      ).status != 0)
    let status =
      "$ ETCDCTL_API=3 etcdctl --endpoints=https://localhost:2379 --cert=client.crt --key=client.key"
      + " --cacert=ca.crt endpoint status"
    #expect(shell.output(status).contains("https://localhost:"))
    let start =
      "$ etcd grpc-proxy start --endpoints=https://localhost:2379 --listen-addr localhost:12379"
      + " --cert client.crt --key client.key --cacert=ca.crt --insecure-skip-tls-verify &"
    try shell.start(start + " --metrics-addr http://localhost:23790")[0]
      .waitFor("started gRPC proxy")
    #expect(
      shell.output("$ ETCDCTL_API=3 etcdctl --endpoints=http://localhost:12379 put abc def")
        == "OK\n")
    let page = shell.output("curl -s http://localhost:23790/metrics")
    #expect(page.contains("etcd_server_has_leader 1"))
    #expect(
      shell.output("curl -s http://localhost:23790/proxy/metrics").contains("etcd_grpc_proxy_"))
    #expect(shell.output("curl -s http://localhost:12379/health").contains(#""health":"true""#))

    // A name would make every client the user of that name.
    let refused = try shell.start(
      start.replacing("client.crt", with: named.certificate).replacing(
        "client.key", with: named.key))[0]
    refused.process.waitUntilExit()
    #expect(refused.log.contains("cert has non empty Common Name (root): "))
    try secureSide(shell, authority, pair, client)
  }

  /// §6.9 as it stands, but for names of files: clients show certificates, and read metrics by HTTP/1.1 (§6.10).
  private func secureSide(
    _ shell: GuideShell, _ authority: TestAuthority, _ pair: TestAuthority.Pair,
    _ client: TestAuthority.Pair
  ) throws {
    let proxy = try shell.start(
      """
      $ etcd grpc-proxy start \\
        --endpoints https://localhost:2379 \\
        --metrics-addr https://127.0.0.1:23792 \\
        --listen-addr 127.0.0.1:23790 --advertise-client-url 127.0.0.1:23790 \\
        --key client.key --key-file peer.key --cert client.crt --cert-file peer.crt \\
        --cacert ca.crt --trusted-ca-file ca.crt
      """.replacing(":23790", with: ":\(freePorts(1)[0])"))[0]
    try proxy.waitFor("started gRPC proxy")
    let address = try #require(
      proxy.log.firstMatch(of: #/"started gRPC proxy","address":"([^"]+)"/#)?.output.1)
    let files = "--cacert ca.crt --key client.key --cert client.crt"
    #expect(
      shell.output("curl -s \(files) https://\(address)/metrics --http1.1")
        .contains("etcd_server_has_leader 1"))
    #expect(
      shell.output("curl -s \(files) https://127.0.0.1:23792/proxy/health")
        .contains(#""health":"true""#))
    #expect(shell.run("curl -s --cacert ca.crt https://127.0.0.1:23792/metrics").status != 0)
    #expect(
      shell.output("etcdctl --endpoints=https://\(address) \(files) get abc") == "abc\ndef\n")
  }
}
