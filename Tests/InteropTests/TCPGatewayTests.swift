import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// `etcd gateway` as a process, beside Go's.
@Suite(.serialized) struct TCPGatewayTests {
  /// What ends at once, and the same for both.
  static let endings = [
    "gateway", "gateway --help", "gateway -h", "gateway help", "gateway start --help",
    "gateway bogus", "gateway start --bogus", "gateway start extra --help", "gateway start -x",
    "gateway start --endpoints=a:1 --listen-addr foo",
    "gateway start --endpoints=127.0.0.1:23790",
    "gateway start --endpoints=localhost:23790 --listen-addr=localhost:23790",
    "gateway start --endpoints=https://u@127.0.0.1:23799/ --listen-addr=127.0.0.1:23799",
    "gateway start --retry-delay=x", "gateway start --endpoints", "gateway start --endpoints=",
    "gateway --endpoints=a", "gateway start --insecure-discovery=x",
    "gateway start --endpoints=http://127.0.0.1:1/x --listen-addr=256.0.0.1:1",
    "gateway start --endpoints=nosuch.invalid:1",
    "gateway start --endpoints=127.0.0.1:1 --listen-addr=:23790",
    "gateway start --endpoints=127.0.0.1:1 --listen-addr=1.2.3.4:23790",
    "gateway start --endpoints=127.0.0.1:1 --listen-addr=127.0.0.1:99999",
    "gateway start --endpoints=127.0.0.1:1 --listen-addr=127.0.0.1:abc",
  ]

