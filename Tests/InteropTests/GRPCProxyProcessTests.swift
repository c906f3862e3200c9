import Bytes
import EtcdAPI
import EtcdClient
import Foundation
import Glibc
import TestSupport
import Testing

/// `etcd grpc-proxy` as a process, beside Go's and before members of both kinds.
@Suite(.serialized) struct GRPCProxyProcessTests {
  /// A proxy that serves, on a free port.
  static func proxy(
    _ scratch: Scratch, _ endpoints: String, _ more: [String] = [],
    program: String = Binaries.ours, variables: [String: String] = [:]
  ) throws -> (process: ServerProcess, address: String) {
    let address = "127.0.0.1:\(freePorts(1)[0])"
    let process = try ServerProcess(
      ["grpc-proxy", "start", "--endpoints=\(endpoints)", "--listen-addr=\(address)"]
        + ["--advertise-client-url=\(address)", "--data-dir=\(scratch.path)/proxy"] + more,
      program: program, variables: variables, log: "\(scratch.path)/log.\(address)")
    try process.waitFor("started gRPC proxy")
    return (process, address)
  }

  /// A series of a page of metrics.
  static func figure(_ name: String, _ url: String) -> Double? {
    httpGet(url)?.split(separator: "\n").first { $0.hasPrefix(name + " ") }
      .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
  }

  static let watchers = "etcd_debugging_mvcc_watcher_total"

  /// Waits until others have written some more.
  static func writesPass(_ client: EtcdClient) async throws {
    let late = ContinuousClock.now + .seconds(30)
    let start = try await client.kv.get("k").header?.revision ?? 0
    while try await client.kv.get("k").header?.revision ?? 0 < start + 20 {
      try #require(ContinuousClock.now < late, "writes stand still")
    }
  }

  // MARK: command line

