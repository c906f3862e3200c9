import Foundation
import TestSupport
import Testing

/// How the server lives and ends as a process.
@Suite(.serialized) struct ProcessTests {
  /// A member of its own on free ports.
  private func started(
    _ extra: [String] = [], variables: [String: String] = [:]
  ) throws -> (Cluster, Foundation.Process) {
    let cluster = Cluster([Binaries.ours])
    let member = cluster.members[0]
    let process = Foundation.Process()
    process.executableURL = URL(fileURLWithPath: Binaries.ours)
    process.arguments = member.arguments + extra
    process.environment = ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("ETCD") }.merging(variables) { $1 }
    _ = FileManager.default.createFile(atPath: member.directory + ".log", contents: nil)
    let log = FileHandle(forWritingAtPath: member.directory + ".log")
    process.standardOutput = log
    process.standardError = log
    try process.run()
    let deadline = Date().addingTimeInterval(30)
    while Date() < deadline, process.isRunning {
      if member.log.contains("ready to serve client requests") { return (cluster, process) }
      usleep(10_000)
    }
    process.terminate()
    throw NotHealthy(description: "not ready; its log ends: \(member.log.suffix(4000))")
  }

  private func end(_ process: Foundation.Process, by signal: Int32) {
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
  }

  /// systemd and kubelet tell a stop that was asked for from a failure by this.
  @Test(arguments: [SIGTERM, SIGINT])
  func itEndsByTheSignal(_ signal: Int32) throws {
    let (cluster, process) = try started()
    end(process, by: signal)
    #expect(process.terminationReason == .uncaughtSignal)
    #expect(process.terminationStatus == signal)
    let name = signal == SIGTERM ? "terminated" : "interrupt"
    #expect(cluster.members[0].log.contains("\"signal\":\"\(name)\""))
    #expect(cluster.members[0].log.contains("closed etcd server"))
  }

  @Test func signalsThatGoDoesNotMindLeaveItAlone() throws {
    let (cluster, process) = try started()
    let ignored = [
      SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGXCPU, SIGXFSZ, SIGPIPE,
      SIGCHLD, SIGWINCH, SIGURG, SIGCONT, 40, 64,
    ]
    for signal in ignored { kill(process.processIdentifier, signal) }
    try cluster.members[0].waitServing(process)
    end(process, by: SIGTERM)
    #expect(process.terminationStatus == SIGTERM)
  }

  /// Writes, leases, a defragmentation and a restart, with every check on.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aMemberThatVerifiesServes() throws {
    let ctl = try #require(Binaries.ctl35)
    let (cluster, process) = try started(variables: ["ETCD_VERIFY": "all"])
    func etcdctl(_ words: String...) -> String {
      run(ctl, ["--endpoints", cluster.members[0].endpoint] + words).output
    }
    #expect(etcdctl("put", "greeting", "hello") == "OK\n")
    #expect(etcdctl("lease", "grant", "60").contains("granted"))
    #expect(etcdctl("defrag").contains("Finished"))
    for number in 0..<20 { _ = etcdctl("put", "greeting", "hello \(number)") }
    #expect(etcdctl("compact", "9") == "compacted revision 9\n")
    #expect(etcdctl("get", "greeting", "--print-value-only") == "hello 19\n")
    end(process, by: SIGTERM)
    let log = cluster.members[0].log
    #expect(process.terminationStatus == SIGTERM)
    #expect(log.contains("checks of whole structures are on (ETCD_VERIFY=all)"))
    #expect(!log.contains("\"level\":\"fatal\""))
  }

  /// The greatest value of every number and time: what does not fit is clamped, nothing traps.
  @Test func theGreatestNumbersStart() throws {
    let (signed, unsigned) = ("9223372036854775807", "18446744073709551615")
    var flags = [
      "--max-request-bytes=\(unsigned)", "--max-txn-ops=\(unsigned)",
      "--snapshot-count=\(unsigned)", "--experimental-snapshot-catchup-entries=\(unsigned)",
      "--max-snapshots=\(unsigned)", "--max-wals=\(unsigned)",
      "--max-concurrent-streams=4294967295", "--auth-token-ttl=\(unsigned)",
      "--bcrypt-cost=\(unsigned)", "--quota-backend-bytes=\(signed)",
      "--backend-batch-limit=\(signed)", "--experimental-compaction-batch-limit=\(signed)",
      "--experimental-bootstrap-defrag-threshold-megabytes=\(unsigned)",
      "--auto-compaction-mode=revision", "--auto-compaction-retention=\(signed)",
    ]
    for name in [
      "grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout",
      "backend-batch-interval", "raft-read-timeout", "raft-write-timeout",
      "experimental-corrupt-check-time", "experimental-compact-hash-check-time",
      "experimental-downgrade-check-time", "experimental-compaction-sleep-interval",
      "experimental-watch-progress-notify-interval", "experimental-warning-apply-duration",
    ] {
      flags.append("--\(name)=2562047h47m16.854775807s")
    }
    let (cluster, process) = try started(flags)
    try cluster.members[0].waitServing(process)
    if let ctl = Binaries.ctl35 {
      let put = run(ctl, ["--endpoints", cluster.members[0].endpoint, "put", "a", "b"])
      #expect(put.output == "OK\n")
    }
    end(process, by: SIGTERM)
    #expect(process.terminationStatus == SIGTERM)
    #expect(process.terminationReason == .uncaughtSignal)
    let smaller = try started(["--max-request-bytes=\(signed)"]).1
    end(smaller, by: SIGTERM)
    #expect(smaller.terminationReason == .uncaughtSignal)
  }

  /// Whoever may try to log in chooses the name, not how much of it the log holds.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aFailingLoginLogsTheBeginningOfTheName() throws {
    let ctl = try #require(Binaries.ctl35)
    let (cluster, process) = try started()
    let endpoints = ["--endpoints", cluster.members[0].endpoint]
    for words in [
      ["user", "add", "root:root"], ["user", "grant-role", "root", "root"], ["auth", "enable"],
    ] {
      let done = run(ctl, endpoints + words)
      #expect(done.status == 0, "\(words): \(done.error)")
    }
    let name = String(repeating: "n", count: 5_000)
    #expect(run(ctl, endpoints + ["--user", name + ":x", "get", "a"]).status != 0)
    end(process, by: SIGTERM)
    let log = cluster.members[0].log
    #expect(log.contains("invalid authentication was requested"))
    #expect(log.contains(String(repeating: "n", count: 128) + "… (5000 bytes)"))
    #expect(!log.contains(String(repeating: "n", count: 200)))
  }

  /// systemd is told once clients are served; the socket's name may be abstract.
  @Test(arguments: [false, true])
  func systemdIsTold(_ isAbstract: Bool) throws {
    let scratch = Scratch()
    let socket = try NotifySocket(
      isAbstract ? "@etcd-test-\(getpid())" : scratch.path + "/notify")
    let (cluster, process) = try started(variables: ["NOTIFY_SOCKET": socket.path])
    try socket.waitFor("READY=1")
    end(process, by: SIGTERM)
    #expect(cluster.members[0].log.contains("successfully notified init daemon"))
  }

  /// As the first process of a container it cannot end by the signal, which the kernel keeps from it:
  /// exit code 0, as by Go.
  @Test(.enabled(if: Binaries.canUnshare)) func theFirstProcessEndsWithZero() throws {
    let scratch = Scratch()
    let ports = freePorts(2)
    let (client, peer) = ("http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
    let process = Foundation.Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
    process.arguments = [
      "--pid", "--fork", "--mount-proc", "--kill-child", Binaries.ours, "--data-dir",
      scratch.path + "/d", "--listen-client-urls", client, "--advertise-client-urls", client,
      "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
      "default=\(peer)",
    ]
    let log = scratch.path + "/log"
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process.standardOutput = FileHandle(forWritingAtPath: log)
    process.standardError = process.standardOutput
    try process.run()
    func text() -> String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
    let deadline = Date().addingTimeInterval(30)
    while process.isRunning, !text().contains("ready to serve client requests"), Date() < deadline {
      usleep(10_000)
    }
    // The child of `unshare`, which passes its end on.
    let parent = process.processIdentifier
    let children = try String(
      contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
    let child = try #require(Int32(children.split(separator: " ").first ?? ""), "\(text())")
    kill(child, SIGTERM)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 0)
    #expect(text().contains("\"signal\":\"terminated\""))
  }

  /// Others could read the keys: told, as by etcd, with the mode that it should have.
  @Test func aDirectoryThatOthersMayReadIsTold() throws {
    let scratch = Scratch()
    let directory = scratch.path + "/open"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false,
      attributes: [.posixPermissions: 0o777])
    // What the process creates is subject to its umask; the directory was made before.
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: directory)
    let (cluster, process) = try started(["--data-dir", directory])
    end(process, by: SIGTERM)
    let line =
      cluster.members[0].log.split(separator: "\n")
      .first { $0.contains("\"msg\":\"check file permission\"") } ?? ""
    #expect(line.contains("\"level\":\"warn\""), "\(cluster.members[0].log.suffix(2000))")
    #expect(line.contains("the permission is \\\"drwxrwxrwx\\\""), "\(line)")
    let (own, second) = try started()
    end(second, by: SIGTERM)
    #expect(!own.members[0].log.contains("check file permission"))
  }

  @Test func tooFewDescriptorsAreTold() {
    let limited = run(
      "/bin/sh",
      [
        "-c", "ulimit -n 120; exec \"$0\" \"$@\"", Binaries.ours, "--data-dir",
        Scratch().path + "/d",
      ], timeout: 20)
    #expect(limited.status == 1)
    #expect(limited.error.contains("file descriptor limit of etcd process is too low"))
  }

  @Test func aLogFileMayRotate() throws {
    let scratch = Scratch()
    let (_, process) = try started([
      "--log-outputs=stderr,\(scratch.path)/etcd.log", "--enable-log-rotation",
      #"--log-rotation-config-json={"maxsize": 1, "maxbackups": 2}"#,
    ])
    end(process, by: SIGTERM)
    let log = try String(contentsOfFile: scratch.path + "/etcd.log", encoding: .utf8)
    #expect(log.contains("ready to serve client requests"))
    let missing = run(
      Binaries.ours, ["--log-outputs=/proc/none/etcd.log", "--data-dir", scratch.path + "/d"])
    #expect(missing.status == 1)
    #expect(missing.error.contains("couldn't open sink"))
  }

  /// Where the system does not let a process lock its memory, the start ends with etcd's words.
  @Test func memoryThatCannotBeLockedEndsTheStart() throws {
    // The superuser may lock what it likes unless that right is taken away.
    let script = """
      ulimit -l 64
      [ "$(id -u)" != 0 ] || set -- setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock "$@"
      exec "$@"
      """
    let limited = run(
      "/bin/sh",
      [
        "-c", script, "sh", Binaries.ours, "--experimental-memory-mlock", "--data-dir",
        Scratch().path + "/d",
      ], timeout: 20)
    #expect(limited.status == 2)
    #expect(limited.error.contains("mlock error: cannot allocate memory"))
  }
}

extension Member {
  /// Waits until the member answers its health check.
  fileprivate func waitServing(_ process: Foundation.Process) throws {
    let deadline = Date().addingTimeInterval(30)
    while Date() < deadline, process.isRunning {
      if httpGet("\(endpoint)/health")?.contains("\"health\":\"true\"") == true { return }
      usleep(20_000)
    }
    throw NotHealthy(description: "\(name) does not serve; its log ends: \(log.suffix(4000))")
  }
}
