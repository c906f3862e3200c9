import Bytes
import JSON
import Testing

@testable import DevClusterKit

@Suite struct PlanTests {
  private func plan(_ size: Int, base: Int? = nil) -> ClusterPlan {
    ClusterPlan(size: size, ports: base.map(PortPlan.base) ?? .standard, directory: "/d")
  }

  @Test func standardPortsAreTheDocumentedOnes() {
    let members = plan(7).members
    #expect(
      members.map(\.ports.client) == [12379, 22379, 32379, 12389, 22389, 12399, 22399])
    #expect(members.map(\.ports.peer) == members.map { $0.ports.client + 1 })
    // None but those that were promised where the system takes ports of its own.
    #expect(members.flatMap(\.ports.all).allSatisfy { $0 < 32_768 })
    let all = members.flatMap(\.ports.all)
    #expect(Set(all).count == all.count)
    #expect(all.allSatisfy { $0 < 65_536 })
    #expect(
      EnvironmentLines(plan(2)).export
        == "export ETCDCTL_ENDPOINTS=http://127.0.0.1:12379,http://127.0.0.1:22379")
  }

  @Test func aBasePortGivesOneBlock() {
    let members = plan(3, base: 20_000).members
    #expect(members.flatMap { [$0.ports.client, $0.ports.peer] } == Array(20_000..<20_006))
    #expect(Set(members.flatMap(\.ports.all)).count == 12)
  }

  @Test func membersAreToldOfEachOther() {
    var plan = plan(2).relayed(.none)
    #expect(self.plan(2).arguments(of: self.plan(2).members[1])[9] == "http://127.0.0.1:22382")
    plan.flags = ["--log-level", "debug"]
    let arguments = plan.arguments(of: plan.members[1])
    #expect(
      arguments == [
        "--name", "m2", "--data-dir", "/d/m2/data", "--listen-client-urls",
        "http://127.0.0.1:22379", "--advertise-client-urls", "http://127.0.0.1:22379",
        "--listen-peer-urls", "http://127.0.0.1:22380", "--initial-advertise-peer-urls",
        "http://127.0.0.1:22380", "--initial-cluster",
        "m1=http://127.0.0.1:12380,m2=http://127.0.0.1:22380", "--initial-cluster-state", "new",
        "--initial-cluster-token", "devcluster", "--strict-reconfig-check=false", "--log-level",
        "debug",
      ])
  }

  /// Those that make the cluster ask the service; those that come later are told.
  @Test func membersAreDiscovered() {
    var plan = plan(3)
    plan.isDiscovered = true
    plan.members[2].joined = "m1=http://x"
    let words = plan.arguments(of: plan.members[0])
    #expect(
      words[12...].starts(with: [
        "--discovery", "http://127.0.0.1:12378/devcluster", "--discovery-fallback", "exit",
      ]))
    #expect(!words.contains("--initial-cluster-state") && plan.founders.count == 2)
    #expect(plan.arguments(of: plan.members[2]).contains("existing"))
    #expect(!plan.undiscovered().arguments(of: plan.members[0]).contains("--discovery"))
    let block = self.plan(1, base: 20_000)
    #expect(block.ports.discovery == 20_000 + PortPlan.blockSize - 1)
    let last = block.ports.ports(ClusterPlan.membersMax).all.max() ?? 0
    #expect(block.ports.discovery > last)
    #expect(!self.plan(7).members.flatMap(\.ports.all).contains(plan.ports.discovery))
  }

  @Test func nothingOfTheCallersEnvironmentLeaksIn() {
    let found = ClusterPlan.environment(from: [
      "PATH=/bin", "ETCD_NAME=x", "ETCDCTL_API=3", "ETCD_UNSUPPORTED_ARCH=arm64",
      "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1", "LISTEN_PID=2", "WATCHDOG_USEC=1",
    ])
    #expect(found == ["PATH=/bin", "ETCD_UNSUPPORTED_ARCH=arm64"])
  }

  @Test func thePlanSurvivesItsFile() throws {
    var plan = ClusterPlan(size: 3, ports: .found(20_000), directory: "/d").secured(.own).relayed(
      .all)
    plan.binary = "/b"
    plan.members[1].binary = "/c"
    plan.members[2].isLearner = true
    plan.members[2].joined = "m1=http://x"
    plan.members[0].startsWithCluster = false
    plan.flags = ["--a", "b c"]
    plan.environment = ["X=y"]
    plan.auth = AuthPlan()
    plan.auth?.users = [
      .init(name: "a", password: "b", permissions: [.init(kind: .both, key: "/a", isPrefix: true)])
    ]
    plan.isAuthReady = true
    plan.wasHealthy = true
    plan.watchesDisks = false
    plan.isDiscovered = true
    let text = Bytes(ClusterFile.text(plan))
    #expect(ClusterFile.plan(text, directory: "/d") == plan)
    // It follows its directory.
    #expect(ClusterFile.plan(text, directory: "/e")?.members[0].dataDirectory == "/e/m1/data")
    let first = try #require(ClusterFile.plan(Bytes("{\"members\":5}"), directory: "/d"))
    #expect(first.members.map(\.ports.client) == [12379, 22379, 32379, 42379, 52379])
    for bad in ["", "{}", "[1]", "{\"version\":3}", "{\"members\":99}"] {
      #expect(ClusterFile.plan(Bytes(bad), directory: "/d") == nil)
    }
  }

  @Test func flagsOfTheClusterItselfAreRefused() {
    #expect(throws: DevClusterError.self) { try ClusterPlan.check(flags: ["--name=x"]) }
    #expect(throws: DevClusterError.self) { try ClusterPlan.check(flags: ["--auto-tls"]) }
    #expect(throws: Never.self) { try ClusterPlan.check(flags: ["--log-level", "name"]) }
  }

  @Test func rolesAreTargets() throws {
    let members = (1...5).map {
      Targets.Candidate(
        name: "m\($0)", isLeader: $0 == 2, isLearner: $0 == 5, isRunning: $0 != 3)
    }
    func names(_ words: String...) throws -> [String] {
      try Targets.resolve(words, members) { $0 - 1 }
    }
    #expect(try names("m4", "1", "m4") == ["m1", "m4"])
    #expect(try names("leader") == ["m2"] && names("followers") == ["m1", "m3", "m4"])
    #expect(try names("learners") == ["m5"] && names("all").count == 5)
    #expect(try names("random") == ["m5"])
    #expect(try names("minority") == ["m4"] && names("majority") == ["m2", "m3", "m4"])
    #expect(try names("m1,leader") == ["m1", "m2"])
    for bad in ["m9", "0", "", "leeder", "m1,"] {
      #expect(throws: DevClusterError.self, "\(bad)") { try names(bad) }
    }
  }

  @Test func portsAreLookedForOutsideOfTheSystems() {
    #expect(PortSearch.range(ephemeral: 32_768...60_999) == 10_000...32_700)
    #expect(PortSearch.range(ephemeral: 15_000...60_000) == 10_000...14_999)
    #expect(PortSearch.range(ephemeral: 1_024...60_000) == 60_001...65_535)
    #expect(PortSearch.range(ephemeral: 1_024...65_535) == PortPlan.searchRange)
  }

  @Test func versionsAreTold() {
    for name in ["3.5.30", "v3.5.30", "etcd-3.5.30", "etcd-v3.5.30-linux-amd64"] {
      #expect(Versions.isVersion("3.5.30", name))
    }
    #expect(
      !Versions.isVersion("3.5.3", "etcd-v3.5.30") && !Versions.isVersion("3.5", "etcd-3.5.1"))
  }

  @Test func environmentsAreQuoted() {
    var plan = ClusterPlan(size: 1, directory: "/a b").secured(.own)
    plan.auth = AuthPlan()
    plan.auth?.root = "it's"
    let text = EnvironmentLines(plan).export
    #expect(text.contains("export ETCDCTL_ENDPOINTS=https://127.0.0.1:12379\n"))
    #expect(text.contains("export ETCDCTL_CACERT='/a b/tls/ca.pem'\n"))
    #expect(text.hasSuffix("export ETCDCTL_USER='root:it'\\''s'"))
    #expect(EnvironmentLines(plan).text(.fish).contains("set -gx ETCDCTL_KEY "))
    #expect(EnvironmentLines(plan).text(.json).contains("\"ETCDCTL_USER\":\"root:it's\""))
  }

  @Test func tableShowsWhatCounts() {
    let plan = plan(2)
    var first = MemberReport(plan: plan.members[0], state: .healthy, pid: 7)
    first.observation = Observation()
    first.observation?.id = 0xabc
    first.observation?.term = 3
    first.isLeader = true
    let second = MemberReport(plan: plan.members[1], state: .exited, exit: "signal 9")
    let quorum = Quorum([first, second])
    #expect(quorum.needed == 2 && !quorum.isHeld)
    let status: JSONValue = [
      "members": [first.json, second.json],
      "quorum": ["held": false, "healthy": 1, "needed": 2],
    ]
    #expect(
      StatusTable.text(status, width: 72) == """
        MEMBER  CLIENT                  STATE              ROLE    PID
        m1      http://127.0.0.1:12379  healthy            leader  7
        m2      http://127.0.0.1:22379  exited (signal 9)  -       -
        no quorum: 1 healthy, 2 needed
        """)
    #expect(StatusTable.text(status).contains("http://127.0.0.1:12380"))
  }

  @Test func linesOfMembersAreTakenApart() {
    let json = LogLine(
      #"{"level":"warn","ts":"2026-01-02T03:04:05.678Z","caller":"a.go:1","msg":"slow","took":"1s","n":2}"#
    )
    #expect(json.level == .warn && json.human == "03:04:05.678 WARN  slow took=1s n=2")
    let old = LogLine("2026-01-02 03:04:05.678901 E | raft: lost")
    #expect(old.level == .error && old.human == "03:04:05.678 ERROR raft: lost")
    #expect(LogLine("anything").human == "anything" && LogLine("{").level == nil)
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
    let status = """
      {"header":{"member_id":"18446744073709551615","revision":"7","raft_term":"2"},"version":"3.5.1",
      "dbSize":"20480","leader":"5","raftIndex":"9","raftTerm":"2","raftAppliedIndex":"8"}
      """
    let seen = (try? JSONValue.parse(Bytes(status))).flatMap(Observation.init(status:))
    #expect(seen?.id == .max && seen?.leader == 5 && seen?.revision == 7 && seen?.appliedIndex == 8)
    #expect(Observation(status: ["version": "3"]) == nil)
    let page = """
      etcd_server_has_leader 1
      etcd_server_id{server_id="8e9e05c52164694d"} 1
      etcd_server_is_leader 1
      etcd_server_version{server_version="3.5.1"} 1
      """
    let told = Observation(metrics: Bytes(page))
    #expect(told.id == 0x8e9e_05c5_2164_694d && told.leader == told.id && told.version == "3.5.1")
    let other = page.replacing("is_leader 1", with: "is_leader 0")
    #expect(Observation(metrics: Bytes(other)).leader == Observation.somebody)
    #expect(Observation(metrics: Bytes("etcd_server_has_leader 0\n")).leader == 0)
  }

  @Test(arguments: [
    ControlRequest.status, .down, .member(.stop, ["m1"], wait: 5), .add(learner: true, wait: 1),
    .remove(["leader"]), .promote(["m4"]), .upgrade(["all"], binary: "/b", wait: 2),
    .snapshot(.save, "x"), .snapshot(.reset, ""),
  ])
  func requestsSurviveTheWire(_ request: ControlRequest) {
    #expect(ControlRequest(Bytes(request.line)) == request)
  }

  @Test(arguments: ["", "x", "{}", "{\"command\":\"stop\"}", "{\"command\":\"format\"}", "[1"])
  func nonsenseIsNoRequest(_ line: String) { #expect(ControlRequest(Bytes(line)) == nil) }
}