  /// What ends at once, and the same for both.
  @Test(
    .enabled(if: Binaries.go35 != nil),
    arguments: [
      "grpc-proxy bogus", "grpc-proxy start --resolver-prefix=a",
      "grpc-proxy start --resolver-ttl=3",
      "grpc-proxy start --resolver-prefix=a --resolver-ttl=0",
      "grpc-proxy start --resolver-prefix=a --resolver-ttl=1 --advertise-client-url=",
      "grpc-proxy start --auto-tls --self-signed-cert-validity=0", "grpc-proxy", "grpc-proxy -h",
    ])
  func commandLinesAreAnsweredAsByGo(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    let go = run(try #require(Binaries.go35), words)
    #expect(run(Binaries.ours, words) == go)
  }

  /// Every flag of Go's is there, with its default and its words.
  @Test(.enabled(if: Binaries.go35 != nil)) func flagsAreThoseOfGo() throws {
    func flags(_ program: String) -> [String: String] {
      let help = run(program, ["grpc-proxy", "start", "--help"]).output
      let rows = help.split(separator: "\n").filter { $0.contains("--") }
      return Dictionary(
        rows.map { row in
          let words = row.split(separator: " ").map(String.init)
          let name = words.first { $0.hasPrefix("--") } ?? ""
          return (name, words.joined(separator: " "))
        }, uniquingKeysWith: { $1 })
    }
    let ours = flags(Binaries.ours)
    let theirs = flags(try #require(Binaries.go35))
    #expect(theirs.count > 25)
    for (name, row) in theirs { #expect(ours[name] == row) }
  }

  @Test(arguments: [
    ("--tls-min-version=1", "tls-min-version is invalid: unexpected TLS version \"1\""),
    (
      "--tls-min-version=TLS1.3 --tls-max-version=TLS1.2",
      "min version (TLS1.3) is greater than max version (TLS1.2)"
    ),
    (
      "--tls-min-version=TLS1.3 --listen-cipher-suites=x",
      "cipher suites cannot be configured when only TLS1.3 is enabled"
    ),
    ("--max-send-bytes=9 --max-recv-bytes=8", "gRPC message recv limit (8 bytes) must be greater"),
    ("--trusted-ca-file=/x", "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not"),
    ("--cert=/nosuch --key=/nosuch", "open /nosuch: no such file or directory"),
    ("--dial-keepalive-time=-1s", "--dial-keepalive-time is negative: -1s"),
    ("--metrics-addr=https://127.0.0.1:0", "cannot listen on TLS for 127.0.0.1:0"),
    ("--metrics-addr=http://nowhere", "missing or invalid port; write --metrics-addr as"),
    ("--endpoints=foo", "foo"), ("--endpoints=", "no available endpoints"),
    ("--listen-addr=256.0.0.1:1", "256.0.0.1"), ("--listen-addr=x", "write --listen-addr as"),
    ("--listen-cipher-suites=x --cert-file=a --key-file=b", "unexpected TLS cipher suite \"x\""),
  ])
  func refusalsSayWhatIsWrong(_ flags: String, _ words: String) {
    let scratch = Scratch()
    let given = flags.split(separator: " ").map(String.init)
    let done = run(
      Binaries.ours,
      ["grpc-proxy", "start", "--listen-addr=127.0.0.1:1", "--data-dir=\(scratch.path)/p"] + given)
    let last = done.error.split(separator: "\n").last.map(String.init) ?? ""
    #expect(done.status == 1 && last.contains(words), "\(done)")
  }

  // MARK: calls

  /// The same commands through our proxy and through Go's, before a member of Go's.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil))
  func commandsAreAnsweredAsThroughGo() throws {
    let programs = [try #require(Binaries.go35), Binaries.ours]
    let control = try #require(Binaries.ctl35)
    var transcripts: [[Finished]] = []
    for program in programs {
      let cluster = Cluster([programs[0]])
      try cluster.start()
      let (process, address) = try Self.proxy(
        cluster.scratch, cluster.members[0].endpoint, program: program)
      func ctl(_ line: String, input: String = "") -> Finished {
        var done = run(
          control, ["--endpoints=\(address)"] + line.split(separator: " ").map(String.init),
          input: input)
        done.output = done.output.replacing(address, with: "PROXY")
        done.error = withoutLog(done.error)
        return done
      }
      transcripts.append(
        [
          "put a 1", "get a", "get a --consistency=s", "put a 2 --prev-kv", "get a --consistency=s",
          "get a -w fields", "get --rev=2 a", "get --rev=99 a", "del a --prev-kv", "get --prefix a",
          "put --lease=77 a 1", "lease timetolive 77", "lease keep-alive --once 77",
          "lease revoke 77", "compaction 3", "get --rev=2 a", "compaction 3", "get --rev=2 a",
          "user add u:p", "user list", "role add r", "role get r", "role grant-permission r read k",
          "alarm list", "endpoint health", "move-leader 1", "lock l echo held", "defrag",
        ].map { line in
          var done = ctl(line)
          // Times, and ids that differ from cluster to cluster.
          done.output = done.output.replacing(#/took = .*/#, with: "")
            .replacing(#/"(ClusterID|MemberID)" : \d+/#, with: "")
          return done
        } + [ctl("txn", input: "value(\"a\") = \"1\"\n\nput a 3\n\nget a\n\n")])
      process.end(by: SIGKILL)
    }
    for (theirs, ours) in zip(transcripts[0], transcripts[1]) { #expect(ours == theirs) }
  }

  /// A user's reads are kept for that user alone, and nobody watches what he may not read.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func rightsHoldThroughIt() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let (process, address) = try Self.proxy(cluster.scratch, cluster.members[0].endpoint)
    func ctl(_ words: String..., user: String? = nil) -> Finished {
      run(
        Binaries.ctl35!,
        ["--endpoints=\(address)"] + (user.map { ["--user=\($0):pw"] } ?? []) + words)
    }
    for line in [
      "user add root:pw", "user grant-role root root", "user add u:pw", "user add v:pw",
      "role add r", "role grant-permission r readwrite k", "user grant-role u r", "auth enable",
    ] {
      #expect(
        run(
          Binaries.ctl35!, ["--endpoints=\(address)"] + line.split(separator: " ").map(String.init)
        ).status == 0)
    }
    #expect(ctl("put", "k", "1", user: "u").output == "OK\n")
    for _ in 0..<2 { #expect(ctl("get", "--consistency=s", "k", user: "u").output == "k\n1\n") }
    #expect(ctl("get", "--consistency=s", "k", user: "v").error.contains("permission denied"))
    #expect(ctl("get", "--consistency=s", "k").error.contains("user name is empty"))
    let allowed = try Running(
      Binaries.ctl35!, ["--endpoints=\(address)", "--user=u:pw", "watch", "k"], [:])
    let refused = run(
      Binaries.ctl35!, ["--endpoints=\(address)", "--user=v:pw", "watch", "k"], timeout: 20)
    #expect(refused.status != 0 && withoutLog(refused.error).contains("permission denied"))
    let late = Date().addingTimeInterval(20)
    var number = 0
    while !allowed.output.contains("PUT"), Date() < late {
      number += 1
      #expect(ctl("put", "k", "w\(number)", user: "u").status == 0)
    }
    #expect(allowed.output.contains("PUT\nk\nw"))
    _ = allowed.end(SIGKILL)
    process.end()
  }

  // MARK: watches

  /// A thousand watchers through one proxy cost the server one.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func watchersShareOneWatch(_ isOurs: Bool) async throws {
    let cluster = Cluster([isOurs ? Binaries.ours : try #require(Binaries.go35)])
    try cluster.start()
    let server = cluster.members[0].endpoint + "/metrics"
    let (process, address) = try Self.proxy(cluster.scratch, cluster.members[0].endpoint)
    let clients = try (0..<4).map { _ in try EtcdClient(endpoints: [address]) }
    let created = Shared(0)
    let seen = try await withThrowingTaskGroup(of: [Int64].self) { group in
      for number in 0..<1_000 {
        group.addTask {
          var revisions: [Int64] = []
          let updates = clients[number % 4].watch("k", WatchOptions(createdNotify: true))
          for try await update in updates {
            if update.kind == .created { created.withLock { $0 += 1 } }
            revisions += update.events.compactMap(\.kv?.modRevision)
            if revisions.count >= 3 { break }
          }
          return revisions
        }
      }
      while created.withLock({ $0 }) < 1_000 { try await Task.sleep(for: .milliseconds(10)) }
      #expect(Self.figure(Self.watchers, server) == 1)
      #expect(
        Self.figure(
          "etcd_grpc_proxy_watchers_coalescing_total", "http://\(address)/proxy/metrics") == 999)
      for number in 0..<3 { _ = try await clients[0].kv.put("k", Bytes("\(number)")) }
      var all: [[Int64]] = []
      for try await revisions in group { all.append(revisions) }
      return all
    }
    #expect(seen.count == 1_000 && Set(seen).count == 1, "\(Set(seen))")
    try eventually("the last watch is gone") { Self.figure(Self.watchers, server) == 0 }
    for client in clients { client.close() }
    process.end()
  }

  /// One who comes late gets history, whole and once, and shares the watch of the others then.
  @Test(.enabled(if: Binaries.go35 != nil)) func historyIsToldAndMerged() async throws {
    let cluster = Cluster([try #require(Binaries.go35)])
    try cluster.start()
    let server = cluster.members[0].endpoint + "/metrics"
    let (process, address) = try Self.proxy(cluster.scratch, cluster.members[0].endpoint)
    let client = try EtcdClient(endpoints: [address])
    for number in 0..<3_000 { _ = try await client.kv.put("k", Bytes("\(number)")) }
    let now = client.watch("k", WatchOptions(createdNotify: true)).makeAsyncIterator()
    _ = try await now.next()
    let late = client.watch("k", WatchOptions(startRevision: 2, previous: true)).makeAsyncIterator()
    var values: [String] = []
    while values.count < 3_000, let update = try await late.next() {
      values += update.events.compactMap(\.kv?.value.string)
    }
    #expect(values == (0..<3_000).map { "\($0)" })
    _ = try await client.kv.put("k", "last")
    #expect(try await now.next()?.events.map(\.kv?.value) == ["last"])
    let last = try await late.next()?.events
    #expect(last?.map(\.kv?.value) == ["last"] && last?.first?.prevKv?.value == "2999")
    try eventually("they share one") { Self.figure(Self.watchers, server) == 1 }
    _ = try await client.kv.put("k", "both")
    #expect(try await now.next()?.events.map(\.kv?.value) == ["both"])
    #expect(try await late.next()?.events.map(\.kv?.value) == ["both"])
    // What is compacted is told.
    _ = try await client.kv.compact(3_000)
    await #expect(throws: EtcdClientError.self) {
      let gone = client.watch("k", WatchOptions(startRevision: 5)).makeAsyncIterator()
      while try await gone.next() != nil {}
    }
    client.close()
    process.end()
  }

  /// Members are killed under watches and writes: nothing is missing and nothing comes twice.
  @Test(.enabled(if: Binaries.go35 != nil)) func nothingIsLostWithMembers() async throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster(
      [official, Binaries.ours, official],
      extra: ["--heartbeat-interval", "50", "--election-timeout", "500"])
    try cluster.start()
    let (process, address) = try Self.proxy(cluster.scratch, cluster.endpoints)
    let client = try EtcdClient(endpoints: [address])
    let stopped = Shared(false)
    let seen = try await withThrowingTaskGroup(of: [[Int64]].self) { group in
      for _ in 0..<5 {
        group.addTask {
          var revisions: [Int64] = []
          for try await update in client.watch(.prefix("w/"), WatchOptions(startRevision: 1)) {
            revisions += update.events.compactMap(\.kv?.modRevision)
            if update.events.contains(where: { $0.kv?.key == "w/last" }) { break }
          }
          return [revisions]
        }
      }
      group.addTask {
        try await client.writeKeys(until: stopped, last: "x")
        return []
      }
      for member in cluster.members {
        try await Self.writesPass(client)
        member.kill()
        try await Self.writesPass(client)
        member.start()
        try member.waitHealthy()
      }
      stopped.withLock { $0 = true }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(seen.count == 5 && Set(seen).count == 1)
    let revisions = try #require(seen.first)
    #expect(revisions == Array(Set(revisions)).sorted() && revisions.count > 50)
    // A server's own word, from the beginning.
    let direct = try EtcdClient(endpoints: [cluster.members[0].endpoint])
    var told: [Int64] = []
    for try await update in direct.watch(.prefix("w/"), WatchOptions(startRevision: 1)) {
      told += update.events.compactMap(\.kv?.modRevision)
      if update.events.contains(where: { $0.kv?.key == "w/last" }) { break }
    }
    #expect(revisions == told)
    direct.close()
    client.close()
    process.end()
  }

  // MARK: leases

  /// A lease lives as long as clients renew it through the proxy, and no longer.
  @Test func renewalsAreShared() async throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let (process, address) = try Self.proxy(cluster.scratch, cluster.members[0].endpoint)
    let direct = try EtcdClient(endpoints: [cluster.members[0].endpoint])
    let clients = try (0..<8).map { _ in try EtcdClient(endpoints: [address]) }
    let lease = try await clients[0].leases.grant(ttl: 2).id
    let end = ContinuousClock.now + .seconds(5)
    await withTaskGroup { group in
      for client in clients {
        group.addTask {
          while ContinuousClock.now < end {
            #expect((try? await client.leases.keepAliveOnce(lease))?.ttl == 2)
            try? await Task.sleep(for: .milliseconds(200))
          }
        }
      }
    }
    #expect(try await direct.leases.timeToLive(lease).ttl > 0)
    // Nobody renews it any more.
    let late = ContinuousClock.now + .seconds(20)
    while try await direct.leases.timeToLive(lease).ttl != -1, ContinuousClock.now < late {}
    #expect(try await direct.leases.timeToLive(lease).ttl == -1)
    await #expect(throws: EtcdClientError.refused(.leaseNotFound)) {
      try await clients[0].leases.keepAliveOnce(lease)
    }
    for client in clients + [direct] { client.close() }
    process.end()
  }

  // MARK: leasing

  /// Proxies that lease keys, ours and Go's: whoever writes, all read it at once; a key that nobody else writes is read
  /// without the cluster.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func leasedKeysAreReadAsTheyWereWritten(_ isBesideGo: Bool) async throws {
    let cluster = Cluster([try #require(Binaries.go35)])
    try cluster.start()
    let more = ["--experimental-leasing-prefix=lease/"]
    let programs = [Binaries.ours, isBesideGo ? try #require(Binaries.go35) : Binaries.ours]
    let proxies = try programs.map {
      try Self.proxy(cluster.scratch, cluster.members[0].endpoint, more, program: $0)
    }
    let clients = try proxies.map { try EtcdClient(endpoints: [$0.address]) }
    var number = 0
    for _ in 0..<6 {
      for writer in clients {
        number += 1
        _ = try await writer.kv.put("k", Bytes("\(number)"))
        for reader in clients + clients {
          #expect(try await reader.kv.get("k").kvs.first?.value == Bytes("\(number)"))
        }
      }
    }
    // Several at once, each counting up by comparisons: nothing is lost.
    _ = try await clients[0].kv.put("n", "0")
    try await withThrowingTaskGroup { group in
      for client in clients + clients {
        group.addTask {
          for _ in 0..<10 {
            while true {
              guard let pair = try await client.kv.get("n").kvs.first else { continue }
              let next = Bytes(String((Int(pair.value.string) ?? 0) + 1))
              let done = try await client.kv.txn(
                [
                  .init(
                    result: .equal, target: .mod, key: "n",
                    targetUnion: .modRevision(pair.modRevision))
                ], success: [.init(request: .requestPut(.init(key: "n", value: next)))])
              if done.succeeded { break }
            }
          }
        }
      }
      try await group.waitForAll()
    }
    for client in clients { #expect(try await client.kv.get("n").kvs.first?.value == "40") }
    _ = try await clients[1].kv.delete(.prefix("k"))
    #expect(try await clients[0].kv.get("k").kvs.isEmpty)
    // Taken, and read without anybody.
    _ = try await clients[0].kv.put("own", "1")
    try eventually("the key is leased") {
      _ = run(Binaries.ctl35!, ["--endpoints=\(proxies[0].address)", "get", "own"])
      let found = run(
        Binaries.ctl35!, ["--endpoints=\(cluster.endpoints)", "get", "lease/own", "--keys-only"])
      return found.output.contains("lease/own")
    }
    _ = try await clients[0].kv.get("own")
    cluster.members[0].kill()
    #expect(try await clients[0].kv.get("own").kvs.first?.value == "1")
    for client in clients { client.close() }
    for proxy in proxies { proxy.process.end(by: SIGKILL) }
  }

  // MARK: bad input

  /// Garbage, messages that are too large, and clients that read nothing: the others are served.
  @Test func badClientsHarmNobody() async throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let (process, address) = try Self.proxy(cluster.scratch, cluster.members[0].endpoint)
    let port = Int(address.split(separator: ":")[1])!
    let client = try EtcdClient(endpoints: [address])
    for text in [
      "\u{16}\u{3}\u{1}garbage", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage", "GET / HTTP/9",
    ] {
      let raw = RawSocket.connected(to: port)
      raw.send(text)
      _ = raw.receive()
    }
    await #expect(throws: EtcdClientError.self) {
      _ = try await client.kv.put("k", Bytes([UInt8](repeating: 0, count: 5 << 20)))
    }
    await #expect(throws: EtcdClientError.self) {
      _ = try await client.kv.put("k", Bytes([UInt8](repeating: 0, count: 1_600_000)))
    }
    // One who watches and does not read, while much happens.
    let lazy = client.watch("k", WatchOptions(createdNotify: true)).makeAsyncIterator()
    _ = try await lazy.next()
    let value = Bytes([UInt8](repeating: 1, count: 1 << 20))
    for _ in 0..<40 { _ = try await client.kv.put("k", value) }
    #expect(try await client.kv.get("k").kvs.first?.value == value)
    // What it has not read comes all the same once it does.
    var versions: [Int64] = []
    while versions.last != 40, let update = try await lazy.next() {
      versions += update.events.compactMap(\.kv?.version)
    }
    #expect(versions == Array(1...40))
    #expect(httpGet("http://\(address)/nosuch") == "404 page not found\n")
    client.close()
    #expect(process.end() < 5)
    #expect(process.process.terminationStatus == SIGTERM)
  }

  @Test func systemdIsTold() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let (process, _) = try Self.proxy(
      scratch, "127.0.0.1:1", variables: ["NOTIFY_SOCKET": socket.path])
    try socket.waitFor("READY=1")
    #expect(process.end() < 5)
    #expect(process.process.terminationStatus == SIGTERM)
  }
}
