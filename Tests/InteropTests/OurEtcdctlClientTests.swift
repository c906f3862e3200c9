import Foundation
import TestSupport
import Testing

/// What our etcdctl does between its user and its servers: input, tokens, retries, endpoints.
@Suite(.serialized) struct OurEtcdctlClientTests {
  private static func started(_ extra: [String] = []) throws -> Cluster {
    let cluster = Cluster([Binaries.ours], extra: extra)
    try cluster.start()
    return cluster
  }

  /// A command whose input stays open.
  private final class Dialogue {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ arguments: [String], input: Pipe? = nil) throws {
      process.executableURL = URL(fileURLWithPath: Binaries.ourCtl)
      process.arguments = arguments
      // A pipe itself would be closed in this process, though the next command reads on from it.
      process.standardInput = (input ?? self.input).fileHandleForReading
      process.standardOutput = output
      process.standardError = output
      try process.run()
    }

    func type(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

    /// Waits until it says something.
    func prompt() -> String {
      String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    }

    /// Waits for the end; the input is open until then.
    func end(within seconds: TimeInterval = 20) -> (status: Int32, text: String)? {
      let pid = process.processIdentifier
      let late = Date().addingTimeInterval(seconds)
      while process.isRunning, Date() < late { usleep(10_000) }
      guard !process.isRunning else {
        kill(pid, SIGKILL)
        process.waitUntilExit()
        return nil
      }
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      return (process.terminationStatus, text)
    }
  }

  @Test func passwordsEndWithTheirLine() throws {
    let cluster = try Self.started()
    let endpoint = ["--endpoints", cluster.endpoints]
    // One after the other from the same input: none takes what is the next one's.
    let input = Pipe()
    input.fileHandleForWriting.write(Data("one\ntwo\nthree\nthree\n".utf8))
    for (words, said) in [
      ("user add x --interactive=false", "User x created"),
      ("user passwd x --interactive=false", "Password updated"), ("user add y", "User y created"),
    ] {
      let command = try Dialogue(
        endpoint + words.split(separator: " ").map(String.init), input: input)
      let end = try #require(command.end(), "\(words) waits for the end of its input")
      #expect(end.status == 0 && end.text.contains(said), "\(end)")
    }
    for words in ["user add root:pw", "role add root", "user grant-role root root", "auth enable"] {
      let done = run(
        Binaries.ourCtl, endpoint + words.split(separator: " ").map(String.init))
      #expect(done.status == 0, "\(done)")
    }
    for (user, isGood) in [("x:two", true), ("x:one", false), ("y:three", true)] {
      let done = run(Binaries.ourCtl, endpoint + ["--user", user, "user", "get", "x"])
      // Users may not look at others, but they got in.
      #expect(!done.error.contains("authentication failed") == isGood, "\(user): \(done)")
    }
  }

  @Test func aTokenThatRanOutIsReplaced() throws {
    let keys = Scratch()
    let key = keys.path + "/key"
    try "secret".write(toFile: key, atomically: false, encoding: .utf8)
    let cluster = try Self.started([
      "--auth-token", "jwt,sign-method=HS256,priv-key=\(key),ttl=1s",
    ])
    let endpoint = ["--endpoints", cluster.endpoints]
    for words in ["user add root:pw", "role add root", "user grant-role root root", "auth enable"] {
      let done = run(
        Binaries.ourCtl, endpoint + words.split(separator: " ").map(String.init))
      #expect(done.status == 0, "\(done)")
    }
    let transaction = try Dialogue(endpoint + ["--user", "root:pw", "txn", "-i"])
    // It has its token when it asks for the first line; the token lives for a second.
    #expect(transaction.prompt() == "compares:\n")
    usleep(2_100_000)
    transaction.type("version(\"k\") = \"0\"\n\nput k v\n\nget k\n\n")
    let end = try #require(transaction.end())
    #expect(end.status == 0 && end.text.contains("SUCCESS\n\nOK\n"), "\(end)")
    #expect(end.text.contains("retrying of unary invoker failed"), "the token was still good")
    let value = run(Binaries.ourCtl, endpoint + ["--user", "root:pw", "get", "k"])
    #expect(value.output == "k\nv\n")
  }

