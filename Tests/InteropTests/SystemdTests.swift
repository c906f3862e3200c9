import Foundation
import TestSupport
import Testing

/// What a member tells systemd, heard by a socket that the test owns: no systemd runs here.
@Suite(.serialized) struct SystemdTests {
  /// Command line of a member of a cluster of these peer ports.
  private func arguments(_ scratch: Scratch, _ ports: [(client: Int, peer: Int)], _ at: Int)
    -> [String]
  {
    func peer(_ n: Int) -> String { "http://127.0.0.1:\(ports[n].peer)" }
    let client = "http://127.0.0.1:\(ports[at].client)"
    return [
      "--name", "m\(at)", "--data-dir", "\(scratch.path)/m\(at)", "--listen-client-urls", client,
      "--advertise-client-urls", client, "--listen-peer-urls", peer(at),
      "--initial-advertise-peer-urls", peer(at), "--initial-cluster",
      ports.indices.map { "m\($0)=\(peer($0))" }.joined(separator: ","),
    ]
  }

  private func ports(_ count: Int) -> [(client: Int, peer: Int)] {
    let found = freePorts(count * 2)
    return (0..<count).map { (found[$0 * 2], found[$0 * 2 + 1]) }
  }

  @Test func aMemberTellsWhatItDoes() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let words = arguments(scratch, ports(1), 0)
    let member = try ServerProcess(
      words, variables: ["NOTIFY_SOCKET": socket.path], log: scratch.path + "/log")
    let before = try socket.waitFor("READY=1")
    #expect(before.contains { $0.hasPrefix("STATUS=") } && !before.contains("WATCHDOG=1"))
    #expect(before.contains("EXTEND_TIMEOUT_USEC=30000000"), "\(before)")
    try socket.waitFor("STATUS=leader")
    member.end()
    let end = try socket.waitFor("STOPPING=1")
    #expect(!end.contains("READY=1"))
    try socket.waitFor("STATUS=stopping")
    #expect(member.process.terminationStatus == SIGTERM)
  }

  /// The founders wait for each other; then one leads and two follow.
  @Test func joiningFollowersAndTheLeader() throws {
    let scratch = Scratch()
    let ports = ports(3)
    let sockets = try (0..<3).map { try NotifySocket("\(scratch.path)/notify\($0)") }
    func start(_ at: Int) throws -> ServerProcess {
      try ServerProcess(
        arguments(scratch, ports, at), variables: ["NOTIFY_SOCKET": sockets[at].path],
        log: "\(scratch.path)/log\(at)")
    }
    let first = try start(0)
    try sockets[0].waitFor("STATUS=joining")
    sockets[0].take(milliseconds: 1500)
    #expect(!sockets[0].told.contains("READY=1"), "alone it has no quorum")
    let members = [first, try start(1), try start(2)]
    for socket in sockets { try socket.waitFor("READY=1") }
    for socket in sockets { socket.take(milliseconds: 1500) }
    let last = sockets.map { $0.told.last { $0.hasPrefix("STATUS=") } ?? "" }
    #expect(last.filter { $0 == "STATUS=leader" }.count == 1, "\(last)")
    #expect(last.filter { $0.hasPrefix("STATUS=follower at lag ") }.count == 2, "\(last)")
    // Those that are left have no leader.
    for member in members.dropFirst() { member.end(by: SIGKILL) }
    try sockets[0].waitFor("STATUS=without a leader")
    first.end()
  }

  /// The watchdog hears nothing from a process of which a thread stands still.
  @Test func theWatchdogIsAnsweredWhileAllMoves() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let member = try ServerProcess(
      arguments(scratch, ports(1), 0),
      variables: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "2000000"],
      log: scratch.path + "/log")
    try socket.waitFor("READY=1")
    for _ in 0..<4 { try socket.waitFor("WATCHDOG=1", seconds: 2) }
    member.end()
  }

  /// A hung fsync is no life: systemd hears nothing until the disk moves.
  @Test(.enabled(if: HungDisk.compiler != nil && Binaries.ctl35 != nil))
  func theWatchdogIsNotAnsweredWhileTheDiskHangs() throws {
    let ctl = try #require(Binaries.ctl35)
    let scratch = Scratch()
    let disk = try HungDisk(scratch)
    let socket = try NotifySocket(scratch.path + "/notify")
    let ports = ports(1)
    let member = try ServerProcess(
      arguments(scratch, ports, 0),
      variables: disk.variables.merging(
        ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "2000000"]) { $1 },
      log: scratch.path + "/log")
    try socket.waitFor("READY=1")
    disk.hang()
    defer { disk.goOn() }
    let endpoints = ["--endpoints", "http://127.0.0.1:\(ports[0].client)"]
    let put = run(ctl, endpoints + ["--command-timeout", "1s", "put", "a", "b"])
    #expect(put.status != 0)
    try member.waitFor("parts of the member are stuck")
    #expect(member.log.contains("\"parts\":[\"log\"]"))
    socket.forget()
    socket.take(milliseconds: 3000)
    #expect(!socket.told.contains("WATCHDOG=1"), "\(socket.told)")
    disk.goOn()
    try socket.waitFor("WATCHDOG=1")
    #expect(member.log.contains("the member moves again"))
    #expect(run(ctl, endpoints + ["put", "a", "c"]).output == "OK\n")
    member.end()
  }

  @Test func hangUpReadsTheLogLevelAgain() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let ports = ports(1)[0]
    let path = scratch.path + "/etcd.yml"
    func write(_ more: String) throws {
      try """
      data-dir: '\(scratch.path)/data'
      listen-client-urls: http://127.0.0.1:\(ports.client)
      advertise-client-urls: http://127.0.0.1:\(ports.client)
      listen-peer-urls: http://127.0.0.1:\(ports.peer)
      initial-advertise-peer-urls: http://127.0.0.1:\(ports.peer)
      initial-cluster: default=http://127.0.0.1:\(ports.peer)
      \(more)
      """.write(toFile: path, atomically: true, encoding: .utf8)
    }
    try write("log-level: warn")
    let member = try ServerProcess(
      ["--config-file", path], variables: ["NOTIFY_SOCKET": socket.path], log: scratch.path + "/log"
    )
    try socket.waitFor("READY=1")
    #expect(!member.log.contains("\"level\":\"info\""))
    func reload() throws {
      kill(member.id, SIGHUP)
      let told = try socket.waitFor("RELOADING=1")
      #expect(!told.contains("READY=1"))
      let rest = try socket.waitFor("READY=1")
      #expect(rest.contains { $0.hasPrefix("MONOTONIC_USEC=") })
    }
    try write("log-level: debug\nmax-wals: 6")
    try reload()
    #expect(member.log.contains("\"from\":\"warn\",\"to\":\"debug\""))
    #expect(member.log.contains("other settings changed too"))
    try write("log-level: [")
    try reload()
    #expect(member.log.contains("failed to reload; what was read before counts"))
    #expect(member.log.contains("etcd.yml:8:1"))
    try write("log-level: error")
    try reload()
    let length = member.log.count
    #expect(httpGet("http://127.0.0.1:\(ports.client)/health")?.contains("true") == true)
    member.end()
    #expect(member.log.count == length, "a level of error tells nothing of an end")
  }

  /// systemd-socket-activate's protocol: sockets from descriptor 3 on, and who they are for.
  @Test func socketsThatAreHandedOverAreServed() throws {
    let scratch = Scratch()
    let ports = ports(1)
    let other = freePorts(1)[0]
    let words = arguments(scratch, ports, 0)
    // Python opens the sockets and becomes the member, with the process number that it had.
    let script = """
      import os, socket, sys
      held = []
      for port in (\(ports[0].client), \(other)):
          s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
          s.bind(("127.0.0.1", port)); s.listen(16); held.append(s)
      for number, s in enumerate(held):
          if s.fileno() != 3 + number: os.dup2(s.fileno(), 3 + number)
          os.set_inheritable(3 + number, True)
      os.environ["LISTEN_FDS"] = "2"; os.environ["LISTEN_PID"] = str(os.getpid())
      os.execv(sys.argv[1], sys.argv[1:])
      """
    let file = scratch.path + "/activate.py"
    try script.write(toFile: file, atomically: true, encoding: .utf8)
    let member = try ServerProcess(
      [file, Binaries.ours] + words, program: "/usr/bin/python3", log: scratch.path + "/log")
    try member.waitUntil("it is healthy") {
      httpGet("http://127.0.0.1:\(ports[0].client)/health")?.contains("true") == true
    }
    #expect(member.log.contains("\"msg\":\"a socket was handed over\""))
    #expect(
      member.log.contains(
        "\"msg\":\"a socket was handed over that no URL names; it is closed\",\"address\":\"127.0.0.1:\(other)\""
      ),
      "\(member.log.prefix(3000))")
    member.end()
  }
}
