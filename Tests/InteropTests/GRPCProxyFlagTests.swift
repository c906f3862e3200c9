import EtcdClient
import Foundation
import TestSupport
import Testing

/// What the flags of `etcd grpc-proxy start` change.
@Suite(.serialized) struct GRPCProxyFlagTests {
  private typealias Process = GRPCProxyProcessTests

  private let cluster: Cluster
  private var endpoint: String { cluster.members[0].endpoint }

  init() throws {
    cluster = Cluster([Binaries.ours])
    try cluster.start()
  }

  private func proxy(_ flags: [String]) throws -> (process: ServerProcess, address: String) {
    try Process.proxy(cluster.scratch, endpoint, flags)
  }

  /// `--auto-tls`, `--data-dir`, `--self-signed-cert-validity`: a certificate is made, and used again.
  @Test func certificatesAreMade() throws {
    let flags = ["--auto-tls", "--self-signed-cert-validity=2"]
    var (process, address) = try proxy(flags)
    let file = cluster.scratch.path + "/proxy/fixtures/proxy/cert.pem"
    let first = try String(contentsOfFile: file, encoding: .utf8)
    let dates = run("/usr/bin/openssl", ["x509", "-in", file, "-noout", "-enddate"]).output
    let year = Calendar.current.component(.year, from: Date())
    #expect(dates.contains("\(year + 2)") || dates.contains("\(year + 3)"))
    #expect(httpGet("https://\(address)/health", ["-k", "--http1.1"])?.contains("true") == true)
    #expect(
      httpGet("https://\(address)/proxy/health", ["-k", "--http1.1"])?.contains("true") == true)
    process.end()
    (process, address) = try proxy(flags)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == first)
    process.end()
  }

  /// `--tls-min-version`, `--tls-max-version`, `--listen-cipher-suites`, `--trusted-ca-file`, `--client-crl-file`.
  @Test func tlsIsAsStrictAsAskedFor() throws {
    let authority = try TestAuthority()
    let own = try authority.issue("own")
    let good = try authority.issue("good")
    let bad = try authority.issue("bad")
    let list = try authority.revoke([bad])
    let files = ["--cert-file=\(own.certificate)", "--key-file=\(own.key)"]
    func answers(_ address: String, _ more: [String]) -> Bool {
      httpGet(
        "https://\(address)/health", ["--cacert", authority.certificate, "--http1.1"] + more)?
        .contains("true") == true
    }
    let newest = try proxy(files + ["--tls-min-version=TLS1.3"])
    #expect(answers(newest.address, []))
    #expect(!answers(newest.address, ["--tls-max", "1.2"]))
    newest.process.end()

    let suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    let older = try proxy(
      files + ["--tls-max-version=TLS1.2", "--listen-cipher-suites=\(suite)"])
    #expect(answers(older.address, []))
    #expect(!answers(older.address, ["--tlsv1.3"]))
    #expect(!answers(older.address, ["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]))
    #expect(answers(older.address, ["--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"]))
    older.process.end()

    let strict = try proxy(
      files + ["--trusted-ca-file=\(authority.certificate)", "--client-crl-file=\(list)"])
    func shown(_ pair: TestAuthority.Pair) -> [String] {
      ["--cert", pair.certificate, "--key", pair.key]
    }
    #expect(!answers(strict.address, []))
    #expect(answers(strict.address, shown(good)))
    #expect(!answers(strict.address, shown(bad)))
    strict.process.end()
  }

  /// `--max-send-bytes` and `--max-recv-bytes` bound messages to members and from them.
  @Test func messagesAreBounded() async throws {
    let (process, address) = try proxy(["--max-send-bytes=1000", "--max-recv-bytes=2000"])
    let client = try EtcdClient(endpoints: [address])
    let large = Bytes([UInt8](repeating: 1, count: 1_100))
    await #expect(throws: EtcdClientError.self) { try await client.kv.put("k", large) }
    let half = Bytes([UInt8](repeating: 1, count: 900))
    for key in ["a", "b"] as [Bytes] { _ = try await client.kv.put(key, half) }
    #expect(try await client.kv.get(.prefix("a")).kvs.count == 1)
    _ = try await client.kv.put("c", half)
    await #expect(throws: EtcdClientError.self) { try await client.kv.get(.all) }
    client.close()
    process.end()
  }

  /// `--enable-pprof`, `--experimental-enable-grpc-logging`, `--debug`.
  @Test func theProcessTellsOfItself() throws {
    let plain = try proxy([])
    #expect(httpGet("http://\(plain.address)/debug/pprof/cmdline") == "404 page not found\n")
    #expect(run(Binaries.ourCtl, ["--endpoints=\(plain.address)", "put", "k", "v"]).status == 0)
    #expect(!plain.process.log.contains("finished call"))
    plain.process.end()

    let open = try proxy(["--enable-pprof", "--experimental-enable-grpc-logging"])
    #expect(httpGet("http://\(open.address)/debug/pprof/cmdline")?.contains("grpc-proxy") == true)
    #expect(
      httpGet("http://\(open.address)/debug/pprof/profile?seconds=1")?.contains("grpc-proxy")
        == true)
    #expect(run(Binaries.ourCtl, ["--endpoints=\(open.address)", "put", "k", "v"]).status == 0)
    try open.process.waitFor(#""level":"info","ts""#)
    try open.process.waitFor(#""msg":"finished call","grpc.method":"/etcdserverpb.KV/Put""#)
    open.process.end()

    let verbose = try proxy(["--debug"])
    #expect(run(Binaries.ourCtl, ["--endpoints=\(verbose.address)", "get", "k"]).status == 0)
    try verbose.process.waitFor(#""msg":"finished call","grpc.method":"/etcdserverpb.KV/Range""#)
    #expect(verbose.process.log.contains(#""level":"debug""#))
    verbose.process.end()
  }

  /// `--endpoints-auto-sync-interval`: calls go on without the member that was named.
  @Test func membersAreLearned() throws {
    let three = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try three.start()
    let (process, address) = try Process.proxy(
      three.scratch, three.members[0].endpoint, ["--endpoints-auto-sync-interval=100ms"])
    try process.waitFor("the members have changed")
    three.members[0].kill()
    try eventually("another member serves") {
      run(Binaries.ourCtl, ["--endpoints=\(address)", "put", "k", "v"]).status == 0
    }
    process.end()
  }

  /// `--experimental-serializable-ordering`: no read goes back behind what was shown. Two servers that know nothing of
  /// each other stand for members one of which is behind.
  @Test func readsDoNotGoBack() async throws {
    let behind = Cluster([Binaries.ours])
    try behind.start()
    let ahead = try EtcdClient(endpoints: [endpoint])
    for number in 0..<10 { _ = try await ahead.kv.put("k", Bytes("\(number)")) }
    let (process, address) = try Process.proxy(
      cluster.scratch, "\(endpoint),\(behind.members[0].endpoint)",
      ["--experimental-serializable-ordering"])
    let client = try EtcdClient(endpoints: [address])
    var revisions: [Int64] = []
    while revisions.count < 40 || revisions.last != 11 {
      revisions.append(try await client.kv.get("k", serializable: true).header?.revision ?? 0)
      guard revisions.count < 1_000 else { break }
    }
    #expect(revisions == revisions.sorted() && revisions.last == 11)
    cluster.members[0].kill()
    var words = ""
    for _ in 0..<100 where !words.contains("no cluster members have a revision higher") {
      // Until the proxy has seen the end of the connection, calls may meet it.
      do { _ = try await client.kv.get("k", serializable: true) } catch { words = "\(error)" }
    }
    #expect(words.contains("no cluster members have a revision higher"))
    ahead.close()
    client.close()
    process.end()
  }

  /// `--max-concurrent-streams`: further watches of a connection wait.
  @Test func streamsAreBounded() async throws {
    let (process, address) = try proxy(["--max-concurrent-streams=3"])
    let client = try EtcdClient(endpoints: [address])
    var held: [EtcdClient.Watch.Iterator] = []
    for _ in 0..<2 {
      let watch = client.watch("k", WatchOptions(createdNotify: true)).makeAsyncIterator()
      _ = try await watch.next()
      held.append(watch)
    }
    // The third is for calls.
    #expect(try await client.kv.get("k").kvs.isEmpty)
    let third = Shared(false)
    let created = Shared(false)
    let late = Task {
      let watch = client.watch("k", WatchOptions(createdNotify: true)).makeAsyncIterator()
      _ = try await watch.next()
      third.withLock { $0 = true }
      let beyond = client.watch("k", WatchOptions(createdNotify: true)).makeAsyncIterator()
      _ = try await beyond.next()
      created.withLock { $0 = true }
    }
    try eventually("a third stream") { third.withLock { $0 } }
    // Others are answered meanwhile, again and again.
    let other = try EtcdClient(endpoints: [address])
    for _ in 0..<200 { _ = try await other.kv.get("k") }
    other.close()
    #expect(!created.withLock { $0 })
    late.cancel()
    withExtendedLifetime(held) {}
    client.close()
    process.end()
  }

  /// `--dial-keepalive-time`: a member whose machine is silent is left. SIGSTOP keeps its connections open.
  @Test func silentMembersAreLeft() throws {
    let three = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try three.start()
    let (process, address) = try Process.proxy(
      three.scratch, three.endpoints, ["--dial-keepalive-time=10s", "--dial-keepalive-timeout=1s"])
    kill(three.members[0].pid, SIGSTOP)
    try eventually("no call meets it any more", seconds: 150) {
      (0..<4).allSatisfy { _ in
        run(
          Binaries.ourCtl,
          ["--endpoints=\(address)", "--command-timeout=3s", "get", "k", "--consistency=s"]
        ).status == 0
      } && process.log.contains("keepalive ping failed")
    }
    kill(three.members[0].pid, SIGCONT)
    process.end()
  }
}
