import Foundation
import TestSupport
import Testing

/// Members and clients that find each other by the DNS, beside Go's.
@Suite(.enabled(if: DNSNetwork.canRun)) struct ServiceDiscoveryTests {
  /// Members 1 to 3 of a cluster that the DNS names.
  private static func members(_ scheme: String, _ flags: String) -> String {
    """
    for n in 1 2 3; do
      etcd --name etcd$n --data-dir d$n --discovery-srv example.test \\
        --initial-advertise-peer-urls \(scheme)://etcd$n.example.test:20${n}80 \\
        --listen-peer-urls \(scheme)://127.0.0.1:20${n}80 \\
        --advertise-client-urls \(scheme)://etcd$n.example.test:20${n}79 \\
        --listen-client-urls \(scheme)://127.0.0.1:20${n}79 \(flags) >log$n 2>&1 &
    done

    """
  }

  private static func records(_ label: String, _ ending: Int) -> [String] {
    (1...3).map {
      DNSNetwork.service(label, "etcd\($0).example.test", 20_000 + $0 * 100 + ending)
    }
  }

  private static func log(_ network: DNSNetwork, _ number: Int) -> String {
    (try? String(contentsOfFile: network.scratch.path + "/log\(number)", encoding: .utf8)) ?? ""
  }

  @Test(arguments: [true, false]) func membersAndClients(_ isOurs: Bool) throws {
    let network = DNSNetwork(
      Self.records("etcd-server", 80) + Self.records("etcd-client", 79)
        + [DNSNetwork.service("etcd-client-only", "etcd2.example.test", 22_79, 1)])
    let etcd = isOurs ? Binaries.ours : try #require(Binaries.go35)
    let text =
      Self.members("http", "") + """
        etcdctl -d example.test --command-timeout=30s put k v || cat log1
        etcdctl --discovery-srv example.test. member list -w fields | grep -c '"Name" : "etcd'
        etcdctl -d nothing.test get k
        echo $?
        etcdctl -d example.test --discovery-srv-name other get k
        echo $?
        etcdctl -d example.test --insecure-discovery=false --endpoints 127.0.0.1:22379 \\
          --insecure-skip-tls-verify --command-timeout=1s get k 2>&1 | grep ignoring | sed 's/test\\./test/' | sort
        """
    let done = network.run(text, etcd: etcd)
    #expect(
      done.output == """
        OK
        3
        1
        1
        ignoring discovered insecure endpoint "http://etcd1.example.test:20179"
        ignoring discovered insecure endpoint "http://etcd2.example.test:20279"
        ignoring discovered insecure endpoint "http://etcd3.example.test:20379"

        """, "\(done)")
    #expect(
      done.error
        == ["nothing.test", "other"].map { word in
          let (domain, suffix) = word == "other" ? ("example.test", "-other") : (word, "")
          let questions = ["-ssl", ""].map {
            "lookup _etcd-client\($0)\(suffix)._tcp.\(domain) on 127.0.0.1:53: no such host"
          }
          return "Error: dns lookup errors: \(questions.joined(separator: " and "))\n"
        }.joined())
    #expect(
      Self.log(network, 2).contains(
        #""msg":"got bootstrap from DNS for etcd-server","node":"etcd2=http://etcd2.example.test:20280""#
      ))
  }

  /// What ends a start, in the words of both.
  @Test func refusedStarts() throws {
    let network = DNSNetwork(
      [
        DNSNetwork.service("etcd-server", "etcd1.example.test", 20_180),
        DNSNetwork.service("etcd-server-secure-ssl", "etcd1.example.test", 1),
        DNSNetwork.service("etcd-server-ssl-odd", "etcd1.example.test", 20_180),
        DNSNetwork.service("etcd-server-gone", "etcd9.example.test", 20_180),
      ])
    let base =
      "etcd --name etcd1 --data-dir d --listen-client-urls http://127.0.0.1:2379"
      + " --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:20180"
    let own = " --initial-advertise-peer-urls http://etcd1.example.test:20180"
    let cases = [
      own + " --discovery-srv nothing.test",
      own + " --discovery-srv example.test --discovery-srv-name odd",
      own + " --discovery-srv example.test --discovery-srv-name gone",
      own + " --discovery-srv example.test --initial-cluster etcd1=http://etcd1.example.test:20180",
      own + " --discovery-srv-name odd",
      " --initial-advertise-peer-urls http://etcd1.example.test:20181 --discovery-srv example.test",
      " --initial-advertise-peer-urls http://etcd8.example.test:20180 --discovery-srv example.test",
    ]
    for flags in cases {
      let found = [try #require(Binaries.go35), Binaries.ours].map { etcd in
        let done = network.run("\(base)\(flags) 2>&1; echo status $?", etcd: etcd)
        return Self.lastError(done.output)
      }
      #expect(found[0] == found[1] && found[1].hasSuffix("status 1"), "\(flags): \(found)")
    }
  }

  /// The text that a start ended for, without what Go's resolver says about its sockets, and its status.
  private static func lastError(_ output: String) -> String {
    let lines = output.split(separator: "\n")
    let errors = lines.compactMap { line -> String? in
      let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return object?["error"] as? String
    }
    let text = (errors.last ?? "nothing")
      .replacing(" on 127.0.0.1:53", with: "").replacing(".:", with: ":")
    return "\(text); \(lines.last ?? "")"
  }

  /// Certificates must be those of the domain: without a CA of their own for members, with `-d` for clients.
  @Test func namesAreThoseOfTheDomain() throws {
    let authority = try TestAuthority()
    let pair = try authority.issue(
      "server", commonName: "example.test", names: "DNS:example.test,IP:127.0.0.1")
    let other = try authority.issue(
      "other", commonName: "etcd1", names: "DNS:etcd1.example.test,DNS:*.example.test")
    let network = DNSNetwork(
      Self.records("etcd-server-ssl", 80) + Self.records("etcd-client-ssl", 79))
    let ctl = "etcdctl -d example.test --cacert '\(authority.certificate)' --command-timeout=30s"
    func run(_ pair: TestAuthority.Pair, _ peerCA: String, _ text: String) throws -> Finished {
      for name in ["d1", "d2", "d3"] {
        try? FileManager.default.removeItem(atPath: network.scratch.path + "/" + name)
      }
      let files = "'\(pair.certificate)'"
      let flags =
        "--cert-file \(files) --key-file '\(pair.key)' --peer-cert-file \(files)"
        + " --peer-key-file '\(pair.key)' \(peerCA)"
      return network.run(
        Self.members("https", flags) + text, variables: ["SSL_CERT_FILE": authority.certificate])
    }
    let right = try run(
      pair, "", "\(ctl) --insecure-discovery=false put k v; \(ctl) --command-timeout=1s get k")
    #expect(right.output == "OK\n", "\(right)")
    // Without it the names are those of the endpoints.
    #expect(right.error.contains("etcd1.example.test"), "\(right)")
    let wrong = try run(
      other, "--peer-trusted-ca-file '\(authority.certificate)'",
      "\(ctl) put k v; \(ctl) --insecure-discovery=false --command-timeout=1s get k; echo $?")
    #expect(wrong.output == "OK\n1\n", "\(wrong)")
    #expect(wrong.error.contains("not example.test"), "\(wrong)")
  }
}
