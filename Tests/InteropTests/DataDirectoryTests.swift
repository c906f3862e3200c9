import Foundation
import Testing

/// One data directory, used in turn by the real server and by ours.
@Suite(.serialized) struct DataDirectoryTests {
  @Test(
    .enabled(if: Binaries.go34 != nil && Binaries.ctl35 != nil && Binaries.go35 != nil),
    arguments: ["3.4", "3.5"])
  func goesThereAndBack(version: String) throws {
    let official = try #require(version == "3.4" ? Binaries.go34 : Binaries.go35)
    let ctl = try #require(Binaries.ctl35)
    // A small snapshot count makes snapshots and log compaction part of the exchange.
    let cluster = Cluster([official], extra: ["--snapshot-count", "50"])
    let member = cluster.members[0]
    // A member raises the cluster version to 3.5, and etcd 3.4 refuses to go back behind it, from us
    // as from Go etcd 3.5: that way leads only forward.
    var binaries =
      version == "3.4"
      ? [official, Binaries.ours, Binaries.ours]
      : [official, Binaries.ours, official, Binaries.ours]
    var previous: String?
    var count = 0
    while !binaries.isEmpty {
      member.start(binary: binaries.removeFirst())
      try member.waitHealthy()
      if let previous { #expect(hashKV(member) == previous) }
      for n in 0..<60 {
        let key = "key\((count + n) % 25)"
        let words = n % 7 == 3 ? ["del", key] : ["put", key, "value \(count + n)"]
        let done = run(ctl, ["--endpoints", member.endpoint] + words)
        #expect(done.status == 0, "\(words): \(done)")
      }
      count += 60
      if count == 120 {
        #expect(run(ctl, ["--endpoints", member.endpoint, "compaction", "40"]).status == 0)
      }
      previous = hashKV(member)
      // The last stop of ours is the hard way.
      if binaries.isEmpty { member.kill() } else { member.stop() }
    }
    member.start(binary: Binaries.ours)
    try member.waitHealthy()
    #expect(hashKV(member) == previous)
  }
}
