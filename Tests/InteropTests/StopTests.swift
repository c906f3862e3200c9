import Bytes
import EtcdClient
import Foundation
import TestSupport
import Testing

/// What SIGTERM does to those who are at it.
@Suite(.serialized) struct StopTests {
  private func started(_ count: Int, _ scratch: Scratch) throws -> [(
    url: String, process: ServerProcess
  )] {
    let ports = freePorts(count * 2)
    func url(_ n: Int) -> String { "http://127.0.0.1:\(ports[n])" }
    let cluster = (0..<count).map { "m\($0)=\(url($0 * 2 + 1))" }.joined(separator: ",")
    let members = try (0..<count).map { n in
      (
        url(n * 2),
        try ServerProcess(
          [
            "--name", "m\(n)", "--data-dir", "\(scratch.path)/m\(n)", "--listen-client-urls",
            url(n * 2), "--advertise-client-urls", url(n * 2), "--listen-peer-urls",
            url(n * 2 + 1), "--initial-advertise-peer-urls", url(n * 2 + 1), "--initial-cluster",
            cluster,
          ], log: "\(scratch.path)/log\(n)")
      )
    }
    for member in members { try member.1.waitFor("ready to serve client requests") }
    return members
  }

  private func leads(_ url: String) -> Bool {
    httpGet(url + "/metrics")?.contains("\netcd_server_is_leader 1\n") == true
  }

  /// Who writes to another member hardly notices: no election timeout (a second) goes by. On a busy machine a disk
  /// alone may take as long, so that one of three times counts.
  @Test func aLeaderHandsOver() async throws {
    var gaps: [Duration] = []
    while gaps.count < 3, gaps.last.map({ $0 >= .milliseconds(900) }) ?? true {
      gaps.append(try await gapOfAStop())
    }
    print("the longest gaps: \(gaps)")
    #expect(gaps.last.map { $0 < .milliseconds(900) } ?? false, "\(gaps)")
  }

  /// Stops the leader of three while a client writes to another one.
  /// - Returns: the longest time between two answers.
  private func gapOfAStop() async throws -> Duration {
    let scratch = Scratch()
    let members = try started(3, scratch)
    let leader = try #require(members.firstIndex { leads($0.url) })
    let other = members[(leader + 1) % 3]
    let client = try EtcdClient(endpoints: [other.url])
    defer { client.close() }
    let clock = ContinuousClock()
    var longest = Duration.zero
    var last = clock.now
    var ended: Double?
    let (process, began) = (members[leader].process, Date())
    kill(process.id, SIGTERM)
    // Until long after the end, so that an election would fall into it.
    let until = clock.now + .seconds(3)
    while clock.now < until {
      try await client.kv.put("k", "v")
      longest = max(longest, clock.now - last)
      last = clock.now
      if ended == nil, !process.process.isRunning { ended = Date().timeIntervalSince(began) }
    }
    let log = members[leader].process.log
    #expect(try #require(ended) < 3)
    #expect(log.contains("leadership transfer finished"), "\(log.suffix(3000))")
    #expect(log.contains("\"msg\":\"closed etcd server\""))
    #expect(members[leader].process.process.terminationStatus == SIGTERM)
    for member in members where member.process.process.isRunning { member.process.end() }
    return longest
  }

  /// Who writes right behind the death of the leader waits for the next one: what is sent to a process that is gone
  /// would be lost, and its writer told so only when its time is over.
  @Test func whoWritesBehindADeadLeaderWaits() async throws {
    let scratch = Scratch()
    let members = try started(3, scratch)
    defer { for member in members where member.process.process.isRunning { member.process.end() } }
    let leader = try #require(members.firstIndex { leads($0.url) })
    let others = (1...2).map { members[(leader + $0) % 3] }
    let clients = try others.map { try EtcdClient(endpoints: [$0.url]) }
    for client in clients { try await client.kv.put("k", "v") }
    let lost = others.map { $0.process.log.components(separatedBy: "lost TCP streaming").count }
    kill(members[leader].process.id, SIGKILL)
    // They know that it is gone, and take it for their leader still.
    for (other, before) in zip(others, lost) {
      try eventually("broken streams") {
        other.process.log.components(separatedBy: "lost TCP streaming").count > before
      }
    }
    let clock = ContinuousClock()
    let start = clock.now
    try await withThrowingTaskGroup { group in
      for client in clients { group.addTask { try await client.kv.put("k", "w") } }
      try await group.waitForAll()
    }
    let took = clock.now - start
    print("writes behind a dead leader took \(took)")
    #expect(took < .seconds(4.5), "no time of requests is over")
  }

