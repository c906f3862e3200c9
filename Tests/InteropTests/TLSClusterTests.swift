import EtcdClient
import Foundation
import TestSupport
import Testing

/// Clusters over TLS, beside Go etcd and with its tools.
@Suite(.serialized) struct TLSClusterTests {
  /// Certificates of its own on every port, demanded of everybody.
  static func mutual(_ authority: TestAuthority) throws -> ClusterSecurity {
    let server = try authority.issue("server")
    let client = try authority.issue("client", commonName: "root")
    let ca = authority.certificate
    return ClusterSecurity(
      clientScheme: "https", peerScheme: "https",
      memberFlags: [
        "--cert-file", server.certificate, "--key-file", server.key, "--trusted-ca-file", ca,
        "--client-cert-auth", "--peer-cert-file", server.certificate, "--peer-key-file", server.key,
        "--peer-trusted-ca-file", ca, "--peer-client-cert-auth",
      ], curl: ["--cacert", ca, "--cert", client.certificate, "--key", client.key],
      ctl: ["--cacert", ca, "--cert", client.certificate, "--key", client.key])
  }

  /// What members make for themselves.
  static let automatic = ClusterSecurity(
    clientScheme: "https", peerScheme: "https", memberFlags: ["--auto-tls", "--peer-auto-tls"],
    curl: ["-k"], ctl: ["--insecure-transport=false", "--insecure-skip-tls-verify"])

