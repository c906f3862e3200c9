import Foundation
import TestSupport
import Testing

/// Who is not let in over TLS, in which words, and what does not start.
@Suite(.serialized) struct TLSRefusalTests {
  /// Every kind of certificate at every port, with every protocol, beside what Go's member does.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil), arguments: [true, false])
  func whoGetsInWhere(_ isOurs: Bool) throws {
    let ctl = try #require(Binaries.ctl35)
    let binary = isOurs ? Binaries.ours : try #require(Binaries.go35)
    let authority = try TestAuthority()
    var security = try TLSClusterTests.mutual(authority)
    let revoked = try authority.issue("revoked")
    let list = try authority.revoke([revoked])
    let ports = freePorts(1)
    security.memberFlags += [
      "--client-crl-file", list, "--peer-crl-file", list, "--listen-metrics-urls",
      "https://127.0.0.1:\(ports[0])",
    ]
    let cluster = Cluster([binary], security: security)
    try cluster.start()
    let member = cluster.members[0]
    let foreign = try TestAuthority("foreign")
    let shown: [(name: String, pair: TestAuthority.Pair?)] = [
      ("good", try authority.issue("good")), ("none", nil), ("revoked", revoked),
      ("expired", try authority.issue("expired", days: -1)),
      ("foreign", try foreign.issue("foreign")),
      ("elsewhere", try authority.issue("elsewhere", names: "DNS:elsewhere.invalid")),
    ]
    let client = "127.0.0.1:\(member.clientPort)"
    let peer = "127.0.0.1:\(member.peerPort)"
    for (name, pair) in shown {
      let flags = pair.map { ["--cert", $0.certificate, "--key", $0.key] } ?? []
      let trusted = ["--cacert", authority.certificate] + flags
      func isAnswered(_ url: String) -> Bool { httpGet(url, ["--http1.1"] + trusted) != nil }
      func isServed(_ endpoint: String) -> Bool {
        run(
          ctl,
          ["--endpoints", endpoint, "--command-timeout=1s", "--dial-timeout=1s", "member", "list"]
            + trusted
        ).status == 0
      }
      // Names are compared with addresses where members meet, and for metrics.
      let isIn = name == "good"
      let isClient = isIn || name == "elsewhere"
      #expect(isAnswered("https://\(client)/version") == isClient, "\(name): client, HTTP")
      #expect(isServed(client) == isClient, "\(name): client, gRPC")
      #expect(isAnswered("https://\(peer)/raft/probing") == isIn, "\(name): peer, raft")
      #expect(isAnswered("https://\(peer)/version") == isIn, "\(name): peer, HTTP")
      // Go's member has nobody's calls at a secure peer port.
      #expect(isServed(peer) == (isIn && isOurs), "\(name): peer, gRPC")
      #expect(isAnswered("https://127.0.0.1:\(ports[0])/metrics") == isIn, "\(name): metrics")
    }
    let rejected = member.log.split(separator: "\n").filter { $0.contains("rejected connection") }
    for reason in [
      "tls: client didn't provide a certificate", "x509: certificate signed by unknown authority",
      "x509: certificate has expired or is not yet valid", " revoked\"",
      "does not match any of DNSNames",
    ] {
      #expect(rejected.contains { $0.contains(reason) }, "\(reason) is not in the log")
    }
  }

  /// Both ways to take a port for what it is not end with words that say so.
  @Test func plainAndSecurePortsAreToldApart() throws {
    let authority = try TestAuthority()
    let secure = Cluster([Binaries.ours], security: TLSClusterTests.automatic)
    try secure.start()
    let answer = httpGet("http://127.0.0.1:\(secure.members[0].clientPort)/version")
    #expect(answer == "Client sent an HTTP request to an HTTPS server.\n")
    #expect(secure.members[0].log.contains("first record does not look like a TLS handshake"))
    let plain = Cluster([Binaries.ours])
    try plain.start()
    for port in [plain.members[0].clientPort, plain.members[0].peerPort] {
      let done = run(
        Binaries.ourCtl,
        [
          "--endpoints", "https://127.0.0.1:\(port)", "--cacert", authority.certificate,
          "--command-timeout=1s", "--dial-timeout=1s", "put", "k", "v",
        ])
      #expect(done.error.contains("first record does not look like a TLS handshake"), "\(done)")
    }
    for name in ["client", "peer"] {
      #expect(plain.members[0].log.contains("rejected connection on \(name) endpoint"))
    }
    #expect(plain.members[0].log.contains("client sent a TLS handshake to a port without TLS"))
  }