  /// Streams end at once with a status that clients try elsewhere with; nobody is waited for.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func watchersAreNotWaitedFor() throws {
    let scratch = Scratch()
    let (url, member) = try started(1, scratch)[0]
    let ctl = try #require(Binaries.ctl35)
    let watcher = try ServerProcess(
      ["--endpoints", url, "watch", "a"], program: ctl, log: scratch.path + "/watch")
    let lease = run(ctl, ["--endpoints", url, "lease", "grant", "60"]).output.split(separator: " ")[
      1]
    let keeper = try ServerProcess(
      ["--endpoints", url, "lease", "keep-alive", String(lease)], program: ctl,
      log: scratch.path + "/keep")
    try keeper.waitFor("keepalived")
    #expect(run(ctl, ["--endpoints", url, "put", "a", "b"]).output == "OK\n")
    try watcher.waitFor("PUT\na\nb\n")
    let took = member.end()
    print("the stop took \(took) s")
    #expect(took < 1, "\(member.log.suffix(2000))")
    watcher.end(by: SIGKILL)
    keeper.end(by: SIGKILL)
  }

  /// A request that was begun is answered, though the member ends.
  @Test func aRequestUnderWayIsAnswered() async throws {
    let scratch = Scratch()
    let (url, member) = try started(1, scratch)[0]
    let client = try EtcdClient(endpoints: [url])
    let value = Bytes(String(repeating: "v", count: 1000))
    let id = member.id
    let answered = await withTaskGroup(of: Bool.self) { group in
      for number in 0..<400 {
        group.addTask {
          (try? await client.kv.put(Bytes("n\(number)"), value)) != nil
        }
      }
      var count = 0
      // Those that did not arrive are tried again until the client is told otherwise.
      for await isDone in group {
        if isDone { count += 1 } else { group.cancelAll() }
        // In the midst of them.
        if count == 20 { kill(id, SIGTERM) }
        if !member.process.isRunning { group.cancelAll() }
      }
      return count
    }
    #expect(answered >= 20)
    member.process.waitUntilExit()
    #expect(member.process.terminationStatus == SIGTERM)
    // What was acknowledged is there.
    let again = try ServerProcess(member.process.arguments ?? [], log: scratch.path + "/again")
    try again.waitFor("ready to serve client requests")
    let fresh = try EtcdClient(endpoints: [url])
    let found = try await fresh.kv.get(.prefix("n")).kvs.count
    #expect(found >= answered, "\(answered) were answered")
    again.end()
  }

  /// Nobody has to wait who does not want to.
  @Test(.enabled(if: HungDisk.compiler != nil && Binaries.ctl35 != nil))
  func aSecondSignalEndsAtOnce() throws {
    let scratch = Scratch()
    let disk = try HungDisk(scratch)
    let ports = freePorts(2)
    let (client, peer) = ("http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
    let member = try ServerProcess(
      [
        "--data-dir", scratch.path + "/d", "--listen-client-urls", client,
        "--advertise-client-urls", client, "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=\(peer)",
      ], variables: disk.variables, log: scratch.path + "/log")
    try member.waitFor("ready to serve client requests")
    disk.hang()
    defer { disk.goOn() }
    let put = run(
      try #require(Binaries.ctl35),
      ["--endpoints", client, "--command-timeout", "1s", "put", "a", "b"])
    #expect(put.status != 0)
    kill(member.id, SIGTERM)
    try member.waitFor("closing etcd server")
    usleep(300_000)
    #expect(member.process.isRunning, "the disk hangs, and the end waits for it")
    let took = member.end(by: SIGINT)
    #expect(took < 1)
    #expect(member.process.terminationStatus == SIGINT)
    #expect(member.log.contains("received a second signal; ending at once"))
  }
}
