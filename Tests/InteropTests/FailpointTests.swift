import EtcdClient
import Failpoints
import Foundation
import TestSupport
import Testing

/// The program of a build with failpoints; `nil` unless the environment names it.
enum FailpointBuild {
  static let binary = ProcessInfo.processInfo.environment["FAILPOINTS_BINARY"]
}

/// A member of a build with failpoints dies at each of them, and loses nothing (`make failpoints`).
@Suite(.serialized, .enabled(if: FailpointBuild.binary != nil)) struct FailpointTests {
  /// What a lone member comes by, with puts, compactions, defragmentations, snapshots and a change of its cluster.
  static let lone: [Failpoint] = [
    .beforeApplyOneEntryNormal, .beforeApplyOneConfChange, .beforeCommit, .afterCommit,
    .beforeStartDBTxn, .afterStartDBTxn, .beforeWritebackBuf, .afterWritebackBuf,
    .commitBeforePreCommitHook, .commitAfterPreCommitHook, .compactBeforeCommitBatch,
    .compactAfterCommitBatch, .compactBeforeCommitScheduledCompact,
    .compactAfterCommitScheduledCompact, .compactBeforeSetFinishedCompact,
    .compactAfterSetFinishedCompact, .defragBeforeCopy, .defragBeforeRename, .raftBeforeSave,
    .raftAfterSave, .raftBeforeWALSaveSnaphot, .raftAfterWALRelease, .raftBeforeAdvance,
    .walBeforeSync, .walAfterSync, .beforeLookupWhenLeaseTimeToLive,
  ]
  /// What a member comes by that is sent a snapshot.
  static let behind: [Failpoint] = [
    .raftBeforeSaveSnap, .raftAfterSaveSnap, .raftBeforeApplySnap, .raftAfterApplySnap,
    .applyBeforeOpenSnapshot, .applyAfterOpenSnapshot,
  ]

  private static func set(_ point: Failpoint, _ terms: String, _ port: Int) {
    let done = run(
      "/usr/bin/curl",
      ["-sS", "-X", "PUT", "-d", terms, "http://127.0.0.1:\(port)/\(point.rawValue)"])
    #expect(done.status == 0 && done.output.isEmpty, "\(done)")
  }

  /// Starts a member whose failpoints are set at a port.
  private static func begin(_ member: Member, _ port: Int) {
    member.start(environment: ["GOFAIL_HTTP": "127.0.0.1:\(port)"])
  }

  @Test(arguments: lone) func dyingThereLosesNothing(_ point: Failpoint) async throws {
    let binary = try #require(FailpointBuild.binary)
    let cluster = Cluster([binary], extra: ["--snapshot-count", "20"])
    let (member, port) = (cluster.members[0], freePorts(1)[0])
    Self.begin(member, port)
    try member.waitHealthy()
    let client = try EtcdClient(endpoints: [member.endpoint])
    defer { client.close() }
    let lease = try await client.leases.grant(ttl: 1_000).id
    var acknowledged: [String: Int] = [:]
    var number = 0
    func put() async throws {
      number += 1
      let key = "k\(number % 40)"
      try await client.kv.put(.init(key), .init("\(number)"))
      acknowledged[key] = number
    }
    for _ in 0..<30 { try await put() }
    Self.set(point, "panic", port)
    let end = ContinuousClock.now + .seconds(30)
    while member.isRunning, ContinuousClock.now < end {
      // Whatever fails now, fails because the member is gone.
      do {
        for _ in 0..<10 { try await put() }
        let revision = try await client.kv.get("k1").header?.revision ?? 0
        _ = try await client.leases.timeToLive(lease)
        try await client.kv.compact(revision - 5, physical: true)
        try await client.maintenance.defragment()
        let learner = try await client.cluster.add(peerURLs: ["http://127.0.0.1:1"], learner: true)
        if let id = learner.member?.id { try await client.cluster.remove(id) }
      } catch {}
    }
    #expect(!member.isRunning, "\(point) was not reached")
    #expect(member.log.contains("panic: failpoint \(point.rawValue)"))
    member.kill()
    member.start()
    try member.waitHealthy()
    for (key, value) in acknowledged.sorted(by: { $0.key < $1.key }) {
      let found = try await client.kv.get(.key(.init(key)))
      let now = found.kvs.first.flatMap { Int($0.value.string) }
      // The put under way may have been done.
      #expect(now == value || now == number, "\(key) after \(point)")
    }
  }

  @Test(arguments: behind) func dyingWhileCatchingUpLosesNothing(_ point: Failpoint) throws {
    let binary = try #require(FailpointBuild.binary)
    let cluster = Cluster(
      Array(repeating: binary, count: 3),
      extra: ["--snapshot-count", "10", "--experimental-snapshot-catchup-entries", "5"])
    try cluster.start()
    let late = cluster.members[2]
    late.stop()
    for number in 0..<60 {
      #expect(
        cluster.ctl(["put", "k\(number % 9)", "\(number)"], at: cluster.members[0]).status == 0)
    }
    late.start(environment: ["GOFAIL_FAILPOINTS": "\(point.rawValue)=panic"])
    try eventually("the end of a member at \(point)", seconds: 30) { !late.isRunning }
    late.kill()
    late.start()
    try late.waitHealthy()
    try expectEqualHashes(cluster.members)
  }

  /// Who leads and who follows.
  @Test(arguments: [Failpoint.raftBeforeLeaderSend, .raftBeforeFollowerSend])
  func dyingBeforeSendingLosesNothing(_ point: Failpoint) throws {
    let binary = try #require(FailpointBuild.binary)
    let cluster = Cluster(Array(repeating: binary, count: 3))
    let ports = freePorts(3)
    for (member, port) in zip(cluster.members, ports) { Self.begin(member, port) }
    for member in cluster.members { try member.waitHealthy() }
    try cluster.lead(cluster.members[0])
    let dying = point == .raftBeforeLeaderSend ? 0 : 1
    #expect(cluster.ctl(["put", "k", "1"], at: cluster.members[2]).status == 0)
    Self.set(point, "panic", ports[dying])
    try eventually("the end of a member at \(point)", seconds: 30) {
      !cluster.members[dying].isRunning
    }
    #expect(
      cluster.ctl(["get", "k", "--print-value-only"], at: cluster.members[2]).output == "1\n")
    cluster.members[dying].kill()
    cluster.members[dying].start()
    try cluster.members[dying].waitHealthy()
    try expectEqualHashes(cluster.members)
  }

  @Test func waitsAndErrorsAreSetAndTakenBack() async throws {
    let binary = try #require(FailpointBuild.binary)
    let cluster = Cluster([binary])
    let (member, port) = (cluster.members[0], freePorts(1)[0])
    Self.begin(member, port)
    try member.waitHealthy()
    let client = try EtcdClient(endpoints: [member.endpoint])
    defer { client.close() }
    Self.set(.raftBeforeSave, "sleep(300)", port)
    let start = ContinuousClock.now
    try await client.kv.put("k", "v")
    #expect(ContinuousClock.now - start > .milliseconds(290))
    let base = "http://127.0.0.1:\(port)"
    #expect(httpGet("\(base)/raftBeforeSave") == "sleep(300)\n")
    #expect(httpGet("\(base)/raftBeforeSave/count").flatMap { Int($0) } ?? 0 > 0)
    #expect(httpGet("\(base)/")?.contains("walBeforeSync=\n") == true)
    #expect(
      run("/usr/bin/curl", ["-sS", "-X", "DELETE", "\(base)/raftBeforeSave"]).status == 0)
    #expect(httpGet("\(base)/")?.contains("raftBeforeSave=\n") == true)
    for point in [Failpoint.defragOpenFileError, .defragdbFail] {
      Self.set(point, "1*return(\"no room\")", port)
      await #expect(throws: EtcdClientError.self) { try await client.maintenance.defragment() }
      try await client.maintenance.defragment()
    }
    let refused = run("/usr/bin/curl", ["-sS", "-X", "PUT", "-d", "boom", "\(base)/raftAfterSave"])
    #expect(refused.output == "failed to set failpoint raftAfterSave\n")
    #expect(try await client.kv.get("k").kvs.first?.value == "v")
  }
}
