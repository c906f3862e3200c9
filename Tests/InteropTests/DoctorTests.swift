import Foundation
import TestSupport
import Testing

/// `etcdctl doctor` and `top` beside real members, Go's among them.
@Suite(.serialized) struct DoctorTests {
  private static func findings(_ done: Finished) throws -> [[String: String]] {
    let answer = try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any]
    return try #require(answer?["findings"] as? [[String: String]], "\(done)")
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func aMixedClusterIsExamined() throws {
    let go = try #require(Binaries.go35)
    let cluster = Cluster([Binaries.ours, go, Binaries.ours])
    try cluster.start()
    func ctl(_ words: String...) -> Finished {
      run(
        Binaries.ourCtl,
        ["--endpoints", cluster.members[0].endpoint, "--command-timeout=2s"] + words)
    }
    let well = ctl("doctor", "-w", "json")
    // A machine under load may be slow, which is no fault of the command.
    let broken = try Self.findings(well).filter {
      $0["level"] == "critical" && !["disk", "reads"].contains($0["check"])
    }
    #expect(broken.isEmpty, "\(well)")
    #expect(well.output.contains("3 of 3 answer") && well.output.contains("3.5.1 (m2)"))
    for format in ["simple", "table", "fields"] {
      let done = ctl("doctor", "-w", format)
      #expect(done.status < 2 && done.output.contains("3 voting, 2 needed"), "\(done)")
    }
    let top = ctl("top", "-n", "2", "--interval", "200ms")
    let lines = top.output.split(separator: "\n")
    #expect(top.status == 0 && lines.count == 8, "\(top)")
    #expect(lines.prefix(4).count { $0.contains("follower") } == 2)
    #expect(lines.prefix(4).count { $0.contains("leader") } == 1)
    for member in cluster.members.dropFirst() { member.kill() }
    let ill = ctl("doctor", "-w", "json")
    #expect(ill.status == 2)
    let said = try Self.findings(ill).map { "\($0["check"] ?? ""): \($0["message"] ?? "")" }
    #expect(said.contains("members: 1 of 3 voting members answer, 2 are needed"), "\(said)")
    #expect(said.contains { $0.hasPrefix("reads: m1: no linearizable read: ") }, "\(said)")
    #expect(said.count { $0.hasSuffix(" does not answer") } == 2, "\(said)")
  }

  /// Over TLS with client certificates, which soon end.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func certificatesAreLookedAt(_ isOurs: Bool) throws {
    let authority = try TestAuthority()
    let cluster = Cluster(
      [isOurs ? Binaries.ours : try #require(Binaries.go35)],
      security: try TLSClusterTests.mutual(authority))
    try cluster.start()
    let words = ["--endpoints", cluster.endpoints] + cluster.members[0].security.ctl
    let done = run(Binaries.ourCtl, words + ["doctor", "-w", "json"])
    #expect(done.status == 1, "\(done)")
    let messages = try Self.findings(done).filter { $0["check"] == "certificates" }
      .compactMap { $0["message"] }
    for part in ["\(cluster.endpoints) (localhost)", "--cert (root)"] {
      #expect(messages.contains("\(part) expires in 20 days"), "\(messages)")
    }
    #expect(messages.contains { $0.hasPrefix("m1: ") } == isOurs, "\(messages)")
    let top = run(Binaries.ourCtl, words + ["top", "--once", "--interval", "100ms"])
    #expect(top.status == 0 && top.output.contains("leader"), "\(top)")
  }
}
