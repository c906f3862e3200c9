import Bytes
import JSON
import Testing

@testable import DevClusterKit

@Suite struct PlanTests {
  private func plan(_ size: Int, base: Int? = nil) -> ClusterPlan {
    ClusterPlan(size: size, basePort: base, directory: "/d")
  }

  @Test func standardPortsAreTheDocumentedOnes() {
    let members = plan(7).members
    #expect(
      members.map(\.clientPort) == [12379, 22379, 32379, 42379, 52379, 12389, 22389])
    #expect(members.map(\.peerPort) == members.map { $0.clientPort + 1 })
    let all = members.flatMap { [$0.clientPort, $0.peerPort] }
    #expect(Set(all).count == all.count)
    #expect(all.allSatisfy { $0 < 65_536 })
    #expect(
      plan(2).exportLine
        == "export ETCDCTL_ENDPOINTS=http://127.0.0.1:12379,http://127.0.0.1:22379")
  }

  @Test func aBasePortGivesOneBlock() {
    let members = plan(3, base: 20_000).members
    #expect(members.flatMap { [$0.clientPort, $0.peerPort] } == Array(20_000..<20_006))
  }

  @Test func membersAreToldOfEachOther() {
    let plan = plan(2)
    let arguments = plan.arguments(of: plan.members[1], extra: ["--log-level", "debug"])
    #expect(
      arguments == [
        "--name", "m2", "--data-dir", "/d/m2/data", "--listen-client-urls",
        "http://127.0.0.1:22379", "--advertise-client-urls", "http://127.0.0.1:22379",
        "--listen-peer-urls", "http://127.0.0.1:22380", "--initial-advertise-peer-urls",
        "http://127.0.0.1:22380", "--initial-cluster",
        "m1=http://127.0.0.1:12380,m2=http://127.0.0.1:22380", "--initial-cluster-state", "new",
        "--initial-cluster-token", "devcluster", "--log-level", "debug",
      ])
  }

  @Test func ourEtcdVariablesStayOurs() {
    let found = ClusterPlan.environment(from: [
      "PATH=/bin", "ETCD_NAME=x", "ETCDCTL_API=3", "ETCD_UNSUPPORTED_ARCH=arm64",
    ])
    #expect(found == ["PATH=/bin", "ETCDCTL_API=3", "ETCD_UNSUPPORTED_ARCH=arm64"])
  }

  @Test func tableShowsWhatCounts() {
    let plan = plan(2)
    var first = MemberReport(plan: plan.members[0], state: .healthy, pid: 7)
    first.id = 0xabc
    first.isLeader = true
    let second = MemberReport(plan: plan.members[1], state: .exited, exit: "signal 9")
    #expect(
      StatusTable.text([first, second], plan) == """
        MEMBER  ID   CLIENT                  PEER                    STATE              LEADER  PID
        m1      abc  http://127.0.0.1:12379  http://127.0.0.1:12380  healthy            *       7
        m2      -    http://127.0.0.1:22379  http://127.0.0.1:22380  exited (signal 9)          -
        export ETCDCTL_ENDPOINTS=http://127.0.0.1:12379,http://127.0.0.1:22379
        """)
    for report in [first, second] { #expect(MemberReport(report.json, plan) == report) }
    #expect(MemberReport(["name": "m9", "state": "healthy"], plan) == nil)
    #expect(MemberReport(["name": "m1", "state": "odd"], plan) == nil)
  }

  @Test func linesCarryTheirMember() {
    let plain = LinePrefix(names: ["m1", "m10"], isColoured: false)
    #expect(plain.text("m1", index: 0) == "m1  | ")
    let coloured = LinePrefix(names: ["m1"], isColoured: true)
    #expect(coloured.text("m1", index: 0) == "\u{1b}[36mm1 |\u{1b}[0m ")
  }

  @Test func answersAreUnderstood() {
    #expect(HealthProbe.isHealthy(Bytes("{\"health\":\"true\",\"reason\":\"\"}")))
    #expect(HealthProbe.isHealthy(Bytes("{\"health\":true}")))
    for bad in ["{\"health\":\"false\"}", "{}", "", "[]", "{\"health\":1}"] {
      #expect(!HealthProbe.isHealthy(Bytes(bad)))
    }
    let metrics = "# HELP x\netcd_server_is_leader 1\netcd_server_id{server_id=\"a\"} 1\n"
    #expect(HealthProbe.saysLeader(Bytes(metrics)))
    #expect(!HealthProbe.saysLeader(Bytes("etcd_server_is_leader 0\n")))
    #expect(!HealthProbe.saysLeader(Bytes("etcd_server_is_leader 10\n")))
    // The first has not said its name yet.
    let members = """
      [{"id":18446744073709551615,"peerURLs":["http://a:1"]},{"id":2,"name":"m2","peerURLs":[]}]
      """
    #expect(HealthProbe.id(of: "http://a:1", in: Bytes(members)) == .max)
    #expect(HealthProbe.id(of: "http://a:2", in: Bytes(members)) == nil)
    #expect(HealthProbe.id(of: "http://a:1", in: Bytes("404 page not found")) == nil)
  }

  @Test(arguments: [
    ControlRequest.status, .down, .watch, ControlRequest(.stop, "m1"), ControlRequest(.pause, "m2"),
  ])
  func requestsSurviveTheWire(_ request: ControlRequest) {
    #expect(ControlRequest(Bytes(request.line)) == request)
  }

  @Test(arguments: ["", "x", "{}", "{\"command\":\"stop\"}", "{\"command\":\"format\"}", "[1"])
  func nonsenseIsNoRequest(_ line: String) { #expect(ControlRequest(Bytes(line)) == nil) }
}
