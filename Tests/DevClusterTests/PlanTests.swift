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
    let members = "[{\"id\":18446744073709551615,\"name\":\"m1\"},{\"id\":2,\"name\":\"m2\"}]"
    #expect(HealthProbe.id(of: "m1", in: Bytes(members)) == .max)
    #expect(HealthProbe.id(of: "m3", in: Bytes(members)) == nil)
    #expect(HealthProbe.id(of: "m1", in: Bytes("404 page not found")) == nil)
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

@Suite struct ArgumentsTests {
  private func parse(_ line: String) throws(DevClusterError) -> Arguments {
    try Arguments(line.split(separator: " ").map(String.init))
  }

  @Test func commandsAreRead() throws {
    var up = UpOptions()
    #expect(try parse("up").command == .up(up))
    up.size = 5
    up.detach = true
    up.binary = "/e"
    up.binaries = ["m2": "/f=g"]
    up.basePort = 20_000
    up.wait = 5
    up.extra = ["--pre-vote=false", "--", "-x"]
    let line =
      "up --binary /e -d 5 --binary=m2=/f=g --base-port 20000 --wait=5 --dir x -- --pre-vote=false"
      + " -- -x"
    #expect(try parse(line).command == .up(up))
    #expect(try parse(line).directory == "x")
    #expect(try parse("logs").command == .logs(member: nil, follow: false))
    #expect(try parse("logs -f m1").command == .logs(member: "m1", follow: true))
    for action in MemberAction.allCases {
      #expect(try parse("\(action.rawValue) m3").command == .member(action, "m3"))
    }
    #expect(try parse("env --dir /x").command == .environment)
    #expect(try parse("status").directory == ".devcluster")
    for words in ["", "help", "--help", "up -h"] { #expect(try parse(words).command == .help) }
    #expect(try parse("down").command == .down)
    #expect(try parse("clean").command == .clean)
    #expect(
      try parse("__member 7 /e --name x").command
        == .runMember(parent: 7, arguments: ["/e", "--name", "x"]))
  }

  @Test(arguments: [
    ("up 0", "a cluster has 1 to 7 members, not '0'"),
    ("up 8", "a cluster has 1 to 7 members, not '8'"),
    ("up three", "a cluster has 1 to 7 members, not 'three'"),
    ("up -1", "a cluster has 1 to 7 members, not '-1'"),
    ("up 3 4", "devcluster up: unexpected '4'"),
    ("up --base-port 80", "--base-port must be a number from 1024 to 65000, not '80'"),
    ("up --wait soon", "--wait must be a number from 1 to 3600, not 'soon'"),
    ("up --binary", "--binary needs a value"),
    ("up --detach=1", "--detach takes no value"),
    ("up --fast", "devcluster has no option '--fast' (see devcluster help)"),
    ("up -x", "devcluster has no option '-x' (see devcluster help)"),
    ("status --detach", "devcluster status takes no --detach"),
    ("status m1", "devcluster status: unexpected 'm1'"),
    ("stop", "devcluster stop needs a member, such as m1"),
    ("explode m1", "devcluster has no command 'explode' (see devcluster help)"),
    ("status -- --name", "only devcluster up takes flags for the members behind --"),
    ("__member x", "__member is for the supervisor alone"),
  ])
  func nonsenseIsRefused(_ line: String, _ message: String) {
    #expect(throws: DevClusterError(message)) { try parse(line) }
  }
}