  /// Scripts read the warning; it has the fields of Go's.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func anEndpointOutOfReachIsToldAsGoTells() throws {
    let official = try #require(Binaries.ctl35)
    for words in [
      ["get", "a"], ["put", "a", "b"], ["--user", "a:b", "get", "a"], ["endpoint", "health"],
      ["--endpoints=http://localhost:1,127.0.0.1:1", "member", "list"],
    ] {
      let told = [official, Binaries.ourCtl].map { ctl in
        let done = run(
          ctl,
          ["--endpoints", "http://127.0.0.1:1", "--command-timeout=1s", "--dial-timeout=1s"]
            + words)
        // What ours says behind Go's words has tests of its own.
        let said = done.error.split(separator: "\n").filter { !$0.hasPrefix("Hint: ") }
        let lines = said.map { line -> String in
          guard
            let fields = try? JSONSerialization.jsonObject(with: Data(line.utf8))
              as? [String: Any]
          else { return String(line) }
          let error = fields["error"] as? String ?? ""
          #expect(error.contains("connect: connection refused"), "\(line)")
          let target = (fields["target"] as? String ?? "").split(separator: "/").last ?? ""
          return "\(fields["level"]!) \(fields["logger"]!) \(fields["msg"]!) "
            + "\(fields["attempt"]!) \(target)"
        }
        return "\(done.status) \(done.output)\n" + lines.joined(separator: "\n")
      }
      #expect(
        told[0].replacing(#/[0-9.]+m?s\b/#, with: "TIME")
          == told[1].replacing(#/[0-9.]+m?s\b/#, with: "TIME"))
    }
  }

  @Test func variablesWithoutSenseAreIgnored() throws {
    let cluster = try Self.started()
    for variables in [
      ["ETCDCTL_COMMAND_TIMEOUT": "10"], ["ETCDCTL_DEBUG": "x"], ["ETCDCTL_HEX": "2"],
      ["ETCDCTL_DIAL_TIMEOUT": "soon", "ETCDCTL_KEEPALIVE_TIME": "1"],
    ] {
      let done = run(
        Binaries.ourCtl, ["--endpoints", cluster.endpoints, "put", "a", "b"],
        variables: variables)
      #expect(done.status == 0 && done.output == "OK\n", "\(done)")
    }
  }

  /// Go's server logs the headers that it reads.
  @Test(.enabled(if: Binaries.go35 != nil)) func theAuthorityIsTheEndpoints() throws {
    let go = try #require(Binaries.go35)
    let cluster = Cluster([go])
    let member = cluster.members[0]
    // 3.5.1 takes nothing else for a socket: a file of this name in its folder.
    let name = "localhost:\(freePorts(1)[0])"
    let socket = cluster.scratch.path + "/" + name
    member.start(
      extra: ["--listen-client-urls", "\(member.endpoint),unix://\(name)"],
      environment: ["GODEBUG": "http2debug=2"], folder: cluster.scratch.path)
    try member.waitHealthy()
    for (endpoint, authority) in [
      ("unix://\(socket)", name), ("unix:\(socket)", name),
      ("http://localhost:\(member.clientPort)", "localhost:\(member.clientPort)"),
      ("127.0.0.1:\(member.clientPort)", "127.0.0.1:\(member.clientPort)"),
    ] {
      let before = member.log.utf8.count
      let done = run(Binaries.ourCtl, ["--endpoints", endpoint, "put", "a", "b"])
      #expect(done.status == 0, "\(done)")
      let log = String(decoding: Array(member.log.utf8.dropFirst(before)), as: UTF8.self)
      let seen = log.matches(of: #/header field ":authority" = "(.*)"/#).map { String($0.1) }
      #expect(!seen.isEmpty && seen.allSatisfy { $0 == authority }, "\(endpoint): \(seen)")
    }
  }

  @Test func aMemberThatIsGoneIsPassedOver() throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    cluster.members[0].kill()
    // Whoever led is gone for good only after an election: a read may meet that, and is repeated.
    for number in 0..<6 {
      let done = run(
        Binaries.ourCtl,
        ["--endpoints", cluster.endpoints, "--command-timeout", "30s", "get", "k\(number)"])
      #expect(done.status == 0, "\(done)")
    }
  }
}
