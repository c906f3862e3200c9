import EtcdAPI
import Testing

@testable import EtcdCtlKit

/// What `etcdctl doctor` makes of what a cluster said.
@Suite struct DoctorTests {
  private static let now: Int64 = 1_800_000_000

  /// Three members that are well.
  private func facts(_ change: (inout DoctorFacts) -> Void = { _ in }) -> DoctorFacts {
    var facts = DoctorFacts()
    facts.now = Self.now
    facts.members = (1...3).map {
      .init(id: $0, name: "m\($0)", clientURLs: ["http://m\($0):2379"], isLearner: false)
    }
    facts.endpoints = (UInt64(1)...3).map { id in
      var endpoint = DoctorFacts.Endpoint(endpoint: "http://m\(id):2379")
      var status = Etcdserverpb.StatusResponse()
      status.header = Etcdserverpb.ResponseHeader(clusterID: 7, memberID: id)
      (status.version, status.leader, status.raftTerm) = ("3.5.1", 1, 4)
      (status.raftIndex, status.raftAppliedIndex) = (10_000, 10_000)
      (status.dbSize, status.dbSizeInUse) = (1_000_000, 900_000)
      endpoint.status = status
      endpoint.read = .success(0.002)
      (endpoint.clockOffset, endpoint.clockError) = (0.3, 0.5)
      endpoint.metrics = MetricsText(
        """
        etcd_server_quota_backend_bytes 2.147483648e+09
        etcd_server_leader_changes_seen_total 2
        process_start_time_seconds \(Double(Self.now) - 7200)
        etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 1000
        etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 1000
        process_open_fds 10
        process_max_fds 1000
        """)
      return endpoint
    }
    change(&facts)
    return facts
  }

  /// What is not well, and the exit code.
  private func judge(_ facts: DoctorFacts) -> (problems: [DoctorFinding], code: Int32) {
    let findings = DoctorChecks.findings(facts)
    return (findings.filter { $0.level > .ok }, DoctorChecks.exitCode(findings))
  }

