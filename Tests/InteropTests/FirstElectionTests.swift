import Foundation
import TestSupport
import Testing

/// A new cluster does not wait for the timeouts of elections.
@Suite(.serialized) struct FirstElectionTests {
  private static let slow = ["--heartbeat-interval", "1000", "--election-timeout", "20000"]

  /// Each timeout is twenty seconds at least, of which raft skips nine tenths.
  @Test(arguments: [1, 3]) func foundersElectAtOnce(_ count: Int) throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: count), extra: Self.slow)
    let begin = ContinuousClock.now
    for member in cluster.members { member.start() }
    for member in cluster.members { try member.waitHealthy(seconds: 15) }
    // Many hundred times less where nothing else runs.
    #expect(ContinuousClock.now - begin < .seconds(2))
  }

  /// Streams that the first election does not need come behind it.
  @Test func allAreConnectedInTheEnd() throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: 5))
    try cluster.start()
    for member in cluster.members {
      func streams() -> Int {
        member.log.split(separator: "\n").count {
          $0.contains("established TCP streaming connection") && $0.contains("stream-reader-type")
        }
      }
      try eventually("\(member.name) has two streams of each other member") { streams() == 8 }
    }
  }

  /// Members of Go's kind vote for a founder in haste, and found without one.
  @Test(.enabled(if: Binaries.go35 != nil)) func beforeMembersOfGo() throws {
    let go = try #require(Binaries.go35)
    let cluster = Cluster([go, Binaries.ours, go])
    try cluster.start()
  }

  /// The founder that would be first is not there: the others' timeouts elect.
  @Test func withoutOneFounder() throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    for away in 0..<3 {
      for (number, member) in cluster.members.enumerated() where number != away { member.start() }
      for (number, member) in cluster.members.enumerated() where number != away {
        try member.waitHealthy()
      }
      for member in cluster.members { member.kill() }
      for member in cluster.members {
        try? FileManager.default.removeItem(atPath: member.directory)
      }
    }
  }
}
