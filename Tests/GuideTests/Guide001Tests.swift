import Foundation
import TestSupport
import Testing

/// Guide 001, section 1: clusters with static addresses, over TLS and with certificates made by the members, and
/// what one does with them.
@Suite(.serialized) struct Guide001Tests {
  /// The guide's three machines on this one.
  private let shell: GuideShell
  private let ports = freePorts(6)

  init() {
    let guides = [12379, 12380, 22379, 22380, 32379, 32380]
    let ports = ports
    shell = GuideShell(zip(guides, ports).map { (":\($0)", ":\($1)") })
  }

  private static func machine(_ number: Int, name: Int, port: Int, _ more: String) -> String {
    """
    $ etcd --name machine-\(name) --initial-advertise-peer-urls http://127.0.0.1:\(port)2380 \\
      --listen-peer-urls http://127.0.0.1:\(port)2380 \\
      --listen-client-urls http://127.0.0.1:\(port)2379,http://127.0.0.1:\(port)2379 \\
      --advertise-client-urls http://127.0.0.1:\(port)2379 \\
      --initial-cluster-token etcd-cluster-1 \\
      --initial-cluster etcd0=http://127.0.0.1:12380,etcd1=http://127.0.0.1:22380,etcd2=http://127.0.0.1:32380 \\
      --initial-cluster-state new\(more)
    """
  }

  private static let plain = (0...2).map { machine($0, name: $0, port: $0 + 1, "") }
  private static let secure = (0...2).map {
    machine(
      $0, name: 0, port: $0 + 1,
      """
       \\
        --client-cert-auth --trusted-ca-file=/path/to/ca-client.crt \\
        --cert-file=/path/to/infra0-client.crt --key-file=/path/to/infra0-client.key \\
        --peer-client-cert-auth --peer-trusted-ca-file=ca-peer.crt \\
        --peer-cert-file=/path/to/infra0-peer.crt --peer-key-file=/path/to/infra0-peer.key
      """)
  }
  private static let automatic = (0...2).map {
    machine($0, name: $0, port: $0 + 1, " \\\n  --auto-tls \\\n  --peer-auto-tls")
  }

  /// §1.2, §1.3 and §1.4 as they stand: the names are not those of the initial cluster, which is refused as by Go,
  /// with a line that says what to write.
  @Test(arguments: [0, 1, 2]) func namesThatDoNotMatchAreRefused(_ section: Int) throws {
    var texts = [Self.plain, Self.secure, Self.automatic][section]
    if section == 1 { texts = try withCertificates(texts) }
    for text in texts {
      let ours = try shell.start(text)[0]
      let words = try #require(ours.lastWords())
      #expect(ours.log.contains("give one of its names to --name (etcd0, etcd1, etcd2)"))
      if let go = Binaries.go35 {
        #expect(try shell.start(text, program: go)[0].lastWords() == words)
      }
    }
  }

  /// Certificates of two authorities under the guide's names.
  private func withCertificates(_ texts: [String]) throws -> [String] {
    let folder = shell.scratch.path + "/certificates"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    for kind in ["client", "peer"] {
      let authority = try TestAuthority(kind)
      let pair = try authority.issue("infra0")
      for (from, to) in [
        (authority.certificate, "ca-\(kind).crt"), (pair.certificate, "infra0-\(kind).crt"),
        (pair.key, "infra0-\(kind).key"),
      ] where !FileManager.default.fileExists(atPath: folder + "/" + to) {
        try FileManager.default.copyItem(atPath: from, toPath: folder + "/" + to)
      }
    }
    return texts.map {
      $0.replacing("/path/to", with: folder).replacing("=ca-peer", with: "=\(folder)/ca-peer")
    }
  }

