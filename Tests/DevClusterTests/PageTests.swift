import Bytes
import Foundation
import JSON
import Testing

@testable import DevClusterKit

/// What waits for a page that is slow to read.
@Suite struct PageQueueTests {
  private func events(_ queue: inout PageQueue) -> [String: JSONValue] {
    var found: [String: JSONValue] = [:]
    for part in queue.take().string.components(separatedBy: "\n\n") where !part.isEmpty {
      let lines = part.components(separatedBy: "\n")
      #expect(lines.count == 2 && lines[0].hasPrefix("event: ") && lines[1].hasPrefix("data: "))
      found[String(lines[0].dropFirst(7))] = try? JSONValue.parse(
        Bytes(String(lines[1].dropFirst(6))))
    }
    return found
  }

  @Test func theNewestStateCounts() {
    var queue = PageQueue()
    for number in 1...100 {
      queue.set(.status, ["n": .integer(number)])
      queue.set(.sample, ["n": .integer(-number)])
    }
    let found = events(&queue)
    #expect(found == ["status": ["n": 100], "sample": ["n": -100]])
    #expect(queue.take().isEmpty)
  }

  @Test func linesAreLeftOutAndCounted() {
    var queue = PageQueue()
    let count = PageQueue.linesMax * 3
    for number in 0..<count { queue.add(line: LogLine("line\n\(number)"), of: "m1") }
    queue.add(
      line: LogLine(String(repeating: "x", count: 2 * PageQueue.textBytesMax)), of: "m2")
    let logs = events(&queue)["logs"]
    let lines = logs?["lines"]?.array ?? []
    #expect(lines.count <= PageQueue.linesMax)
    #expect(logs?["leftOut"]?.integer(as: Int.self) == count + 1 - lines.count)
    #expect(lines[lines.count - 2]["text"] == .string("line\n\(count - 1)"))
    let last = lines.last?["text"]?.string ?? ""
    #expect(last.utf8.count < PageQueue.textBytesMax && last.hasSuffix("…"))
    #expect(queue.take().isEmpty)
  }

  @Test func lostChangesAreTold() {
    var queue = PageQueue()
    queue.note(watch: "no member runs")
    queue.add(change: ["key": "YQ=="])
    #expect(
      events(&queue)["keys"]
        == ["changes": [["key": "YQ=="]], "lost": false, "note": "no member runs"])
    for _ in 0...PageQueue.changesMax { queue.add(change: [:]) }
    #expect(events(&queue)["keys"] == ["changes": [], "lost": true])
    #expect(!queue.isLost)
  }

  @Test func whoMissesEventsIsGivenUp() {
    var queue = PageQueue()
    for number in 1...PageQueue.eventsMax { queue.add(event: .integer(number)) }
    #expect(!queue.isLost)
    queue.add(event: "one more")
    #expect(queue.isLost)
  }
}

/// Rates and latencies of what members count.
@Suite struct SampleMeterTests {
  private func page(puts: Int, start: Int = 1_000, buckets: [Int], put: [Int]? = nil) -> Bytes {
    let bounds = ["0.001", "0.002", "0.004", "+Inf"]
    var text = """
      # TYPE etcd_mvcc_put_total counter
      etcd_mvcc_put_total \(puts)
      process_resident_memory_bytes 3.2e+07
      process_open_fds 40
      process_start_time_seconds \(start)
      process_cpu_seconds_total 1.5
      etcd_network_peer_sent_bytes_total{To="ab"} \(puts * 100)
      go_goroutines 3

      """
    for (bound, count) in zip(bounds, buckets) {
      text += "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"\(bound)\"} \(count)\n"
    }
    for (bound, count) in zip(bounds, put ?? []) {
      text +=
        "grpc_server_handling_seconds_bucket{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",le=\"\(bound)\"} \(count)\n"
      text +=
        "grpc_server_handling_seconds_bucket{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",le=\"\(bound)\"} 99999\n"
    }
    return Bytes(text)
  }

