import Testing

@testable import EtcdCtlKit

/// What `etcdctl top` makes of two looks at the members.
@Suite struct TopTests {
  private func sample(_ name: String, _ time: Double, _ text: String?) -> TopSample {
    TopSample(
      endpoint: name, time: time, metrics: text.map { MetricsText($0, where: TopSample.isWanted) },
      problem: text == nil ? "connection refused" : "")
  }

  private func page(_ scale: Int, leader: Int = 0) -> String {
    """
    grpc_server_handled_total{grpc_code="OK",grpc_method="Put"} \(100 * scale)
    grpc_server_handled_total{grpc_code="OK",grpc_method="Range"} \(200 * scale)
    etcd_mvcc_put_total \(100 * scale)
    etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} \(90 * scale)
    etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} \(100 * scale)
    etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} \(100 * scale)
    etcd_debugging_mvcc_watcher_total 7
    etcd_server_proposals_applied_total \(990 * scale)
    etcd_server_proposals_committed_total \(1000 * scale)
    etcd_mvcc_db_total_size_in_bytes 2e+06
    etcd_server_is_leader \(leader)
    etcd_server_has_leader 1
    process_cpu_seconds_total \(scale)
    unwanted_total 1
    """
  }

  @Test func ratesAreOfTheTimeBetween() {
    let before = [sample("a", 10, page(1, leader: 1)), sample("b", 10, page(1))]
    let now = [sample("a", 12, page(3, leader: 1)), sample("b", 12, nil), sample("c", 12, page(2))]
    let rows = TopRow.rows(now, before: before)
    #expect(rows.map(\.role) == ["leader", "silent", "follower"])
    #expect(rows[0].requests == 300 && rows[0].puts == 100 && rows[0].processors == 1)
    #expect(rows[0].watchers == 7 && rows[0].size == 2e6 && rows[0].ranges == nil)
    #expect(rows[0].fsync.map { ($0 * 1_000_000).rounded() } == 1900)
    #expect(rows[0].lag == 30 && rows[2].lag == 3000 - 1980)
    // A member that is new, or has restarted, has no rates yet.
    #expect(rows[2].requests == nil && rows[1].requests == nil)
    #expect(TopRow.rows([sample("a", 14, page(1))], before: now)[0].requests == nil)
    #expect(MetricsText(page(1), where: TopSample.isWanted).value("unwanted_total") == nil)
  }

  @Test func columnsStandOnTheRight() {
    let rows = TopRow.rows(
      [sample("http://a:1", 2, page(2)), sample("b", 2, nil)],
      before: [sample("http://a:1", 1, page(1))])
    let lines = TopReport.text(rows).split(separator: "\n").map(String.init)
    #expect(lines.count == 4)
    #expect(lines[0].hasPrefix("MEMBER          ROLE  REQ/S  PUT/S"))
    #expect(lines[1].hasPrefix("http://a:1  follower    300    100"))
    #expect(lines[2].hasPrefix("b             silent      -      -"))
    #expect(Set(lines.prefix(3).map(\.count)).count == 1)
    #expect(lines[3] == "b: connection refused")
  }

  @Test func timesBetweenLooksAreBounded() {
    let desk = Desk()
    let words = ["top", "--interval", "1ms", "--endpoints", "127.0.0.1:1"]
    #expect(EtcdCtl.run(words, desk.world(), console: desk.console) == 128)
    #expect(desk.error == "Error: --interval must be 100ms at least, it is 1ms\n")
  }
}
