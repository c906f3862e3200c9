import Foundation
import Testing

/// Members of both kinds in one cluster.
@Suite(.serialized) struct MixedClusterTests {
  @Test(arguments: [[true, false, false], [false, true, true]])
  func replicatesWithEitherLeader(ours: [Bool]) throws {
    guard let official = Binaries.go35, let ctl = Binaries.ctl35 else {
      print("SKIPPED: etcd 3.5.1 is not installed; run scripts/setup.sh")
      return
    }
    let cluster = Cluster(ours.map { $0 ? Binaries.ours : official })
    try cluster.start()
    func ctlRun(_ words: [String]) -> Finished {
      run(ctl, ["--endpoints", cluster.endpoints, "--command-timeout", "20s"] + words)
    }
    for target in cluster.members {
      let status = ctlRun(["endpoint", "status", "-w", "json"])
      let table = try #require(
        try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [[String: Any]])
      let row = try #require(
        table.first { ($0["Endpoint"] as? String) == target.endpoint }?["Status"] as? [String: Any])
      let id = try #require((row["header"] as? [String: Any])?["member_id"] as? UInt64)
      if (row["leader"] as? UInt64) != id {
        let moved = ctlRun(["move-leader", String(id, radix: 16)])
        #expect(moved.status == 0, "\(moved)")
      }
      for n in 0..<20 {
        let done = ctlRun(["put", "\(target.name)-\(n)", "v"])
        #expect(done.status == 0, "\(done)")
      }
    }
    let list = ctlRun(["member", "list"])
    #expect(list.output.split(separator: "\n").filter { $0.contains("started") }.count == 3)
    for member in cluster.members {
      let read = run(
        ctl,
        ["--endpoints", member.endpoint, "get", "", "--prefix", "--count-only", "-w", "fields"])
      #expect(read.output.contains("\"Count\" : 60"), "\(read)")
    }
    let hashes = Set(cluster.members.map { hashKV($0, revision: 61) })
    #expect(hashes.count == 1, "\(hashes)")
  }
}
