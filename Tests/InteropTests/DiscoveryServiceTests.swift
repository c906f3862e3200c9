import Foundation
import TestSupport
import Testing

/// Members that find each other by a discovery service: beside Go's, with etcds of both kinds and etcd's public service
/// behind it.
@Suite struct DiscoveryServiceTests {
  /// An etcd with its v2 API, and the directory of a token in it.
  private static func service(_ binary: String) throws -> (cluster: Cluster, url: String) {
    let cluster = Cluster([binary], extra: ["--enable-v2"])
    try cluster.start()
    return (cluster, "\(cluster.members[0].endpoint)/v2/keys/discovery/token")
  }

  private static func setSize(_ size: String, _ url: String) {
    let set = run(
      "/usr/bin/curl", ["-s", "-f", "-X", "PUT", "\(url)/_config/size", "-d", "value=\(size)"])
    #expect(set.status == 0, "\(set)")
  }

  /// A member that is told of a service alone.
  private final class Newcomer {
    let scratch: Scratch
    let ports: [Int]
    let process: ServerProcess
    var endpoint: String { "127.0.0.1:\(ports[0])" }

    convenience init(
      _ name: String, _ url: String, _ binary: String, _ more: [String] = []
    ) throws {
      try self.init(
        name, ["--discovery", url, "--discovery-fallback", "exit"] + more, binary: binary)
    }