  @Test func pagesAreRead() {
    let found = MemberMetrics(page(puts: 7, buckets: [1, 2, 3, 4], put: [0, 0, 1, 1]))
    #expect(found.puts == 7 && found.memoryBytes == 32_000_000 && found.startTime == 1_000)
    #expect(found.syncSeconds == [0.001: 1, 0.002: 2, 0.004: 3, .infinity: 4])
    #expect(found.putSeconds == [0.001: 0, 0.002: 0, 0.004: 1, .infinity: 1])
    #expect(found.sentBytes == ["ab": 700] && found.openFiles == 40)
    #expect(MemberMetrics("\n\nnonsense\netcd_mvcc_put_total x\n") == MemberMetrics())
  }

  @Test func quantilesAreThoseOfPrometheus() {
    let now: MemberMetrics.Histogram = [0.001: 50, 0.002: 90, 0.004: 100, .infinity: 100]
    #expect(MemberMetrics.quantile(0.5, [:], now) == 0.001)
    #expect(abs((MemberMetrics.quantile(0.99, [:], now) ?? 0) - 0.0038) < 1e-9)
    #expect(MemberMetrics.quantile(0.99, now, now) == nil, "nothing happened meanwhile")
    #expect(MemberMetrics.quantile(0.99, [:], [0.001: 0, .infinity: 5]) == 0.001)
    #expect(MemberMetrics.quantile(0.99, [:], [:]) == nil)
  }

  @Test func ratesAreOfTwoPages() {
    var meter = SampleMeter()
    func add(_ member: String, _ bytes: Bytes, _ seconds: UInt64) {
      meter.add(member, MemberMetrics(bytes), at: seconds * 1_000_000_000)
    }
    add("m1", page(puts: 100, buckets: [10, 10, 10, 10]), 1)
    #expect(meter.sample(at: 1_500, names: [:])["puts"] == .null)
    add("m1", page(puts: 300, buckets: [10, 110, 110, 110]), 3)
    add("m2", page(puts: 0, buckets: [0, 0, 0, 0]), 3)
    var sample = meter.sample(at: 1_003_000, names: ["ab": "m2"])
    #expect(
      sample["puts"] == 100 && sample["p99Of"] == "sync" && sample["p99"] == .number("0.00199"))
    #expect(sample["links"] == ["m1->m2": 10_000])
    #expect(sample["members"]?["m1"]?["uptimeSeconds"] == 3)
    #expect(sample["members"]?["m2"]?["memoryBytes"] == 32_000_000)
    // Started again: it counts from 0, and nothing is negative.
    add("m1", page(puts: 5, start: 2_000, buckets: [0, 0, 0, 0]), 4)
    sample = meter.sample(at: 2_003_000, names: [:])
    #expect(sample["puts"] == .null && sample["p99"] == .null)
    meter.add("m1", nil, at: 5)
    #expect(meter.sample(at: 0, names: [:])["members"]?["m1"] == nil)
  }
}

/// Keys as etcd's gateway tells them, and as the page shows them.
@Suite struct KeyPagesTests {
  private func base64(_ text: String) -> JSONValue {
    .string(Base64.standard.encode(Bytes(text)).string)
  }

