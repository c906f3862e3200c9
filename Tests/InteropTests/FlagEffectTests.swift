import Foundation
import TestSupport
import Testing

/// Flags by what a running member does differently.
@Suite(.serialized) struct FlagEffectTests {
  /// A member that is alone, with more flags, once it serves.
  private struct Member {
    let scratch = Scratch()
    let client: Int
    let process: ServerProcess
    var endpoint: String { "http://127.0.0.1:\(client)" }

    init(_ flags: [String] = [], isReady: Bool = true) throws {
      let ports = freePorts(2)
      client = ports[0]
      let peer = "http://127.0.0.1:\(ports[1])"
      var words = [
        "--data-dir", scratch.path + "/data", "--listen-peer-urls", peer,
        "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=\(peer)",
      ]
      if !flags.contains("--listen-client-urls") {
        words += ["--listen-client-urls", "http://127.0.0.1:\(client)"]
      }
      words += ["--advertise-client-urls", "http://127.0.0.1:\(client)"] + flags
      process = try ServerProcess(words, log: scratch.path + "/log")
      if isReady { try process.waitFor("ready to serve client requests") }
    }

    func ask(_ path: String) -> String { httpGet(endpoint + path) ?? "" }
    func put(_ endpoint: String) throws -> Finished {
      run(try #require(Binaries.ctl35), ["--endpoints", endpoint, "put", "a", "b"])
    }
  }

  @Test(.enabled(if: Binaries.ctl35 != nil)) func listenClientHTTPURLs() throws {
    let http = freePorts(1)[0]
    let member = try Member(["--listen-client-http-urls", "http://127.0.0.1:\(http)"])
    #expect(httpGet("http://127.0.0.1:\(http)/health")?.contains("true") == true)
    #expect(httpGet(member.endpoint + "/health") == nil, "gRPC alone is served there")
    #expect(try member.put(member.endpoint).output == "OK\n")
    #expect(member.process.log.contains("\"traffic\":\"grpc\""))
    #expect(member.process.log.contains("\"traffic\":\"http\""))
    member.process.end()
  }

  @Test(.enabled(if: Binaries.ctl35 != nil), arguments: ["basic", "extensive"])
  func listenMetricsURLsAndMetrics(_ level: String) throws {
    let port = freePorts(1)[0]
    let member = try Member([
      "--listen-metrics-urls", "http://127.0.0.1:\(port)", "--metrics", level,
    ])
    #expect(try member.put(member.endpoint).output == "OK\n")
    let metrics = httpGet("http://127.0.0.1:\(port)/metrics") ?? ""
    #expect(metrics.contains("\netcd_server_has_leader 1\n"))
    #expect(metrics.contains("grpc_server_handling_seconds_bucket") == (level == "extensive"))
    #expect(httpGet("http://127.0.0.1:\(port)/health")?.contains("true") == true)
    #expect(httpGet("http://127.0.0.1:\(port)/version")?.contains("etcdserver") != true)
    member.process.end()
  }

  /// Twice: a socket that a killed process left behind is in nobody's way.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func unixURLs() throws {
    let folder = Scratch()
    let path = folder.path + "/etcd.sock"
    for signal in [SIGKILL, SIGTERM] {
      let member = try Member(["--listen-client-urls", "unix://\(path)"])
      let health = run("/usr/bin/curl", ["-s", "--unix-socket", path, "http://localhost/health"])
      #expect(health.output.contains("\"health\":\"true\""), "\(health.error)")
      let put = try member.put("unix://\(path)")
      #expect(put.output == "OK\n", "\(put.error)")
      member.process.end(by: signal)
      #expect(FileManager.default.fileExists(atPath: path) == (signal == SIGKILL))
    }
  }

  /// One by default, as in Go.
  @Test(.enabled(if: Binaries.ctl35 != nil), arguments: [0, 1, 3])
  func maxLearners(_ most: Int) throws {
    let member = try Member(most == 1 ? [] : ["--max-learners", "\(most)"])
    let ctl = try #require(Binaries.ctl35)
    for number in 0...most {
      // A learner that never starts counts for no quorum.
      let added = run(
        ctl,
        [
          "--endpoints", member.endpoint, "member", "add", "l\(number)", "--learner",
          "--peer-urls", "http://127.0.0.1:1\(number)",
        ])
      #expect((added.status == 0) == (number < most), "\(added)")
      let isRefused = added.error.contains("etcdserver: too many learner members in cluster")
      #expect(isRefused == (number == most), "\(added)")
    }
    member.process.end()
  }

  @Test func socketReusePort() throws {
    let first = try Member(["--socket-reuse-port"])
    let shared = ["--listen-client-urls", first.endpoint]
    let second = try Member(shared + ["--socket-reuse-port"])
    #expect(second.process.process.isRunning)
    let third = try Member(shared, isReady: false)
    third.process.process.waitUntilExit()
    #expect(third.process.process.terminationStatus == 1)
    #expect(third.process.log.contains("address already in use"))
    first.process.end()
    second.process.end()
  }

  @Test(.enabled(if: Binaries.ctl35 != nil)) func logOutputsLevelAndFormat() throws {
    let folder = Scratch()
    let file = folder.path + "/etcd.log"
    let member = try Member([
      "--log-outputs", "stdout,\(file)", "--log-level", "debug", "--log-format", "console",
    ])
    #expect(try member.put(member.endpoint).output == "OK\n")
    member.process.end()
    let written = try String(contentsOfFile: file, encoding: .utf8)
    #expect(written == member.process.log)
    #expect(written.contains("\tinfo\t") && written.contains("\tdebug\t"))
    let quiet = try Member(["--log-level", "error"], isReady: false)
    try quiet.process.waitUntil("it is healthy") { quiet.ask("/health").contains("true") }
    quiet.process.end()
    #expect(quiet.process.log.isEmpty, "\(quiet.process.log)")
  }

  @Test(.enabled(if: !FileManager.default.fileExists(atPath: "/run/systemd/journal/socket")))
  func logOutputsJournalWithoutOne() {
    let found = run(Binaries.ours, ["--log-outputs", "systemd/journal"])
    #expect(found.status == 1 && found.error.contains("can't find journal"))
  }

  @Test func enablePprof() throws {
    let without = try Member()
    #expect(httpGet(without.endpoint + "/debug/pprof/times")?.contains("wal_fsync") != true)
    without.process.end()
    let member = try Member(["--enable-pprof"])
    #expect(member.ask("/debug/pprof/times").contains("\"wal_fsync\":{\"count\":"))
    #expect(member.ask("/debug/pprof/profile?seconds=1").contains(" etcd-core\n"))
    member.process.end()
  }

  @Test(.enabled(if: Binaries.ctl35 != nil), arguments: ["", "experimental-"])
  func warningUnaryRequestDuration(_ prefix: String) throws {
    let member = try Member(["--\(prefix)warning-unary-request-duration", "1ns"])
    // Not each takes measurable time.
    try member.process.waitUntil("its log has request stats") {
      _ = try? member.put(member.endpoint)
      return member.process.log.contains("request stats")
    }
    member.process.end()
  }
}