    /// - Parameter discovery: how others are found.
    init(_ name: String, _ discovery: [String], binary: String = Binaries.ours) throws {
      scratch = Scratch()
      ports = freePorts(2)
      let (client, peer) = ("http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
      process = try ServerProcess(
        [
          "--name", name, "--data-dir", scratch.path + "/data",
          "--listen-client-urls", client, "--advertise-client-urls", client,
          "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        ] + discovery, program: binary, log: scratch.path + "/log")
    }

    /// The reason that it ended for, in its own log.
    func reason() throws -> String {
      try process.waitForEnd()
      let lines = process.log.split(separator: "\n").compactMap {
        try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
      let errors = lines.compactMap { $0["error"] as? String }
      return "\(errors.last ?? "none"); status \(process.process.terminationStatus)"
    }
  }

  private static func expectOneCluster(_ members: [Newcomer]) throws {
    let first = members[0]
    try first.process.waitUntil("all are members") {
      let list = run(Binaries.ourCtl, ["member", "list", "--endpoints", first.endpoint])
      return list.output.split(separator: "\n").count { $0.contains(", started, ") }
        == members.count
    }
    for member in members {
      let put = run(
        Binaries.ourCtl, ["put", "key", "value", "--endpoints", member.endpoint])
      #expect(put.output == "OK\n", "\(put)")
    }
  }

  /// Our own service, over the v3 keys of etcds of both kinds, which need no v2 API.
  @Test(arguments: [true, false]) func ourOwnServiceGathers(isOurs: Bool) throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([isOurs ? Binaries.ours : official])
    try cluster.start()
    defer { for member in cluster.members { member.stop() } }
    let scratch = Scratch()
    let address = "127.0.0.1:\(freePorts(1)[0])"
    let service = try ServerProcess(
      [
        "discovery", "serve", "--listen-addr", address, "--endpoints",
        cluster.members[0].endpoint, "--token-ttl", "10m",
      ], log: scratch.path + "/log")
    try service.waitFor("serving discovery requests")
    func curl(_ words: String...) -> String {
      run("/usr/bin/curl", ["-s", "-w", " %{http_code}"] + words).output
    }
    let made = curl("-X", "PUT", "http://\(address)/new?size=3")
    #expect(made.hasPrefix("http://\(address)/") && made.hasSuffix(" 200"), "\(made)")
    let url = String(made.dropLast(4))
    #expect(curl("\(url)/_config/size").contains("\"value\":\"3\""))
    let members = try [Binaries.ours, official, try #require(Binaries.go34)].enumerated().map {
      try Newcomer("m\($0 + 1)", url, $1)
    }
    try Self.expectOneCluster(members)
    let late = try [official, Binaries.ours].map { try Newcomer("m9", url, $0).reason() }
    #expect(late[0] == late[1])
    #expect(late[1] == "failed to join discovery cluster (discovery: cluster is full); status 1")
    // What is odd is refused, and what is there stays.
    #expect(curl("http://\(address)/nobody").hasSuffix(" 404"))
    #expect(curl("http://\(address)/new?size=1000").hasSuffix(" 400"))
    #expect(curl("-X", "PUT", "\(url)/_config/size", "-d", "value=9").hasSuffix(" 404"))
    #expect(curl("-X", "PATCH", url).hasSuffix(" 405"))
    #expect(
      curl("-X", "PUT", "\(url)/x", "-d", "value=" + String(repeating: "v", count: 20_000))
        .hasSuffix(" 413"))
    #expect(curl("http://\(address)/%zz").hasSuffix(" 400"))
    let list = curl(url)
    #expect(list.components(separatedBy: "createdIndex").count == 4, "\(list)")
    // Its etcd is away: that is said, and it comes back.
    cluster.members[0].stop()
    #expect(curl(url).hasSuffix(" 500"))
    service.end()
  }

  /// Members of both kinds, in one cluster, by services of both kinds; who comes too late is told so by both alike.
  @Test(arguments: [true, false]) func bothKindsGather(isOurService: Bool) throws {
    let official = try #require(Binaries.go35)
    let (service, url) = try Self.service(
      isOurService ? Binaries.ours : try #require(Binaries.go34))
    defer { for member in service.members { member.stop() } }
    Self.setSize("3", url)
    let members = try [Binaries.ours, official, Binaries.ours].enumerated().map {
      try Newcomer("m\($0 + 1)", url, $1)
    }
    try Self.expectOneCluster(members)
    let late = try [official, Binaries.ours].map { try Newcomer("m9", url, $0).reason() }
    #expect(late[0] == late[1])
    #expect(
      late[1] == "failed to join discovery cluster (discovery: cluster is full); status 1")
    // Who may become a proxy does, and knows the members.
    for binary in [official, Binaries.ours] {
      let surplus = try Newcomer("m8", url, binary, ["--discovery-fallback", "proxy"])
      try surplus.process.waitFor("discovery cluster is full, falling back to proxy")
      var list = ""
      try surplus.process.waitUntil("it serves") {
        list = httpGet("http://\(surplus.endpoint)/v2/config/local/proxy") ?? ""
        return list.contains("endpoints")
      }
      for member in members { #expect(list.contains("http://\(member.endpoint)"), "\(list)") }
      surplus.process.end()
    }
    // With data a member needs no service.
    members[0].process.end()
    let again = try ServerProcess(
      members[0].process.process.arguments!, log: members[0].scratch.path + "/log2")
    try again.waitFor("discovery token is ignored since cluster already initialized")
    try again.waitFor("ready to serve client requests")
    again.end()
    // Without, its place is taken by who it was.
    try FileManager.default.removeItem(atPath: members[0].scratch.path + "/data")
    let refused = try [official, Binaries.ours].map { binary in
      let other = try ServerProcess(
        members[0].process.process.arguments!, program: binary,
        log: members[0].scratch.path + "/log3")
      try other.waitForEnd()
      #expect(other.process.terminationStatus == 1)
      return other.log.split(separator: "\n").filter { $0.contains(#""level":"warn""#) }
        .compactMap { line -> String? in
          let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
          return object?["msg"] as? String
        }.filter { $0.contains("discovery") || $0.contains("data dir") || $0.contains("failed") }
    }
    #expect(refused[0] == refused[1] && refused[1].count == 4, "\(refused)")
  }

  @Test func refusalsAreAlike() throws {
    let (service, url) = try Self.service(Binaries.ours)
    defer { for member in service.members { member.stop() } }
    Self.setSize("many", url + "1")
    for place in [url + "0", url + "1", url.replacing("/v2/keys/", with: "/health/")] {
      let found = try [try #require(Binaries.go35), Binaries.ours].map {
        try Newcomer("m", place, $0).reason()
      }
      #expect(found[0] == found[1] && found[1].hasSuffix("status 1"), "\(place): \(found)")
    }
    let conflict = ["--initial-cluster", "m=http://127.0.0.1:1"]
    for more in [conflict, ["--discovery-srv", "example.test"]] {
      let found = try [try #require(Binaries.go35), Binaries.ours].map {
        try Newcomer("m", url, $0, more).reason()
      }
      #expect(found[0] == found[1] && found[1].contains("multiple discovery"), "\(found)")
    }
  }

  /// A service that is away is asked again; a signal ends the wait.
  @Test func aServiceThatIsAwayIsWaitedFor() throws {
    let nobody = freePorts(1)[0]
    let member = try Newcomer("m", "http://127.0.0.1:\(nobody)/token", Binaries.ours)
    try member.process.waitFor(
      "client: etcd cluster is unavailable or misconfigured; error #0: dial tcp 127.0.0.1:\(nobody): "
        + "connect: connection refused")
    try member.process.waitFor(#""reason":"cluster status check","backoff":"2s""#)
    #expect(member.process.end() < 1)
    #expect(member.process.process.terminationReason == .uncaughtSignal)
  }

  /// A token made by etcdctl, in etcds of both kinds: for those who ask the etcd, and by our service for those who do not.
  @Test(arguments: [true, false]) func tokensAreMade(isOurs: Bool) throws {
    let cluster = Cluster([isOurs ? Binaries.ours : try #require(Binaries.go35)])
    try cluster.start()
    defer { for member in cluster.members { member.stop() } }
    let endpoint = cluster.members[0].endpoint
    func new(_ words: String...) -> Finished {
      run(Binaries.ourCtl, ["--endpoints", endpoint, "discovery", "new"] + words)
    }
    let made = new("--size", "2")
    let lines = made.output.split(separator: "\n").map(String.init)
    #expect(made.status == 0 && lines.count == 2 && lines[0].utf8.count == 32, "\(made)")
    let flags = lines[1].split(separator: " ").map(String.init).drop {
      $0 != "--discovery-endpoints"
    }
    #expect(flags.suffix(1) == [lines[0]])
    try Self.expectOneCluster(try ["m1", "m2"].map { try Newcomer($0, Array(flags)) })
    // The same for members that ask by HTTP.
    let address = "127.0.0.1:\(freePorts(1)[0])"
    let scratch = Scratch()
    let service = try ServerProcess(
      ["discovery", "serve", "--listen-addr", address, "--endpoints", endpoint],
      log: scratch.path + "/log")
    defer { service.end() }
    try service.waitFor("serving discovery requests")
    let own = new("--size", "2", "--token", "our-cluster", "--token-ttl", "2m", "-w", "json")
    #expect(own.output.contains(#""token":"our-cluster","size":2,"lease":"#), "\(own)")
    try Self.expectOneCluster(
      try [Binaries.ours, try #require(Binaries.go35)].enumerated().map {
        try Newcomer("m\($0)", "http://\(address)/our-cluster", $1)
      })
    // Who makes it again is told, and no lease is left behind.
    let before = cluster.ctl(["lease", "list"]).output
    let again = new("--token", "our-cluster")
    #expect(again.status == 1 && again.output.isEmpty)
    #expect(
      again.error.hasPrefix("Error: the token our-cluster is there already, for 2 members; ")
        && again.error.contains("etcdctl del --prefix /_etcd/registry/our-cluster/"), "\(again)")
    #expect(cluster.ctl(["lease", "list"]).output == before)
    #expect(new("--token", "stays", "--token-ttl", "0").status == 0)
    #expect(cluster.ctl(["lease", "list"]).output == before)
    for (words, part) in [
      (["--size", "0"], "--size is how many members found the cluster, 1 to 100, not 0"),
      (["--size", "101"], "not 101"), (["--size=-1"], "not -1"),
      (["--token", "a/b"], #"not "a/b""#),
      (["--token-ttl", "1s"], "--token-ttl is 0 or a minute at least, not 1s"),
      // Less than a second is not for ever.
      (["--token-ttl", "500ms"], "--token-ttl is 0 or a minute at least, not 500ms"),
    ] {
      let refused = run(Binaries.ourCtl, ["--endpoints", endpoint, "discovery", "new"] + words)
      #expect(refused.status == 128 && refused.error.contains(part), "\(refused)")
    }
  }

  private static let publicService = "/usr/bin/discovery.etcd.io"

  /// etcd's public service, on an etcd of ours: `curl …/new?size=2`, as the guides have it.
  @Test(.enabled(if: Binaries.isThere(publicService))) func thePublicService() throws {
    let (service, _) = try Self.service(Binaries.ours)
    defer { for member in service.members { member.stop() } }
    let port = freePorts(1)[0]
    let base = "http://127.0.0.1:\(port)"
    let scratch = Scratch()
    let server = try ServerProcess(
      [
        "--addr", "127.0.0.1:\(port)", "--host", base, "--etcd",
        service.members[0].endpoint,
      ],
      program: Self.publicService, log: scratch.path + "/log")
    defer { server.end() }
    var url = ""
    try server.waitUntil("a token is given") {
      url = httpGet("\(base)/new?size=2") ?? ""
      return url.hasPrefix(base)
    }
    try Self.expectOneCluster(
      try [Binaries.ours, try #require(Binaries.go35)].enumerated().map {
        try Newcomer("m\($0)", url, $1)
      })
  }

  /// The v3 protocol of etcd 3.6, on etcds of both kinds.
  @Test(arguments: [true, false]) func keysOfAnEtcd(isOurService: Bool) throws {
    let cluster = Cluster([isOurService ? Binaries.ours : try #require(Binaries.go35)])
    try cluster.start()
    defer { for member in cluster.members { member.stop() } }
    let flags = ["--discovery-endpoints", cluster.members[0].endpoint, "--discovery-token"]
    let none = try Newcomer("m", flags + ["none"])
    #expect(
      try none.reason()
        == "failed to join discovery cluster (discovery: size key not found); status 1")
    #expect(
      none.process.log.contains(#""command":"etcdctl put /_etcd/registry/none/_config/size 3""#))
    for (size, token) in [("two", "odd"), ("2", "good")] {
      #expect(cluster.ctl(["put", "/_etcd/registry/\(token)/_config/size", size]).status == 0)
    }
    #expect(
      try Newcomer("m", flags + ["odd"]).reason()
        == "failed to join discovery cluster (discovery: size key is bad); status 1")
    let first = try Newcomer("m1", flags + ["good"])
    try first.process.waitFor("found peers from discovery server; waiting for more")
    let second = try Newcomer("m2", flags + ["good"])
    try Self.expectOneCluster([first, second])
    let surplus = try Newcomer("m3", flags + ["good", "--discovery-fallback", "exit"])
    #expect(
      try surplus.reason()
        == "failed to join discovery cluster (discovery: cluster is full); status 1")
    let keys = cluster.ctl([
      "get", "--prefix", "/_etcd/registry/good/members/", "--print-value-only",
    ])
    #expect(
      keys.output.split(separator: "\n").sorted()
        == [first, second].enumerated().map { "m\($0 + 1)=http://127.0.0.1:\($1.ports[1])" },
      "\(keys)")
  }
}