  /// Writes and linearizable reads through every member with a leader of each kind, leases through all of
  /// them, a member that joins, is promoted, and gets a snapshot, and equal histories at the end.
  @Test(
    .enabled(if: Binaries.go35 != nil),
    arguments: [([true, false, false], true), ([true, true, false], false)]
      + (Ratios.all ? [([true, false, false], false), ([true, true, false], true)] : []))
  func membersOfBothKindsTalk(_ ours: [Bool], _ isAutomatic: Bool) throws {
    let official = try #require(Binaries.go35)
    let authority = try TestAuthority()
    let security = isAutomatic ? Self.automatic : try Self.mutual(authority)
    let cluster = Cluster(
      ours.map { $0 ? Binaries.ours : official }, security: security,
      extra: ["--heartbeat-interval", "50", "--election-timeout", "500", "--snapshot-count", "20"])
    try cluster.start()
    for first in [true, false] {
      try cluster.lead(cluster.members[ours.firstIndex(of: first) ?? 0])
      for member in cluster.members {
        for key in 0..<10 {
          #expect(
            cluster.ctl(["put", "\(first)-\(member.name)-\(key)", "v"], at: member).status == 0)
        }
        let lease = cluster.ctl(["lease", "grant", "100"], at: member).output
        let id = String(lease.split(separator: " ").dropFirst().first ?? "")
        for other in cluster.members {
          let kept = cluster.ctl(["lease", "keep-alive", "--once", id], at: other)
          #expect(kept.output == "lease \(id) keepalived with TTL(100)\n", "\(kept)")
          let left = cluster.ctl(["lease", "timetolive", id], at: other)
          #expect(left.output.contains("granted with TTL(100s), remaining("), "\(left)")
        }
      }
    }
    let count = cluster.ctl(["get", "", "--prefix", "--count-only", "-w", "fields"])
    #expect(count.output.contains("\"Count\" : \(20 * ours.count)"), "\(count)")
    try join(cluster, security)
    try expectEqualHashes(cluster.members)
  }

  /// A learner of our kind, that is then promoted through a follower.
  private func join(_ cluster: Cluster, _ security: ClusterSecurity) throws {
    let ports = freePorts(2)
    let url = "https://127.0.0.1:\(ports[1])"
    let added = cluster.ctl(["member", "add", "new", "--learner", "--peer-urls", url])
    #expect(added.status == 0, "\(added)")
    let id = String(added.output.split(separator: " ").dropFirst().first ?? "")
    let text = added.output.split(separator: "\n").first {
      $0.hasPrefix("ETCD_INITIAL_CLUSTER=")
    }
    let names = text?.split(separator: "\"").dropFirst().first.map(String.init) ?? ""
    let member = Member(
      name: "new", binary: Binaries.ours, directory: cluster.scratch.path + "/new",
      clientPort: ports[0], peerPort: ports[1], cluster: names, security: security,
      extra: ["--initial-cluster-state", "existing"])
    member.start()
    let deadline = Date().addingTimeInterval(30)
    var promoted = cluster.ctl(["member", "promote", id], at: cluster.members[1])
    while promoted.status != 0, Date() < deadline {
      usleep(100_000)
      promoted = cluster.ctl(["member", "promote", id], at: cluster.members[1])
    }
    #expect(promoted.status == 0, "\(promoted) \(member.log.suffix(2000))")
    try member.waitHealthy()
    let count = cluster.ctl(
      ["get", "", "--prefix", "--count-only", "-w", "fields"], at: member)
    #expect(count.output.contains("\"Count\" : \(20 * cluster.members.count)"), "\(count)")
    try expectEqualHashes(cluster.members + [member])
  }

  /// One port for both, as Go's.
  @Test func secureAndPlainShareAPort() throws {
    let ports = freePorts(2)
    let (client, peer) = ("127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
    let scratch = Scratch()
    let member = try Running(
      Binaries.ours,
      [
        "--data-dir", scratch.path + "/d", "--auto-tls", "--listen-client-urls",
        "http://\(client),https://\(client)", "--advertise-client-urls", "http://\(client)",
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
        "default=\(peer)",
      ], [:])
    let deadline = Date().addingTimeInterval(20)
    while httpGet("http://\(client)/health")?.contains("true") != true, Date() < deadline {
      usleep(50_000)
    }
    for (scheme, flags) in [("http", []), ("https", Self.automatic.ctl)] as [(String, [String])] {
      let done = run(
        Binaries.ourCtl, ["--endpoints", "\(scheme)://\(client)", "put", "k", scheme] + flags)
      #expect(done.output == "OK\n", "\(done)")
      #expect(httpGet("\(scheme)://\(client)/version", ["-k"])?.contains("etcdserver") == true)
    }
    withExtendedLifetime(member) {}
  }

  /// The Swift client, with a certificate, without one, and with another authority.
  @Test func theSwiftClientSpeaksTLS() async throws {
    let authority = try TestAuthority()
    let cluster = Cluster([Binaries.ours], security: try Self.mutual(authority))
    try cluster.start()
    let pair = try authority.issue("swift")
    let known = EtcdClientConfiguration.TLS(
      certificateFile: pair.certificate, keyFile: pair.key,
      trustedCAFile: authority.certificate)
    func client(
      _ endpoint: String, _ tls: EtcdClientConfiguration.TLS?
    ) throws -> EtcdClient {
      try EtcdClient(
        EtcdClientConfiguration(
          endpoints: [endpoint], tls: tls, dialTimeout: .seconds(1), requestTimeout: .seconds(2)))
    }
    let endpoint = cluster.members[0].endpoint
    // A host alone has TLS when it is configured.
    for address in [endpoint, String(endpoint.dropFirst("https://".count))] {
      let etcd = try client(address, known)
      let big = Bytes(Array(repeating: UInt8(ascii: "x"), count: 1_000_000))
      try await etcd.kv.put("big", big)
      #expect(try await etcd.kv.get("big").kvs.first?.value == big)
      etcd.close()
    }
    var nameless = known
    (nameless.certificateFile, nameless.keyFile) = ("", "")
    var elsewhere = known
    elsewhere.serverName = "elsewhere"
    for (tls, reason) in [
      (nil, "x509: certificate signed by unknown authority"),
      (nameless, "tls: certificate required"),
      (elsewhere, "x509: certificate is valid for localhost, not elsewhere"),
    ] as [(EtcdClientConfiguration.TLS?, String)] {
      let etcd = try client(endpoint, tls)
      do {
        _ = try await etcd.kv.get("big")
        Issue.record("\(reason): let in")
      } catch { #expect("\(error)".contains(reason), "\(error)") }
      etcd.close()
    }
    var broken = known
    broken.keyFile = ""
    #expect(throws: EtcdClientError.self) { _ = try client(endpoint, broken) }
  }

  /// A user by his certificate, whom the gateway does not take.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aCertificateNamesItsUser() throws {
    let authority = try TestAuthority()
    let cluster = Cluster([Binaries.ours], security: try Self.mutual(authority))
    try cluster.start()
    for words in [
      ["user", "add", "root", "--no-password"], ["user", "grant-role", "root", "root"],
      ["user", "add", "reader", "--no-password"], ["role", "add", "some"],
      ["role", "grant-permission", "some", "read", "k"], ["user", "grant-role", "reader", "some"],
      ["auth", "enable"], ["put", "k", "v"],
    ] {
      let done = cluster.ctl(words)
      #expect(done.status == 0, "\(words): \(done)")
    }
    let endpoint = cluster.members[0].endpoint
    func ask(_ name: String, _ words: [String]) throws -> Finished {
      let pair = try authority.issue("user", commonName: name)
      return run(
        Binaries.ourCtl,
        [
          "--endpoints", endpoint, "--cacert", authority.certificate, "--cert", pair.certificate,
          "--key", pair.key,
        ] + words)
    }
    #expect(try ask("reader", ["get", "k"]).output == "k\nv\n")
    #expect(try ask("reader", ["put", "k", "w"]).error.contains("permission denied"))
    #expect(try ask("nobody", ["get", "k"]).status != 0)
    let body = ["-d", "{\"key\":\"aw==\"}"] + cluster.members[0].security.curl
    #expect(
      httpGet("\(endpoint)/v3/kv/range", body)
        == "CommonName of client sending a request against gateway will be ignored and not used as expected\n"
    )
  }

  /// Certificates that are replaced while the member runs, one that cannot be used among them.
  @Test func replacedFilesCountWithoutARestart() throws {
    let authority = try TestAuthority()
    let scratch = Scratch()
    func put(_ from: String, _ name: String) throws {
      try Data(contentsOf: URL(fileURLWithPath: from)).write(
        to: URL(fileURLWithPath: "\(scratch.path)/\(name)"), options: .atomic)
    }
    let first = try authority.issue("first", commonName: "first")
    try put(first.certificate, "cert.pem")
    try put(first.key, "key.pem")
    try put(authority.certificate, "ca.pem")
    var security = ClusterSecurity()
    security.clientScheme = "https"
    security.memberFlags = [
      "--cert-file", scratch.path + "/cert.pem", "--key-file", scratch.path + "/key.pem",
      "--trusted-ca-file", scratch.path + "/ca.pem",
    ]
    security.curl = ["-k", "--cert", first.certificate, "--key", first.key]
    let cluster = Cluster([Binaries.ours], security: security)
    try cluster.start()
    let member = cluster.members[0]
    func waitFor(_ what: String, _ isTrue: () -> Bool) {
      let deadline = Date().addingTimeInterval(20)
      while !isTrue(), Date() < deadline { usleep(50_000) }
      #expect(isTrue(), "\(what): \(member.log.suffix(1500))")
    }
    let metrics = try #require(httpGet("\(member.endpoint)/metrics", security.curl))
    #expect(metrics.contains("etcd_tls_certificate_expiry_seconds{use=\"client\"} "))
    #expect(metrics.contains("etcd_tls_certificate_expiry_seconds{use=\"client-ca\"} "))
    // A key alone belongs to nothing.
    let second = try authority.issue("second", commonName: "second", days: 5)
    try put(second.key, "key.pem")
    waitFor("the broken pair is told") { member.log.contains("cannot use changed TLS files") }
    #expect(httpGet("\(member.endpoint)/version", security.curl) != nil)
    try put(second.certificate, "cert.pem")
    waitFor("the new pair counts") {
      run("/usr/bin/curl", ["-vs", "\(member.endpoint)/version"] + security.curl).error
        .contains("CN=second")
    }
    #expect(member.log.contains("reloaded TLS certificate"))
    #expect(member.log.contains("TLS certificate expires soon"))
    // Another authority: who was let in is not any more.
    let other = try TestAuthority("other")
    let known = try other.issue("known")
    try put(other.certificate, "ca.pem")
    waitFor("the old authority is forgotten") {
      httpGet("\(member.endpoint)/version", security.curl) == nil
    }
    #expect(
      httpGet(
        "\(member.endpoint)/version", ["-k", "--cert", known.certificate, "--key", known.key])
        != nil)
  }

  /// What Go's member has made serves ours, and the other way round; an expired one is made anew.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil))
  func generatedCertificatesAreKept() throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([official], security: Self.automatic)
    try cluster.start()
    let member = cluster.members[0]
    func certificates() -> [String] {
      ["client/cert.pem", "client/key.pem", "peer/cert.pem", "peer/key.pem"].map {
        (try? String(contentsOfFile: "\(member.directory)/fixtures/\($0)", encoding: .utf8)) ?? ""
      }
    }
    let made = certificates()
    #expect(!made.contains(""))
    for binary in [Binaries.ours, official] {
      member.stop()
      member.start(binary: binary)
      try member.waitHealthy()
      #expect(cluster.ctl(["put", "k", binary]).status == 0)
      #expect(certificates() == made)
    }
    // A faked clock: two years on, ours makes others.
    member.stop()
    let authority = try TestAuthority()
    let expired = try authority.issue("expired", days: -1)
    for (from, to) in [(expired.certificate, "cert.pem"), (expired.key, "key.pem")] {
      try Data(contentsOf: URL(fileURLWithPath: from)).write(
        to: URL(fileURLWithPath: "\(member.directory)/fixtures/client/\(to)"))
    }
    member.start(binary: Binaries.ours)
    try member.waitHealthy()
    #expect(member.log.contains("the generated certificate has expired; making another"))
    #expect(certificates()[0] != made[0] && certificates()[2] == made[2])
  }
}