  /// The texts with the names of the initial cluster, for TLS with its scheme.
  private func corrected(_ texts: [String], scheme: String = "http") -> [String] {
    zip(0..., texts).map { number, text in
      text.replacing(#/machine-\d/#, with: "etcd\(number)")
        .replacing("http://", with: scheme + "://")
    }
  }

  private func awaitHealth(_ flags: String, scheme: String = "http") throws {
    let endpoints = [0, 2, 4].map { "\(scheme)://127.0.0.1:\(ports[$0])" }
    try shell.servers[shell.servers.count - 1].waitUntil("all are healthy") {
      shell.run("etcdctl --endpoints=\(endpoints.joined(separator: ",")) \(flags) endpoint health")
        .status == 0
    }
  }

  /// §1.2: with names that match it is a cluster.
  @Test func staticMembersServe() throws {
    for text in corrected(Self.plain) { _ = try shell.start(text) }
    try awaitHealth("")
  }

  /// §1.3: certificates without https serve in the clear, with a warning as in etcd; with https they are asked for.
  @Test func membersServeWithCertificates() throws {
    let texts = try withCertificates(Self.secure)
    for text in corrected(texts) { _ = try shell.start(text) }
    try awaitHealth("")
    for server in shell.servers {
      #expect(
        server.log.contains("scheme is HTTP while key and cert files are present")
          && server.log.contains("client-cert-auth"))
      server.end()
    }
    for folder in 0...2 {
      try FileManager.default.removeItem(atPath: shell.scratch.path + "/machine\(folder)")
    }
    for text in corrected(texts, scheme: "https") { _ = try shell.start(text) }
    let folder = shell.scratch.path + "/certificates"
    let own = "--cacert \(folder)/ca-client.crt --cert \(folder)/infra0-client.crt --key"
    try awaitHealth("\(own) \(folder)/infra0-client.key", scheme: "https")
    for (flags, word) in [
      ("--cacert \(folder)/ca-client.crt", "certificate required"),
      ("--cacert \(folder)/ca-peer.crt", "certificate"),
    ] {
      let refused = shell.run(
        "etcdctl --endpoints=https://127.0.0.1:12379 \(flags) --command-timeout=1s get foo")
      #expect(refused.status != 0 && refused.error.contains(word), "\(refused)")
    }
  }

  /// §1.4: members make their own certificates, for https.
  @Test func membersMakeTheirOwnCertificates() throws {
    for text in corrected(Self.automatic, scheme: "https") { _ = try shell.start(text) }
    try awaitHealth("--insecure-transport=false --insecure-skip-tls-verify", scheme: "https")
    for number in 0...2 {
      for kind in ["client", "peer"] {
        for file in ["cert.pem", "key.pem"] {
          let path = "machine\(number)/etcd\(number).etcd/fixtures/\(kind)/\(file)"
          #expect(FileManager.default.fileExists(atPath: shell.scratch.path + "/" + path))
        }
      }
    }
  }

  private static let macOS = (1...3).map {
    """
    TOKEN=token-01
    CLUSTER_STATE=new
    NAME_1=machine-1
    NAME_2=machine-2
    NAME_3=machine-3
    HOST_\($0)=127.0.0.1
    CLUSTER=${NAME_1}=http://${HOST_\($0)}:12380,${NAME_2}=http://${HOST_\($0)}:22380,${NAME_3}=http://${HOST_\($0)}:32380

    THIS_NAME=${NAME_\($0)}
    THIS_IP=${HOST_\($0)}
    etcd --data-dir=/var/lib/etcd\($0)/data.etcd --name ${THIS_NAME} \\
    \t--initial-advertise-peer-urls http://${THIS_IP}:\($0)2380 --listen-peer-urls http://${THIS_IP}:\($0)2380 \\
    \t--advertise-client-urls http://${THIS_IP}:\($0)2379 --listen-client-urls http://${THIS_IP}:\($0)2379 \\
    \t--initial-cluster ${CLUSTER} \\
    \t--initial-cluster-state ${CLUSTER_STATE} --initial-cluster-token ${TOKEN}
    """
  }

  private static let endpoints = """
    export ETCDCTL_API=3
    HOST_1=127.0.0.1
    HOST_2=127.0.0.1
    HOST_3=127.0.0.1
    ENDPOINTS=$HOST_1:12379,$HOST_2:22379,$HOST_3:32379

    """

  private func ctl(_ text: String) -> String { shell.output(Self.endpoints + text) }