  /// Whether a change leads to just this.
  private func expect(
    _ level: DoctorFinding.Level, _ check: String, _ part: String,
    _ change: (inout DoctorFacts) -> Void
  ) {
    let found = judge(facts(change))
    #expect(
      found.problems.contains {
        $0.level == level && $0.check == check && "\($0.message) \($0.advice)".contains(part)
      }, "\(check), \(part): \(found.problems)")
    #expect(found.code == [.critical: 2, .warning: 1][level, default: 0])
  }

  @Test func aClusterThatIsWell() {
    let findings = DoctorChecks.findings(facts())
    #expect(findings.allSatisfy { $0.level == .ok }, "\(findings)")
    #expect(DoctorChecks.exitCode(findings) == 0)
    #expect(DoctorReport.summary(findings) == "The cluster is well.")
    #expect(Set(findings.map(\.check)).count >= 11)
  }

  @Test func membersAndLeaders() {
    expect(.critical, "endpoints", "http://m3:2379 does not answer Because") {
      $0.endpoints[2].status = nil
      $0.endpoints[2].hint = "Because"
    }
    expect(.critical, "members", "1 of 3 voting members answer, 2 are needed") {
      for at in [1, 2] { $0.endpoints[at].status = nil }
    }
    expect(.critical, "members", "2 clusters") { $0.endpoints[1].status?.header?.clusterID = 8 }
    expect(.warning, "members", "member remove 4") {
      $0.members.append(.init(id: 4, name: "", clientURLs: [], isLearner: true))
    }
    expect(.warning, "members", "third member") {
      $0.members.removeLast()
      $0.endpoints.removeLast()
    }
    expect(.critical, "leader", "m2: no leader") { $0.endpoints[1].status?.leader = 0 }
    expect(.warning, "leader", "m1, m3: m1; m2: m3") { $0.endpoints[1].status?.leader = 3 }
    expect(.warning, "versions", "3.4.2 (m2); 3.5.1 (m1, m3)") {
      $0.endpoints[1].status?.version = "3.4.2"
    }
    expect(.critical, "members", "no list of members: no") { $0.membersProblem = "no" }
    expect(.warning, "leader stability", "100 changes of leader in 2 h") {
      $0.endpoints[0].metrics = MetricsText(
        "etcd_server_leader_changes_seen_total 100\nprocess_start_time_seconds \(Self.now - 7200)")
    }
  }

  @Test func lagAlarmsAndReads() {
    expect(.warning, "raft lag", "m3 is 1000 entries behind") {
      $0.endpoints[2].status?.raftAppliedIndex = 9000
    }
    expect(.critical, "raft lag", "m3 is 5000 entries behind") {
      $0.endpoints[2].status?.raftAppliedIndex = 5000
    }
    expect(.critical, "alarms", "NOSPACE of m2 Compact") {
      $0.alarms = [.init(memberID: 2, alarm: .nospace)]
    }
    expect(.critical, "alarms", "CORRUPT of the cluster") { $0.alarms = [.init(alarm: .corrupt)] }
    expect(.skipped, "alarms", "not allowed") { $0.alarmsProblem = "not allowed" }
    expect(.warning, "reads", "took 1.5 s") { $0.endpoints[0].read = .success(1.5) }
    expect(.critical, "reads", "m1: no linearizable read: context deadline exceeded") {
      $0.endpoints[0].read = .failure(.deadlineExceeded)
    }
    expect(.skipped, "reads", "Give --user") {
      $0.endpoints[0].read = .failure(.init(local: EtcdError.userEmpty.message))
    }
  }

  @Test func spaceDisksAndClocks() {
    func page(_ text: String) -> (inout DoctorFacts) -> Void {
      { $0.endpoints[0].metrics = MetricsText(text) }
    }
    expect(.warning, "space", "fills 80 % of its quota") {
      page("etcd_server_quota_backend_bytes 1250000")(&$0)
    }
    expect(.critical, "space", "defrag` gives 500 kB back") {
      page("etcd_server_quota_backend_bytes 1000000")(&$0)
      $0.endpoints[0].status?.dbSizeInUse = 500_000
    }
    expect(.warning, "space", "50 MB of the database's 200 MB") {
      $0.endpoints[0].status?.dbSize = 200_000_000
      $0.endpoints[0].status?.dbSizeInUse = 50_000_000
    }
    let fsync = "etcd_disk_wal_fsync_duration_seconds_bucket"
    expect(.warning, "disk", "m1: 99 % of wal fsyncs take up to 20.0 ms, 10.0 ms are good") {
      page(
        "\(fsync){le=\"0.02\"} 1000\n\(fsync){le=\"0.01\"} 989.999\n\(fsync){le=\"+Inf\"} 1010.1")(
          &$0)
    }
    expect(.critical, "disk", "wal fsyncs take up to") {
      page("\(fsync){le=\"0.1\"} 0\n\(fsync){le=\"0.2\"} 1000\n\(fsync){le=\"+Inf\"} 1000")(&$0)
    }
    // A few say nothing.
    let few = judge(facts(page("\(fsync){le=\"0.2\"} 50\n\(fsync){le=\"+Inf\"} 50")))
    #expect(few.problems.isEmpty)
    expect(.skipped, "disk", "m1: no metrics: status 404") {
      $0.endpoints[0].metrics = nil
      $0.endpoints[0].metricsProblem = "status 404"
    }
    expect(.warning, "resources", "900 of 1000 file descriptors") {
      page("process_open_fds 900\nprocess_max_fds 1000")(&$0)
    }
    expect(.warning, "resources", "5 heartbeats") {
      page("etcd_server_heartbeat_send_failures_total 5")(&$0)
    }
    expect(.warning, "clocks", "m1 is 2.0 s behind") { $0.endpoints[0].clockOffset = -2 }
    #expect(judge(facts { $0.endpoints[0].clockOffset = 1.4 }).problems.isEmpty)
  }

  @Test func certificatesThatEnd() {
    func end(_ days: Int64) -> (inout DoctorFacts) -> Void {
      {
        $0.endpoints[0].certificate = .init(
          what: "https://m1:2379", commonName: "cn", notAfter: Self.now + days * 86_400)
      }
    }
    #expect(judge(facts(end(31))).problems.isEmpty)
    expect(.warning, "certificates", "https://m1:2379 (cn) expires in 29 days", end(29))
    expect(.critical, "certificates", "expires in 6 days", end(6))
    expect(.critical, "certificates", "expired 3 days ago", end(-3))
    expect(.warning, "certificates", "--cacert (ca) expires in 10 days") {
      $0.ownCertificates = [
        .init(what: "--cacert", commonName: "ca", notAfter: Self.now + 10 * 86_400)
      ]
    }
    expect(.critical, "certificates", "m1: peer expires in 1 days") {
      $0.endpoints[0].metrics = MetricsText(
        "etcd_tls_certificate_expiry_seconds{use=\"peer\"} 86400")
    }
  }
}