  /// A client may not make the member shake hands again and again.
  @Test func renegotiationIsRefused() throws {
    let cluster = Cluster([Binaries.ours], security: TLSClusterTests.automatic)
    try cluster.start()
    let words =
      "(sleep 1; echo R; sleep 1) | openssl s_client -tls1_2 -connect 127.0.0.1:\(cluster.members[0].clientPort)"
    let done = run("/bin/bash", ["-c", words])
    #expect((done.output + done.error).contains("no renegotiation"), "\(done)")
    #expect(cluster.ctl(["put", "k", "v"]).status == 0)
  }

  /// No listener is forgotten where HTTP has a port of its own: GHSA-3wh4-j44w-pg92 in Go's.
  @Test func aRevokedClientIsOutWhereHTTPIsSplitOff() throws {
    let authority = try TestAuthority()
    let security = try TLSClusterTests.mutual(authority)
    let (good, revoked) = (try authority.issue("good"), try authority.issue("revoked"))
    let ports = freePorts(3).map { "127.0.0.1:\($0)" }
    let scratch = Scratch()
    let peer = "https://\(ports[2])"
    let member = try Running(
      Binaries.ours,
      [
        "--data-dir", scratch.path + "/d", "--listen-client-urls", "https://\(ports[0])",
        "--listen-client-http-urls", "https://\(ports[1])", "--advertise-client-urls",
        "https://\(ports[0])", "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", "default=\(peer)", "--client-crl-file",
        try authority.revoke([revoked]),
      ] + security.memberFlags, [:])
    func flags(_ pair: TestAuthority.Pair) -> [String] {
      ["--cacert", authority.certificate, "--cert", pair.certificate, "--key", pair.key]
    }
    let deadline = Date().addingTimeInterval(20)
    while httpGet("https://\(ports[1])/health", flags(good))?.contains("true") != true,
      Date() < deadline
    { usleep(50_000) }
    for (pair, isIn) in [(good, true), (revoked, false)] {
      #expect((httpGet("https://\(ports[1])/version", flags(pair)) != nil) == isIn)
      let done = run(
        Binaries.ourCtl,
        ["--endpoints", ports[0], "--command-timeout=1s", "put", "k", "v"] + flags(pair))
      #expect((done.status == 0) == isIn, "\(done)")
    }
    withExtendedLifetime(member) {}
  }