  @Test func rangesAreAskedFor() {
    let all = KeyPages.range(KeyQuery(), keysOnly: false).body
    #expect(all["key"] == "AA==" && all["range_end"] == "AA==")
    let some = KeyPages.range(KeyQuery(prefix: "/a", after: "/a/1"), keysOnly: true).body
    #expect(some["key"] == base64("/a/1\0") && some["range_end"] == base64("/b"))
    #expect(some["keys_only"] == true)
    let last = KeyPages.range(KeyQuery(prefix: Bytes([0xff])), keysOnly: false).body
    #expect(last["range_end"] == "AA==", "there is nothing behind it")
    let watch = KeyPages.watch(.init(prefix: "/a", from: 9)).body["create_request"]
    #expect(watch?["start_revision"] == "9" && watch?["key"] == base64("/a"))
    #expect(
      KeyPages.watch(.init(prefix: "", from: 0)).body["create_request"]?["start_revision"] == nil)
  }

  @Test func largeValuesAreCut() {
    for count in [0, 1, 2, 3, 1_000, 5_000] {
      let value = base64(String(repeating: "v", count: count))
      let shown = KeyPages.key(["key": "YQ==", "value": value, "mod_revision": "4", "lease": "0"])
      #expect(shown["valueBytes"]?.integer(as: Int.self) == count)
      let text = shown["value"]?.string ?? ""
      #expect(text.count <= KeyPages.shownCharactersMax && text.count % 4 == 0)
      #expect(shown["lease"] == nil && shown["modRevision"] == "4")
    }
  }

  @Test func messagesAreRead() throws {
    func read(_ text: String) throws -> KeyPages.Message {
      KeyPages.message(try JSONValue.parse(Bytes(text)))
    }
    #expect(try read(#"{"result":{"header":{"revision":"3"},"created":true}}"#).changes.isEmpty)
    let changed = try read(
      #"{"result":{"header":{"revision":"5"},"events":[{"kv":{"key":"YQ==","value":"Yg==","mod_revision":"4"}},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"5"}}]}}"#
    )
    #expect(changed.revision == 5 && changed.changes.count == 2 && changed.end == nil)
    #expect(changed.changes[1]["deleted"] == true && changed.changes[0]["deleted"] == nil)
    let old = try read(#"{"result":{"canceled":true,"compact_revision":"7","header":{}}}"#)
    #expect(old.isCompacted && old.end != nil)
    #expect(
      try read(#"{"error":{"message":"etcdserver: permission denied"}}"#).end
        == "etcdserver: permission denied")
  }
}

/// Where the page is.
@Suite struct PageAddressTests {
  @Test func itIsKeptForThisUserAlone() throws {
    let directory = try RunDirectory(NSTemporaryDirectory() + "page-\(UUID().uuidString)")
    try System.makeDirectory(directory.path)
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    #expect(PageAddress(in: directory) == nil)
    let address = PageAddress(port: 12_345, token: PageAddress.newToken())
    #expect(address.token.utf8.count == 32 && address.token != PageAddress.newToken())
    try address.save(in: directory)
    #expect(PageAddress(in: directory) == address)
    for file in [directory.pageFile, directory.pageOpener] {
      let found = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions]
      #expect(found as? Int == 0o600, "\(file)")
    }
    try "{\"port\":0,\"token\":\"x\"}".write(
      toFile: directory.pageFile, atomically: true, encoding: .utf8)
    #expect(PageAddress(in: directory) == nil)
  }

  @Test func portsAreOutsideOfThoseOfTheSystem() {
    #expect(PageAddress.ports(asked: 2_000, last: 3_000) { _ in 0 } == [2_000])
    let ports = PageAddress.ports(asked: nil, last: 3_000) { $0 - 1 }
    #expect(ports.first == 3_000 && ports.count == 51)
    #expect(!PortSearch.ephemeralRange().contains(ports[1]))
  }

  @Test func plansHaveIt() throws {
    #expect(PagePlan("auto") == .free && PagePlan("none") == PagePlan.none)
    #expect(PagePlan("12381") == .port(12_381) && PagePlan("80") == nil && PagePlan("x") == nil)
    var plan = ClusterPlan(size: 1, directory: "/d")
    for page in [PagePlan.none, .free, .port(12_381)] {
      plan.page = page
      #expect(ClusterFile.plan(Bytes(ClusterFile.text(plan)), directory: "/d")?.page == page)
    }
    func read(_ text: String) throws -> PagePlan? {
      try ConfigReader.read(Array(text.utf8), path: "x.yaml").page
    }
    #expect(try read("ui: true") == .free && read("ui: false") == PagePlan.none)
    #expect(try read("ui: 12381") == .port(12_381) && read("env: {}") == nil)
    #expect(
      throws: DevClusterError.usage(
        "x.yaml:1:5: ui: true, false or a port expected, found 'everywhere'")
    ) {
      try read("ui: everywhere")
    }
  }
}
