import Foundation
import TestSupport
import Testing

/// Gateways and v2 proxies that find members by the DNS, beside Go's.
@Suite(.enabled(if: DNSNetwork.canRun)) struct ProxyDiscoveryTests {
  private static let servers = [Binaries.ours, Binaries.go35].compactMap { $0 }

  private static func text(_ network: DNSNetwork, _ file: String) -> String {
    (try? String(contentsOfFile: "\(network.scratch.path)/\(file)", encoding: .utf8)) ?? ""
  }

  /// Texts and fields, without times, places in the sources, and the dot that Go leaves behind names.
  private static func lines(_ log: String) -> [String] {
    log.split(separator: "\n").map(String.init).filter { !$0.contains("Running: ") }.map { line in
      line.replacing(#/"ts":[^,]+,/#, with: "").replacing(#/"caller":"[^"]+",/#, with: "")
        .replacing(".test.:", with: ".test:")
    }
  }

  private static func member(_ more: String, _ scheme: String = "http") -> String {
    """
    '\(Binaries.ours)' --name etcd1 --data-dir d1 --enable-v2 \\
      --listen-client-urls \(scheme)://127.0.0.1:20179 \\
      --advertise-client-urls \(scheme)://etcd1.example.test:20179 \\
      --listen-peer-urls http://127.0.0.1:20180 \\
      --initial-advertise-peer-urls http://etcd1.example.test:20180 \\
      --initial-cluster etcd1=http://etcd1.example.test:20180 \(more) >log1 2>&1 &

    """
  }

  /// Guide 001, section 5.4, with `--insecure-discovery` for records without TLS.
  @Test func aGatewayFindsMembers() throws {
    var logs: [[String]] = []
    for program in Self.servers {
      let network = DNSNetwork([
        DNSNetwork.service("etcd-client", "etcd1.example.test", 20_179)
      ])
      let done = network.run(
        Self.member("") + """
          until curl -sf http://127.0.0.1:20179/health >health; do read -rt 0.05 <> <(:) || :; done
          etcd gateway start --discovery-srv=example.test --insecure-discovery >gateway 2>&1 &
          etcdctl --endpoints 127.0.0.1:23790 --command-timeout=30s put k v
          """, etcd: program)
      #expect(done.output == "OK\n", "\(done)")
      logs.append(Self.lines(Self.text(network, "gateway")))
    }
    #expect(logs[0].contains { $0.contains(#""endpoints":["etcd1.example.test:20179"]"#) })
    #expect(Set(logs).count == 1, "\(logs)")
  }

  /// Guide 001, section 5.4, as it stands: records without TLS are not believed, and `--endpoints` count.
  @Test func recordsWithoutTLSAreNotBelieved() throws {
    let network = DNSNetwork([
      DNSNetwork.service("etcd-client", "etcd1.example.test", 20_179)
    ])
    let done = network.run(
      """
      etcd gateway start --discovery-srv=example.test >gateway 2>&1 &
      until grep -q ready gateway; do read -rt 0.05 <> <(:) || :; done
      """)
    #expect(done.status == 0)
    let log = Self.text(network, "gateway")
    #expect(log.contains(#""msg":"failed to validate discovered endpoints""#))
    #expect(log.contains(#""error":"\"http://etcd1.example.test:20179\" is insecure""#))
    #expect(log.contains(#""endpoints":["127.0.0.1:2379"]"#))
  }

  @Test func anUnknownDomainIsRefused() throws {
    let network = DNSNetwork([])
    let found = Self.servers.map { program in
      network.run(
        "etcd gateway start --discovery-srv nothing.test --discovery-srv-name x 2>&1 | tail -n 1; "
          + "echo ${PIPESTATUS[0]}", etcd: program
      ).output.replacing(".:", with: ":").replacing(" on 127.0.0.1:53", with: "")
    }
    #expect(
      found[0] == """
        dns lookup errors: lookup _etcd-client-ssl-x._tcp.nothing.test: no such host and lookup \
        _etcd-client-x._tcp.nothing.test: no such host
        1

        """)
    #expect(Set(found).count == 1, "\(found)")
  }

  /// Only servers with a certificate of the domain are used.
  @Test func certificatesAreThoseOfTheDomain() throws {
    let authority = try TestAuthority()
    let right = try authority.issue(
      "server", commonName: "example.test", names: "DNS:example.test,DNS:etcd1.example.test")
    let wrong = try authority.issue(
      "other", commonName: "other", names: "DNS:other.test")
    for (pair, isRight) in [(right, true), (wrong, false)] {
      let network = DNSNetwork([
        DNSNetwork.service("etcd-client-ssl", "etcd1.example.test", 20_179)
      ])
      let files = "--cert-file '\(pair.certificate)' --key-file '\(pair.key)'"
      let done = network.run(
        Self.member(files, "https") + """
          until grep -q 'ready to serve' log1; do read -rt 0.05 <> <(:) || :; done
          etcd gateway start --discovery-srv=example.test \\
            --trusted-ca-file '\(authority.certificate)' >gateway 2>&1 &
          until grep -q ready gateway; do read -rt 0.05 <> <(:) || :; done
          """)
      #expect(done.status == 0)
      let log = Self.text(network, "gateway")
      #expect(log.contains("using validated discovered SRV endpoints") == isRight, "\(log)")
      #expect(log.contains("failed to validate discovered endpoints") == !isRight, "\(log)")
      #expect(log.contains("not example.test") == !isRight, "\(log)")
    }
  }

  /// The same before `etcd grpc-proxy`: without one that is right it goes by `--endpoints`, where nobody is. Go's, of 3.5.1,
  /// ends with `nil pointer dereference` when it is given `--discovery-srv`.
  @Test func aGRPCProxyBelievesNoOthers() throws {
    let authority = try TestAuthority()
    let right = try authority.issue(
      "server", commonName: "example.test", names: "DNS:example.test,DNS:etcd1.example.test")
    let wrong = try authority.issue(
      "other", commonName: "etcd1", names: "DNS:etcd1.example.test")
    for (pair, isRight) in [(right, true), (wrong, false)] {
      let network = DNSNetwork([
        DNSNetwork.service("etcd-client-ssl", "etcd1.example.test", 20_179)
      ])
      let files = "--cert-file '\(pair.certificate)' --key-file '\(pair.key)'"
      let done = network.run(
        Self.member(files, "https") + """
          until grep -q 'ready to serve' log1; do read -rt 0.05 <> <(:) || :; done
          etcd grpc-proxy start --discovery-srv=example.test --cacert '\(authority.certificate)' \\
            --listen-addr 127.0.0.1:23790 >proxy 2>&1 &
          until grep -q 'started gRPC proxy' proxy; do read -rt 0.05 <> <(:) || :; done
          etcdctl --endpoints 127.0.0.1:23790 --command-timeout=\(isRight ? 30 : 2)s put k v; echo $?
          """)
      #expect(done.output == (isRight ? "OK\n0\n" : "1\n"), "\(done)")
      let log = Self.text(network, "proxy")
      #expect(log.contains("using validated discovered SRV endpoints") == isRight, "\(log)")
      #expect(log.contains("not example.test") == !isRight, "\(log)")
    }
  }

  @Test func aV2ProxyFindsMembers() throws {
    for program in Self.servers {
      let network = DNSNetwork([
        DNSNetwork.service("etcd-server", "etcd1.example.test", 20_180)
      ])
      let done = network.run(
        Self.member("") + """
          until grep -q 'ready to serve' log1; do read -rt 0.05 <> <(:) || :; done
          etcd --proxy on --data-dir p --discovery-srv example.test \\
            --listen-client-urls http://127.0.0.1:8080 >proxy 2>&1 &
          until grep -q 'endpoints found' proxy && grep -q 'successfully' proxy; do
            read -rt 0.05 <> <(:) || :
          done
          curl -s -XPUT -d value=1 http://127.0.0.1:8080/v2/keys/k | grep -c '"value":"1"'
          cat p/proxy/cluster
          """, etcd: program)
      #expect(
        done.output == "1\n{\"PeerURLs\":[\"http://etcd1.example.test:20180\"]}",
        "\(program) \(done) \(Self.text(network, "proxy"))")
    }
  }
}