  /// What our etcdctl says of a server that it cannot talk to is what Go's says.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil), arguments: [true, false])
  func clientsFailAlike(_ isOurs: Bool) throws {
    let official = try #require(Binaries.ctl35)
    let authority = try TestAuthority()
    let other = try TestAuthority("other")
    let client = try authority.issue("user")
    let security = try TLSClusterTests.mutual(authority)
    let cluster = Cluster(
      [isOurs ? Binaries.ours : try #require(Binaries.go35)], security: security)
    try cluster.start()
    let address = "127.0.0.1:\(cluster.members[0].clientPort)"
    let known = ["--cacert", authority.certificate]
    let shown = ["--cert", client.certificate, "--key", client.key]
    for words in [
      ["--endpoints", "https://\(address)"], ["--endpoints", address] + known + shown,
      ["--endpoints", "https://\(address)", "--cacert", other.certificate] + shown,
      ["--endpoints", "https://\(address)", "--cert", client.certificate],
      ["--endpoints", address, "--cacert", authority.certificate, "--cert", client.certificate]
        + ["--key", security.memberFlags[3]],
      ["--endpoints", address, "--insecure-transport=false", "--insecure-skip-tls-verify"] + shown,
    ] {
      let said = [official, Binaries.ourCtl].map { program in
        let done = run(
          program, words + ["--command-timeout=1s", "--dial-timeout=1s", "put", "k", "v"])
        let reason = done.error.firstMatch(of: /authentication handshake failed: (.*?)\\"/)?.1
        // Behind Go's words stand hints.
        let last = done.error.split(separator: "\n").last { !$0.hasPrefix("Hint: ") } ?? ""
        // Go's came to say more since 3.5.1.
        return "\(done.status) \(done.output) \(last) \(reason ?? "")"
          .replacing("tls: failed to verify certificate: ", with: "")
      }
      #expect(said[0] == said[1], "\(words)")
    }
  }

  /// What is wrong with flags and files ends the start in Go's words.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func startsEndInTheSameWords(_ isOurs: Bool) throws {
    let binary = isOurs ? Binaries.ours : try #require(Binaries.go35)
    let authority = try TestAuthority()
    let pair = try authority.issue("server")
    let other = try authority.issue("other")
    let files = ["--cert-file", pair.certificate, "--key-file", pair.key]
    let ports = freePorts(3)
    let url = "https://127.0.0.1:\(ports[0])"
    let secure = ["--listen-client-urls", url, "--advertise-client-urls", url]
    let peers = [
      "--listen-peer-urls", "https://127.0.0.1:\(ports[1])", "--initial-advertise-peer-urls",
      "https://127.0.0.1:\(ports[1])", "--initial-cluster", "default=https://127.0.0.1:\(ports[1])",
    ]
    for (flags, words) in [
      (
        secure,
        "TLS key/cert (--cert-file, --key-file) must be provided for client url \(url) with HTTPS scheme"
      ),
      (
        peers,
        "cannot listen on TLS for 127.0.0.1:\(ports[1]): KeyFile and CertFile are not presented"
      ),
      (secure + files + ["--cipher-suites", "NO"], "unexpected TLS cipher suite \\\"NO\\\""),
      (
        ["--listen-metrics-urls", "https://127.0.0.1:\(ports[2])"],
        // 3.5.1 speaks of the listener; later ones of the flags.
        isOurs
          ? "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url"
          : "cannot listen on TLS for 127.0.0.1:\(ports[2]): KeyFile and CertFile are not presented"
      ),
      (
        peers + ["--peer-cert-file", pair.certificate, "--peer-key-file", "/nowhere"],
        "open /nowhere: no such file or directory"
      ),
      (
        peers + ["--peer-cert-file", pair.certificate, "--peer-key-file", other.key],
        "tls: private key does not match public key"
      ),
      (
        secure + ["--auto-tls", "--self-signed-cert-validity", "0"],
        "selfSignedCertValidity is invalid,it should be greater than 0"
      ),
    ] {
      let scratch = Scratch()
      let local =
        flags.contains("--listen-peer-urls")
        ? []
        : [
          "--listen-peer-urls", "http://127.0.0.1:\(ports[1])", "--initial-advertise-peer-urls",
          "http://127.0.0.1:\(ports[1])", "--initial-cluster",
          "default=http://127.0.0.1:\(ports[1])",
        ]
      let client =
        flags.contains("--listen-client-urls")
        ? []
        : [
          "--listen-client-urls", "http://127.0.0.1:\(ports[0])", "--advertise-client-urls",
          "http://127.0.0.1:\(ports[0])",
        ]
      let done = run(
        binary, ["--data-dir", scratch.path + "/d"] + flags + local + client, timeout: 20)
      #expect(done.status == 1, "\(flags): \(done.error.suffix(500))")
      #expect(done.error.contains(words), "\(flags): \(done.error.suffix(700))")
    }
  }
}
