import Foundation
import TestSupport
import Testing

/// What our etcdctl says behind Go's words when it gets no answer: how far it came, and what to do.
@Suite(.serialized) struct HintTests {
  private static let patience = ["--command-timeout=500ms", "--dial-timeout=400ms"]

  /// Besides the lines of hints there is what Go's says in the same words.
  private static func hint(_ words: [String], _ error: String) throws -> String {
    let done = run(Binaries.ourCtl, patience + words)
    let lines = done.error.split(separator: "\n").map(String.init)
    let plain = lines.filter { !$0.hasPrefix("Hint: ") && !$0.hasPrefix("{\"level\":") }
    // A server's deadline may come first, which Go's gives no code.
    let told = plain.joined().replacing("rpc error: code = Unknown desc = ", with: "")
    #expect(done.status == 1 && done.output.isEmpty && told == "Error: \(error)", "\(done)")
    return lines.filter { $0.hasPrefix("Hint: ") }.joined(separator: "\n")
  }

  private static let late = "context deadline exceeded"

  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func thePhaseAndTheFixAreSaid(_ isOurs: Bool) throws {
    let binary = isOurs ? Binaries.ours : try #require(Binaries.go35)
    let authority = try TestAuthority()
    let user = try authority.issue("user")
    let security = try TLSClusterTests.mutual(authority)
    let secure = Cluster([binary], security: security)
    let plain = Cluster([binary])
    try secure.start()
    try plain.start()
    let address = "127.0.0.1:\(secure.members[0].clientPort)"
    let open = "127.0.0.1:\(plain.members[0].clientPort)"
    let trusted = ["--cacert", authority.certificate]
    let shown = ["--cert", user.certificate, "--key", user.key]
    for (words, phase, advice) in [
      (["--endpoints", "127.0.0.1:\(freePorts(1)[0])"], "connect failed", "Nothing listens there"),
      (["--endpoints", "nowhere.invalid:2379"], "name lookup failed", "No address is known"),
      (["--endpoints", address], "HTTP/2 failed", "speaks TLS"),
      (["--endpoints", address] + trusted, "TLS handshake failed", "give --cert and --key"),
      (["--endpoints", "https://\(address)"] + shown, "TLS handshake failed", "--cacert FILE"),
      (["--endpoints", "https://\(open)"] + trusted, "TLS handshake failed", "plain text"),
    ] {
      let found = try Self.hint(words + ["put", "k", "v"], Self.late)
      #expect(found.contains(phase) && found.contains(advice), "\(words): \(found)")
    }
    #expect(
      try Self.hint(
        ["--endpoints", open, "user", "get", "nobody"], "etcdserver: user name not found"
      ).isEmpty)
    #expect(kill(plain.members[0].pid, SIGSTOP) == 0)
    let stopped = try Self.hint(["--endpoints", open, "get", "k"], Self.late)
    #expect(kill(plain.members[0].pid, SIGCONT) == 0)
    #expect(stopped.contains("HTTP/2 failed: silence"), "\(stopped)")
  }

  /// A member without a majority answers for itself, but not to requests.
  @Test(.enabled(if: Binaries.go35 != nil)) func aMissingLeaderIsTold() throws {
    let cluster = Cluster([Binaries.ours, try #require(Binaries.go35)])
    try cluster.start()
    try cluster.lead(cluster.members[0])
    cluster.members[1].kill()
    let endpoint = cluster.members[0].endpoint
    let deadline = Date().addingTimeInterval(20)
    var found = ""
    repeat {
      found = try Self.hint(["--endpoints", endpoint, "get", "k"], Self.late)
    } while !found.contains("has no leader") && Date() < deadline
    #expect(found.contains("connected, no answer in time. The member has no leader"), "\(found)")
  }
}
