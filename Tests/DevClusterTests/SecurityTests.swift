import Bytes
import Foundation
import JSON
import Testing

@testable import DevClusterKit

/// Clusters with TLS and users, and members that come and go.
@Suite(
  .serialized,
  .enabled(
    if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one"),
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd")
)
struct SecurityTests {
  private func withHarness(_ body: (Harness, String) throws -> Void) throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    try body(harness, try #require(Harness.officialEtcd))
  }

  private func up(_ harness: Harness, _ words: String...) throws -> Harness.Outcome {
    try harness.run(["up", "-d", "--base-port", String(harness.basePort)] + words)
  }

  @Test func certificatesAreKeptAndRenewed() throws {
    let place = NSTemporaryDirectory() + "devcluster-tls-\(UUID().uuidString.prefix(8))"
    defer { try? FileManager.default.removeItem(atPath: place) }
    let files = CertificateFiles(directory: place)
    #expect(
      try Certificates.prepare(files, now: 1_700_000_000) == ["ca", "server", "peer", "client"])
    let authority = try String(contentsOfFile: files.authority, encoding: .utf8)
    #expect(try Certificates.prepare(files, now: 1_700_000_000 + 86_400) == [])
    #expect(
      try Certificates.prepare(files, now: 1_700_000_000 + 800 * 86_400)
        == ["server", "peer", "client"])
    #expect(try String(contentsOfFile: files.authority, encoding: .utf8) == authority)
    #expect(try Certificates.prepare(files, now: 1_700_000_000 + 3_640 * 86_400).first == "ca")
    let attributes = try FileManager.default.attributesOfItem(atPath: files.authorityKey)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func ourMembersAndTheOfficialSpeakTLSWithUsers() throws {
    try withHarness { (harness, etcd) throws in
      let found = try up(harness, "3", "--tls", "--auth", "--binary", "m2=\(etcd)")
      #expect(found.status == 0 && found.error.isEmpty)
      #expect(found.output.contains("export ETCDCTL_USER=root:root"))
      #expect(found.output.contains("https://127.0.0.1:"))
      #expect(try harness.run("status").status == 0)
      #expect(try harness.run("ctl", "put", "a", "b").output == "OK\n")
      #expect(try harness.run("ctl", "auth", "status").output.contains("Status: true"))
      let stranger = try harness.run("ctl", "--user", "nobody:x", "get", "a")
      #expect(stranger.status != 0)
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("up", "-d").status == 0)
      #expect(try harness.run("ctl", "get", "a").output == "a\nb\n")
      #expect(try up(harness, "--tls=auto").error.contains("already running"))
    }
  }

  @Test func membersMayMakeTheirOwnCertificates() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try up(harness, "2", "--tls=auto", "--binary", "m1=\(etcd)").status == 0)
      #expect(try harness.run("ctl", "put", "a", "b").output == "OK\n")
      #expect(try harness.run("env").output.contains("ETCDCTL_INSECURE_SKIP_TLS_VERIFY=true"))
    }
  }

  @Test func membersComeAndGo() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try up(harness, "3").status == 0)
      #expect(try harness.run("ctl", "put", "a", "1").output == "OK\n")
      #expect(try harness.run("add").output == "m4\n")
      #expect(try harness.run("add", "--learner").output == "m5\n")
      #expect(harness.member("m5")?["role"] == "learner")
      let voter = try harness.run("promote", "m1")
      #expect(voter.error.contains("m1 is a voter already"))
      #expect(try harness.run("promote", "learners").status == 0)
      #expect(harness.status()?["quorum"]?["voters"] == 5)
      #expect(try harness.run("remove", "leader").status == 0)
      #expect(harness.status()?["members"]?.array?.count == 4)
      // In the place of the one that left, and not with its data.
      let back = try harness.run("add")
      #expect(back.status == 0 && back.error.isEmpty, "\(back.error)")
      #expect(harness.status()?["quorum"]?["healthy"] == 5)
      // As it was, with those who joined.
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("up", "-d").status == 0)
      #expect(try harness.run("status").status == 0)
      #expect(try harness.run("ctl", "get", "a").output == "a\n1\n")
      #expect(try harness.run("upgrade", "followers", etcd).status == 0)
      let versions = harness.status()?["members"]?.array?.compactMap { $0["version"]?.string }
      #expect(Set(versions ?? []).count == 2)
    }
  }

  @Test func dataAreKeptBroughtBackAndForgotten() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try up(harness, "2", "--binary", etcd).status == 0)
      #expect(try harness.run("ctl", "put", "a", "1").output == "OK\n")
      #expect(try harness.run("save", "first").status == 0)
      #expect(try harness.run("status").status == 0)
      #expect(try harness.run("ctl", "put", "a", "2").output == "OK\n")
      let unknown = try harness.run("load", "second")
      #expect(unknown.error.contains("saved are first"))
      #expect(try harness.run("load", "first").status == 0)
      #expect(try harness.run("ctl", "get", "a").output == "a\n1\n")
      #expect(try harness.run("reset").status == 0)
      #expect(try harness.run("ctl", "get", "a").output == "")
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("load", "first").status == 0, "also while nothing runs")
      #expect(try harness.run("up", "-d").status == 0)
      #expect(try harness.run("ctl", "get", "a").output == "a\n1\n")
    }
  }
}
