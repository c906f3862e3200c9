import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import TestSupport
import Testing

/// A downgrade that is enabled is known to every member, and to those that come later.
@Suite(.serialized) struct DowngradeTests {
  private func enable(_ member: Member) async throws {
    let loop = EventLoop(name: "downgrade")
    loop.start()
    let client = try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: member.clientPort), loop: loop)
    defer { client.abort() }
    let request = Etcdserverpb.DowngradeRequest(action: .enable, version: "3.4")
    _ = try await client.unary(
      Etcdserverpb.MaintenanceService.downgrade.path, request.encoded(), timeout: .seconds(20))
  }

  private func isEnabled(_ member: Member) -> String? {
    httpGet("http://127.0.0.1:\(member.peerPort)/downgrade/enabled")
  }

  /// Go's member applies ours, ours Go's data; whoever starts again on such data refuses.
  @Test(.enabled(if: Binaries.go35 != nil)) func everyMemberKnowsAndNoneOfThisVersionStarts()
    async throws
  {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([Binaries.ours, official, Binaries.ours])
    try cluster.start()
    #expect(cluster.members.map { isEnabled($0) } == ["false", "false", "false"])
    try await enable(cluster.members[0])
    #expect(cluster.members.map { isEnabled($0) } == ["true", "true", "true"])
    let text = "invalid downgrade; server version is not allowed to join when downgrade is enabled"
    // Each binary on its own data and on the other's.
    for (member, binary) in [
      (cluster.members[2], Binaries.ours), (cluster.members[2], official),
      (cluster.members[1], Binaries.ours),
    ] {
      member.stop()
      #expect(BadDirectoryTests.refusal(member, binary).contains(text), "\(binary)")
    }
  }

  /// A member that comes back gets it with the leader's snapshot, and one that joins is told.
  @Test func snapshotsAndNewcomersLearnOfIt() async throws {
    let ours = Binaries.ours
    let cluster = Cluster(
      [ours, ours, ours],
      extra: ["--snapshot-count", "10", "--experimental-snapshot-catchup-entries", "5"])
    try cluster.start()
    let late = cluster.members[2]
    try cluster.lead(cluster.members[0])
    late.stop()
    try await enable(cluster.members[0])
    for n in 0..<60 { #expect(cluster.ctl(["put", "key\(n)", "v"]).status == 0) }
    late.start()
    try late.waitHealthy()
    #expect(late.log.contains("applied snapshot"))
    #expect(isEnabled(late) == "true")

    let ports = freePorts(2)
    let url = "http://127.0.0.1:\(ports[1])"
    // A member that came back counts after five seconds.
    let deadline = Date().addingTimeInterval(20)
    var added = cluster.ctl(["member", "add", "new", "--peer-urls", url])
    while added.status != 0, Date() < deadline {
      usleep(100_000)
      added = cluster.ctl(["member", "add", "new", "--peer-urls", url])
    }
    #expect(added.status == 0, "\(added)")
    let known = cluster.members.map { "\($0.name)=http://127.0.0.1:\($0.peerPort)" }
    let newcomer = Member(
      name: "new", binary: ours, directory: cluster.scratch.path + "/new", clientPort: ports[0],
      peerPort: ports[1], cluster: (known + ["new=\(url)"]).joined(separator: ","),
      extra: ["--initial-cluster-state", "existing"])
    let log = BadDirectoryTests.refusal(newcomer)
    #expect(log.contains("incompatible with current running cluster"), "\(log)")
    #expect(log.contains("\"minimum-cluster-version-supported\":\"3.6.0\""), "\(log)")
  }
}