  /// Without what differs between two runs.
  private func comparable(_ text: String) -> String {
    text.replacing(#/"ts":[^,]+/#, with: "").replacing(#/"caller":"[^"]+"/#, with: "")
      .replacing(#/"args":\["[^"]+"/#, with: "")
  }

  @Test(.enabled(if: Binaries.go35 != nil), arguments: endings)
  func commandLinesAreAnsweredAsByGo(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    let go = run(try #require(Binaries.go35), words)
    let ours = run(Binaries.ours, words)
    #expect(ours.status == go.status && ours.output == go.output)
    #expect(comparable(ours.error) == comparable(go.error))
  }

  /// 3.4's texts are the same but for the log, which is no JSON there.
  @Test(.enabled(if: Binaries.go34 != nil), arguments: Array(endings.prefix(8)))
  func helpIsThatOf34(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    #expect(run(Binaries.ours, words) == run(try #require(Binaries.go34), words))
  }

  /// What Go refuses without saying what would do.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: ["foo", "a:1,"])
  func refusalsSayWhatToWrite(_ endpoints: String) throws {
    let words = ["gateway", "start", "--endpoints=\(endpoints)"]
    let go = run(try #require(Binaries.go35), words)
    let ours = run(Binaries.ours, words)
    #expect(ours.status == go.status && ours.output == go.output)
    #expect(ours.error.contains("Hint: write each endpoint as HOST:PORT, as in "))
  }

  /// A gateway that serves, on a free port.
  private func gateway(
    _ scratch: Scratch, _ endpoints: [String], _ more: [String] = [],
    program: String = Binaries.ours, variables: [String: String] = [:]
  ) throws -> (process: ServerProcess, port: Int) {
    let port = freePorts(1)[0]
    let process = try ServerProcess(
      ["gateway", "start", "--endpoints=" + endpoints.joined(separator: ",")]
        + ["--listen-addr=127.0.0.1:\(port)"] + more, program: program, variables: variables,
      log: "\(scratch.path)/gateway.\(port)")
    try process.waitFor("ready to proxy client requests")
    return (process, port)
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func theLogSaysTheSame() throws {
    let scratch = Scratch()
    let endpoints = ["127.0.0.1:2379", "http://127.0.0.1:22379", "https://localhost:32379/x"]
    var logs: [String] = []
    for program in [try #require(Binaries.go35), Binaries.ours] {
      let started = try gateway(scratch, endpoints, program: program)
      let text = comparable(started.process.log)
      logs.append(text.replacing("\(started.port)", with: "PORT"))
      started.process.end()
      #expect(started.process.process.terminationStatus == SIGTERM)
    }
    #expect(logs[1] == logs[0] && logs[0].contains(#"["127.0.0.1:2379","127.0.0.1:22379","#))
  }

  @Test func systemdIsToldAndSIGTERMEndsConnections() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let server = RawSocket.listening()
    let (process, port) = try gateway(
      scratch, ["127.0.0.1:\(server.port)"], variables: ["NOTIFY_SOCKET": socket.path])
    try socket.waitFor("READY=1")
    let client = RawSocket.connected(to: port)
    let accepted = server.accepted()
    client.send("x")
    #expect(accepted.receive().text == "x")
    #expect(process.end() < 5)
    #expect(process.process.terminationStatus == SIGTERM)
    #expect(client.receive() == .end && accepted.receive() == .end)
  }

  /// Three members of ours, which end with the process objects.
  private func members(_ scratch: Scratch) throws -> (members: [ServerProcess], clients: [String]) {
    let ports = freePorts(6)
    let peers = (0..<3).map { "http://127.0.0.1:\(ports[$0])" }
    let clients = (3..<6).map { "127.0.0.1:\(ports[$0])" }
    let members = try (0..<3).map { at in
      try ServerProcess(
        [
          "--name", "m\(at)", "--data-dir", "\(scratch.path)/m\(at)",
          "--listen-client-urls", "http://\(clients[at])",
          "--advertise-client-urls", "http://\(clients[at])", "--listen-peer-urls", peers[at],
          "--initial-advertise-peer-urls", peers[at], "--initial-cluster",
          (0..<3).map { "m\($0)=\(peers[$0])" }.joined(separator: ","),
        ], log: "\(scratch.path)/log\(at)")
    }
    for member in members { try member.waitFor("ready to serve client requests") }
    return (members, clients)
  }

  /// Each command is a connection of its own; a third of them meets the member that is gone.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func etcdctlGoesOnWithoutAMember() throws {
    let scratch = Scratch()
    let control = try #require(Binaries.ctl35)
    let (members, clients) = try members(scratch)
    let (process, port) = try gateway(scratch, clients)
    func etcdctl(_ words: String...) -> Finished {
      run(control, ["--endpoints=127.0.0.1:\(port)"] + words)
    }
    for number in 0..<3 { #expect(etcdctl("put", "k", "\(number)").output == "OK\n") }
    members[1].end(by: SIGKILL)
    // It may have led: until another does, a put waits longer than etcdctl.
    let late = Date().addingTimeInterval(30)
    while etcdctl("put", "k", "2").status != 0, Date() < late {}
    for number in 3..<9 {
      #expect(etcdctl("put", "k", "\(number)").output == "OK\n")
      #expect(etcdctl("get", "k").output == "k\n\(number)\n")
    }
    let why = "dial tcp \(clients[1]): connect: connection refused"
    try process.waitFor(
      #""msg":"deactivated endpoint","address":"\#(clients[1])","interval":"1m0s","error":"\#(why)""#
    )
    process.end()
  }

  /// The watch's member is killed under it; it goes on with another.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aWatchSurvivesItsMember() throws {
    let scratch = Scratch()
    let control = try #require(Binaries.ctl35)
    let (members, clients) = try members(scratch)
    let (process, port) = try gateway(scratch, clients)
    let watch = try Running(control, ["--endpoints=127.0.0.1:\(port)", "watch", "k"], [:])
    // The first connection goes to the first endpoint.
    func put(_ value: String) {
      #expect(run(control, ["--endpoints=\(clients[2])", "put", "k", value]).output == "OK\n")
    }
    var value = 0
    let late = Date().addingTimeInterval(20)
    while watch.output.isEmpty, Date() < late {
      value += 1
      put("v\(value)")
    }
    try watch.wait(for: "v\(value)")
    members[0].end(by: SIGKILL)
    put("later")
    try watch.wait(for: "later")
    _ = watch.end(SIGTERM)
    process.end()
  }

  /// A gibibyte, compared piece by piece, each way.
  @Test func aGibibytePasses() throws {
    let scratch = Scratch()
    let server = RawSocket.listening()
    let (process, port) = try gateway(scratch, ["127.0.0.1:\(server.port)"])
    let client = RawSocket.connected(to: port)
    let accepted = server.accepted()
    var random = SystemRandomNumberGenerator()
    let piece = (0..<(1 << 20)).map { _ in UInt8.random(in: 0...255, using: &random) }
    for (from, to) in [(client, accepted), (accepted, client)] {
      let sender = Foundation.Thread {
        for _ in 0..<1024 where !from.send(piece) { break }
        from.endOutput()
      }
      sender.start()
      var count = 0
      var isSame = true
      while case .bytes(let bytes) = to.receive(1 << 18) {
        var at = 0
        while at < bytes.count {
          let begin = count % piece.count
          let length = min(bytes.count - at, piece.count - begin)
          isSame =
            isSame
            && bytes.withUnsafeBytes { one in
              piece.withUnsafeBytes { other in
                memcmp(one.baseAddress! + at, other.baseAddress! + begin, length) == 0
              }
            }
          (at, count) = (at + length, count + length)
        }
      }
      #expect(count == 1 << 30 && isSame)
    }
    process.end()
  }

  /// As many as the limit of open files allows; the others wait and are served later.
  @Test func connectionsAreBoundedByTheLimitOfOpenFiles() throws {
    let scratch = Scratch()
    let server = RawSocket.listening()
    let port = freePorts(1)[0]
    let gateway = try ServerProcess(
      [
        "-c", "ulimit -n 256; exec \"$0\" \"$@\"", Binaries.ours, "gateway", "start",
        "--endpoints=127.0.0.1:\(server.port)", "--listen-addr=127.0.0.1:\(port)",
      ], program: "/bin/bash", log: scratch.path + "/log")
    try gateway.waitFor("ready to proxy client requests")
    var clients = (0..<150).map { _ in RawSocket.connected(to: port) }
    try gateway.waitFor("the limit of open files allows no more connections")
    #expect(gateway.log.contains(#""open-files-limit":256"#))
    #expect(clients.count == 150)
    clients = []
    let late = RawSocket.connected(to: port)
    late.send("late")
    // Those that had been accepted, or waited, come first.
    var answered = false
    for _ in 0...150 where !answered { answered = server.accepted().receive().text == "late" }
    #expect(answered)
    gateway.end()
  }
}
