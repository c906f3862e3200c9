import EtcdConfig
import GoText
import Testing

/// Runs the parser and expects a configuration.
func accepted(
  _ arguments: [String], _ environment: [String: String] = [:], files: [String: String] = [:],
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> (server: ServerConfig, log: LogConfig, notices: [Notice]) {
  let line = CommandLine.parse(arguments, environment: environment, readFile: reader(files))
  guard case .run(let server, let log, let notices) = line else {
    Issue.record("not accepted: \(line)", sourceLocation: sourceLocation)
    throw NotAccepted()
  }
  return (server, log, notices)
}

/// Reads files that are none.
func reader(_ files: [String: String]) -> CommandLine.FileReader {
  return { path, _ throws(UnreadableFile) in
    guard let text = files[path] else {
      throw UnreadableFile("open \(path): no such file or directory")
    }
    return Array(text.utf8)
  }
}

struct NotAccepted: Error {}

@Suite struct VerifyVariableTests {
  @Test func allTurnsTheChecksOn() throws {
    let all = try accepted([], ["ETCD_VERIFY": "all"])
    #expect(all.server.verifies)
    #expect(!all.notices.contains { $0.message.contains("environment variable") })
    #expect(try !accepted([], ["ETCD_VERIFY": ""]).server.verifies)
    let other = try accepted([], ["ETCD_VERIFY": "some"])
    #expect(!other.server.verifies)
    let notice = other.notices.first { $0.message.hasPrefix("environment variable has no effect") }
    #expect(notice?.level == .warn)
    #expect(notice?.fields.map(\.value) == ["ETCD_VERIFY=some"])
  }
}

/// The message and exit code of a refused command line; `nil` when it is not refused.
func refusal(
  _ arguments: [String], _ environment: [String: String] = [:], files: [String: String] = [:]
) -> (message: String, usage: Bool, exitCode: Int32)? {
  switch CommandLine.parse(arguments, environment: environment, readFile: reader(files)) {
  case .failure(let message, let usage, let exitCode): return (message, usage, exitCode)
  case .run(let server, _, _):
    return server.bootstrapProblem { _ in nil }.map { ($0, false, 1) }
  case .version, .help, .checked: return nil
  }
}

@Suite struct CommandLineTests {
  @Test(arguments: BadCommandLine.all)
  func badCommandLine(_ line: BadCommandLine) throws {
    let found = try #require(refusal(line.arguments, line.environment))
    #expect(found.message == line.message)
    #expect(found.exitCode == line.exitCode)
    #expect(found.usage == line.isUsage)
  }

  @Test(
    .enabled(if: OfficialBinary.path != nil, "needs etcd 3.5: scripts/setup.sh installs it"),
    arguments: BadCommandLine.all)
  func badCommandLineAsOfficial(_ line: BadCommandLine) throws {
    var arguments = line.arguments
    if line.atBootstrap {
      arguments += [
        "--listen-peer-urls", "http://127.0.0.1:0", "--listen-client-urls", "http://127.0.0.1:0",
        "--advertise-client-urls", "http://127.0.0.1:1",
      ]
    }
    let found = try OfficialBinary.run(
      try #require(OfficialBinary.path), arguments, environment: line.environment)
    #expect(found.failure == line.message)
    #expect(found.exitCode == line.exitCode)
  }

  @Test func nothingGivenIsTheDefaultMember() throws {
    let found = try accepted([])
    var expected = ServerConfig()
    let peer = ListenURL(scheme: .http, host: "localhost", port: 2380)
    expected.listenPeerURLs = [peer]
    expected.listenClientURLs = [ListenURL(scheme: .http, host: "localhost", port: 2379)]
    expected.initialCluster = ["default": ["http://localhost:2380"]]
    #expect(found.server == expected)
    #expect(found.log == LogConfig())
    #expect(found.notices.map(\.message) == ["'data-dir' was empty; using default"])
    #expect(found.server.bootstrapProblem { _ in nil } == nil)
  }

  @Test func aNameAloneRenamesTheCluster() throws {
    let found = try accepted(["--name", "m1"]).server
    #expect(found.initialCluster == ["m1": ["http://localhost:2380"]])
    #expect(found.dataDirectory == "m1.etcd")
    let urls = "http://10.0.0.1:2380,http://10.0.0.1:7001"
    let several = try accepted(["--name=m1", "--initial-advertise-peer-urls", urls]).server
    #expect(several.initialCluster == ["m1": ["http://10.0.0.1:2380", "http://10.0.0.1:7001"]])
    let given = try accepted(["--name=m1", "--initial-cluster", "m1=http://a:1,m2=http://b:1"])
    #expect(given.server.initialCluster == ["m1": ["http://a:1"], "m2": ["http://b:1"]])
  }

  @Test func syntaxIsGos() throws {
    for form in [
      ["-name", "x"], ["--name", "x"], ["-name=x"], ["--name=x"], ["--name=y", "-name=x"],
    ] {
      #expect(try accepted(form).server.name == "x")
    }
    #expect(try accepted(["--name", "--name"]).server.name == "--name")
    #expect(try accepted(["--name=a=b"]).server.name == "a=b")
    #expect(try accepted(["--name", "x", "--"]).server.name == "x")
    #expect(try accepted(["--pre-vote=F"]).server.preVote == false)
    #expect(try accepted(["--pre-vote=0", "--pre-vote"]).server.preVote)
    #expect(try accepted(["--unsafe-no-fsync", "--name", "x"]).server.unsafeNoFsync)
    #expect(try accepted(["--snapshot-count", "0x10"]).server.snapshotCount == 16)
    #expect(try accepted(["--snapshot-count", "0b1_1"]).server.snapshotCount == 3)
    #expect(try accepted(["--snapshot-count", "010"]).server.snapshotCount == 8)
    #expect(try accepted(["--quota-backend-bytes", "-1"]).server.quota == nil)
    #expect(try accepted(["--max-concurrent-streams", "7"]).server.maxConcurrentStreams == 7)
    #expect(
      refusal(["--max-concurrent-streams", "4294967296"])?.message
        == "invalid value \"4294967296\" for flag -max-concurrent-streams: strconv.ParseUint:"
        + " parsing \"4294967296\": value out of range")
  }

  @Test func durationsAreGos() throws {
    func interval(_ text: String) throws -> Int {
      try accepted(["--grpc-keepalive-interval", text]).server.keepaliveInterval
    }
    #expect(try interval("1h2m3s") == 3_723_000)
    #expect(try interval("1.5s") == 1500)
    #expect(try interval(".5s") == 500)
    #expect(try interval("0") == 0)
    #expect(try interval("1us") == 1)
    #expect(try interval("100\u{b5}s") == 1)
    for bad in ["", "s", "1", "1.s.", "--1s", "9999999999h", "1h 2m", "+"] {
      #expect(refusal(["--grpc-keepalive-interval=\(bad)"])?.exitCode == 2, "\(bad)")
    }
  }

  @Test func urlListsAreSortedAndUnique() throws {
    let found = try accepted([
      "--listen-client-urls", "http://[::1]:3, http://127.0.0.1:2,http://127.0.0.1:2",
      "--advertise-client-urls", "http://b:2,http://a:1", "--listen-metrics-urls",
      "unix:///run/etcd.sock",
    ]).server
    #expect(
      found.listenClientURLs.map(\.description) == ["http://127.0.0.1:2", "http://[::1]:3"])
    #expect(found.advertiseClientURLs == ["http://a:1", "http://b:2"])
    #expect(
      found.listenMetricsURLs == [ListenURL(scheme: .unix, host: "/run/etcd.sock", port: 0)])
    let kept = try accepted(["--listen-peer-urls", "", "--cors", "http://x:1"]).server
    #expect(kept.listenPeerURLs.map(\.description) == ["http://localhost:2380"])
    #expect(kept.corsOrigins == ["http://x:1"])
    #expect(refusal(["--listen-peer-urls", "http://127.0.0.1:65536"])?.exitCode == 1)
  }

  @Test func versionAndHelpEndTheReading() {
    guard
      case .version(let text) = CommandLine.parse(
        ["--version"], environment: [:], readFile: reader([:]))
    else {
      Issue.record("no version")
      return
    }
    let lines = text.split(separator: "\n")
    #expect(lines.first == "etcd Version: \(ServerVersion.etcd)")
    #expect(
      lines.map { $0.prefix { $0 != ":" } }
        == ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch"])
    #expect(refusal(["--version", "--heartbeat-interval", "0"]) == nil)
    #expect(refusal(["--version=false", "--heartbeat-interval", "0"]) != nil)
    for flag in ["-h", "--help", "-help"] {
      guard
        case .help(let help) = CommandLine.parse(
          [flag, "--bad"], environment: [:], readFile: reader([:]))
      else {
        Issue.record("no help for \(flag)")
        continue
      }
      for name in ["--listen-client-urls 'http://localhost:2379'", "--unsafe-no-fsync"] {
        #expect(help.contains(name))
      }
    }
    #expect(refusal(["--bad", "-h"])?.exitCode == 2)
  }
}