  /// §1.6.1 to §1.6.3, with the data directories here.
  private func startCluster() throws {
    for text in Self.macOS {
      _ = try shell.start(text.replacing("/var/lib", with: shell.scratch.path))
    }
    try awaitHealth("")
  }

  /// §1.6.5 to §1.10, and §1.15.
  @Test func keysAreWrittenReadAndDeleted() throws {
    try startCluster()
    let table = ctl("etcdctl --endpoints=$ENDPOINTS member list -w table")
    for number in 1...3 { #expect(table.contains("| started | machine-\(number) |")) }
    #expect(ctl(#"etcdctl --endpoints=$ENDPOINTS put foo "Hello World!""#) == "OK\n")
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS get foo") == "foo\nHello World!\n")
    #expect(
      ctl(#"etcdctl --endpoints=$ENDPOINTS --write-out="json" get foo"#)
        .contains(#""key":"Zm9v","create_revision":2,"mod_revision":2,"version":1,"#))
    #expect(
      ctl(
        """
        etcdctl --endpoints=$ENDPOINTS put web1 value1
        etcdctl --endpoints=$ENDPOINTS put web2 value2
        etcdctl --endpoints=$ENDPOINTS put web3 value3

        etcdctl --endpoints=$ENDPOINTS get web --prefix
        """) == "OK\nOK\nOK\nweb1\nvalue1\nweb2\nvalue2\nweb3\nvalue3\n")
    #expect(
      ctl(
        """
        etcdctl --endpoints=$ENDPOINTS put key myvalue
        etcdctl --endpoints=$ENDPOINTS del key

        etcdctl --endpoints=$ENDPOINTS put k1 value1
        etcdctl --endpoints=$ENDPOINTS put k2 value2
        etcdctl --endpoints=$ENDPOINTS del k --prefix
        """) == "OK\n1\nOK\nOK\n2\n")
    #expect(
      shell.output(
        Self.endpoints + "etcdctl --endpoints=$ENDPOINTS txn --interactive",
        input: "value(\"foo\") = \"Hello World!\"\n\nput done yes\nget done\n\nget foo\n\n"
      ).hasSuffix("SUCCESS\n\nOK\n\ndone\nyes\n"))
    let status = ctl("etcdctl --write-out=table --endpoints=$ENDPOINTS endpoint status")
    #expect(status.split(separator: "\n").count == 7, "\(status)")
    #expect(status.split(separator: "\n").filter { $0.contains("|      true |") }.count == 1)
    let health = shell.run(Self.endpoints + "etcdctl --endpoints=$ENDPOINTS endpoint health")
    #expect(health.status == 0)
    for index in [0, 2, 4] {
      #expect(
        (health.output + health.error).contains(
          "127.0.0.1:\(ports[index]) is healthy: successfully committed proposal: took = "))
    }
  }

  /// §1.11: watches of a key and of a prefix see what another window writes.
  @Test func watchersSeeWhatIsWritten() throws {
    try startCluster()
    let first = try watch("stock1")
    let prefix = try watch("stock --prefix")
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS put stock1 1000") == "OK\n")
    try first.wait(for: "PUT\nstock1\n1000\n")
    #expect(
      ctl(
        """
        etcdctl --endpoints=$ENDPOINTS put stock1 10
        etcdctl --endpoints=$ENDPOINTS put stock2 20
        """) == "OK\nOK\n")
    try first.wait(for: "PUT\nstock1\n1000\nPUT\nstock1\n10\n")
    try prefix.wait(for: "PUT\nstock1\n1000\nPUT\nstock1\n10\nPUT\nstock2\n20\n")
  }

  private var list: String { [0, 2, 4].map { "127.0.0.1:\(ports[$0])" }.joined(separator: ",") }

  /// A watch that the server has: it sees what is put behind its start.
  private func watch(_ words: String) throws -> Running {
    let running = try background("watch --rev=1 " + words)
    return running
  }

  private func background(_ words: String) throws -> Running {
    try Running(
      Binaries.ourCtl, ["--endpoints=\(list)"] + words.split(separator: " ").map(String.init), [:])
  }

  /// §1.12: keys of a lease.
  @Test func leasesAreGrantedKeptAndRevoked() throws {
    try startCluster()
    let granted = ctl("etcdctl --endpoints=$ENDPOINTS lease grant 300")
    let id = try #require(
      granted.wholeMatch(of: #/lease ([0-9a-f]{16}) granted with TTL\(300s\)\n/#)
    ).output.1
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS put sample value --lease=\(id)") == "OK\n")
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS get sample") == "sample\nvalue\n")
    let kept = try background("lease keep-alive \(id)")
    try kept.wait(for: "lease \(id) keepalived with TTL(300)\n")
    #expect(kept.end(SIGINT).status != 0)
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS lease revoke \(id)") == "lease \(id) revoked\n")
    #expect(ctl("etcdctl --endpoints=$ENDPOINTS get sample") == "")
  }

  /// §1.13 and §1.14: the second of two waits for the first.
  @Test func locksAndElectionsHaveOneHolder() throws {
    try startCluster()
    for (words, second, value) in [
      ("lock mutex1", "lock mutex1", "mutex1/"), ("elect one p1", "elect one p2", "one/"),
    ] {
      let holder = try background(words)
      try holder.wait(for: value)
      let waiting = try background(second)
      let key = value == "one/" ? "one" : "mutex1"
      try shell.servers[0].waitUntil("both are in the line") {
        ctl("etcdctl --endpoints=$ENDPOINTS get \(key) --prefix --count-only -w fields")
          .contains(#""Count" : 2"#)
      }
      #expect(waiting.output.isEmpty)
      _ = holder.end(SIGINT)
      try waiting.wait(for: value)
      _ = waiting.end(SIGINT)
    }
  }

  /// §1.16 and §4.1, §4.2: a snapshot of one member, restored into three directories that start as a new cluster.
  @Test func aSnapshotIsRestored() throws {
    try startCluster()
    _ = ctl(#"etcdctl --endpoints=$ENDPOINTS put foo "Hello World!""#)
    let saved = shell.run(
      """
      HOST_1=127.0.0.1
      ENDPOINTS=$HOST_1:12379
      etcdctl --endpoints=$ENDPOINTS snapshot save my.db
      ENDPOINT=$ENDPOINTS
      ETCDCTL_API=3 etcdctl --endpoints $ENDPOINT snapshot save snapshot.db
      """)
    #expect(saved.output == "Snapshot saved at my.db\nSnapshot saved at snapshot.db\n")
    for server in shell.servers { server.end() }
    let other = GuideShell(
      zip(["http://host1:23", "http://host2:23", "http://host3:23"], 0...).flatMap {
        (host, index) in
        [
          (host + "79", "http://127.0.0.1:\(ports[2 * index])"),
          (host + "80", "http://127.0.0.1:\(ports[2 * index + 1])"),
        ]
      } + [("snapshot.db", shell.scratch.path + "/snapshot.db")])
    for number in 1...3 {
      let done = other.run(
        """
        $ etcdutl snapshot restore snapshot.db \\
          --name m\(number) \\
          --initial-cluster m1=http://host1:2380,m2=http://host2:2380,m3=http://host3:2380 \\
          --initial-cluster-token etcd-cluster-1 \\
          --initial-advertise-peer-urls http://host\(number):2380
        """)
      #expect(done.status == 0, "\(done)")
    }
    let members = (1...3).map {
      """
      $ etcd \\
        --name m\($0) \\
        --listen-client-urls http://host\($0):2379 \\
        --advertise-client-urls http://host\($0):2379 \\
        --listen-peer-urls http://host\($0):2380 &

      """
    }
    // Started one behind the other, so that the words of each have their file.
    for member in members { _ = try other.start(member.replacing(" &", with: ""), isShared: true) }
    try other.servers[2].waitUntil("the cluster answers") {
      shell.run(Self.endpoints + "etcdctl --endpoints=$ENDPOINTS get foo").output
        == "foo\nHello World!\n"
    }
    withExtendedLifetime(other) {}
  }
}
