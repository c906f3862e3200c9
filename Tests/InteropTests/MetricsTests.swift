import Foundation
import Testing

/// The page of metrics has the families of Go etcd's, with their types and words: boards and rules read
/// both alike.
@Suite struct MetricsTests {
  struct Page {
    var types: [String: String] = [:]
    var help: [String: String] = [:]
    var values: [String: Double] = [:]

    init(_ text: String) {
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        if words.count == 4, words[1] == "TYPE" { types[words[2]] = words[3] }
        if words.count == 4, words[1] == "HELP" { help[words[2]] = words[3] }
        if words[0] != "#", let at = line.lastIndex(of: " ") {
          values[String(line[..<at])] = Double(line[line.index(after: at)...])
        }
      }
    }
  }

  /// Families that mean nothing here, or belong to what is not built yet: each with its reason.
  static let leftOut: [String: String] = [
    "etcd_debugging_disk_backend_commit_rebalance_duration_seconds": "pages are merged in one pass",
    "etcd_debugging_snap_save_marshalling_duration_seconds": "the formats know no clock",
    "etcd_server_go_version": "there is no Go",
    "etcd_grpc_proxy_cache_hits_total": "proxy", "etcd_grpc_proxy_cache_keys_total": "proxy",
    "etcd_grpc_proxy_cache_misses_total": "proxy",
    "etcd_grpc_proxy_events_coalescing_total": "proxy",
    "etcd_grpc_proxy_watchers_coalescing_total": "proxy",
  ]

  private func page(_ binary: String) throws -> Page {
    let cluster = Cluster([binary])
    try cluster.start()
    for n in 0..<3 { #expect(cluster.ctl(["put", "k\(n)", "v"]).status == 0) }
    #expect(cluster.ctl(["lease", "grant", "60"]).status == 0)
    return Page(try #require(httpGet("\(cluster.members[0].endpoint)/metrics")))
  }

  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil))
  func familiesAreThoseOfGo() throws {
    let go = try page(try #require(Binaries.go35))
    let ours = try page(Binaries.ours)
    for (name, type) in go.types.sorted(by: { $0.key < $1.key }) where !name.hasPrefix("go_") {
      if Self.leftOut[name] != nil {
        #expect(ours.types[name] == nil, "\(name) is there now: take it off the list")
        continue
      }
      #expect(ours.types[name] == type, "\(name)")
      #expect(ours.help[name] == go.help[name], "\(name)")
    }
    for name in ours.types.keys { #expect(!name.hasPrefix("go_"), "\(name) means nothing here") }
  }

  @Test func valuesFollowWhatHappens() throws {
    guard Binaries.ctl35 != nil else { return }
    let values = try page(Binaries.ours).values
    func value(_ name: String) -> Double { values[name] ?? -1 }
    let put = #"etcd_server_apply_duration_seconds_count{op="Put",success="true",version="v3"}"#
    #expect(value(put) == 3)
    #expect(value(#"etcd_cluster_version{cluster_version="3.5"}"#) == 1)
    #expect(value("etcd_debugging_mvcc_total_put_size_in_bytes") == 9)
    #expect(value("etcd_disk_wal_write_bytes_total") > 100)
    #expect(value("etcd_disk_wal_fsync_duration_seconds_count") > 0)
    #expect(value("etcd_network_client_grpc_received_bytes_total") > 20)
    #expect(value("etcd_network_client_grpc_sent_bytes_total") > 20)
    #expect(
      value(#"etcd_server_client_requests_total{client_api_version="3.5",type="unary"}"#) >= 4)
    #expect(value("process_resident_memory_bytes") > 1_000_000)
    #expect(value("process_open_fds") > 3)
    #expect(value("process_start_time_seconds") > 1_700_000_000)
    #expect(value("process_cpu_seconds_total") >= 0)
  }
}
