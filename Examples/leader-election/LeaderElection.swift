import EtcdClient
import Foundation

/// One of several processes leads, does some work and hands over; all others see who it is.
///
///     leader-election http://127.0.0.1:2379 nightly one
@main struct LeaderElection {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count == 4 else { fatalError("leader-election ENDPOINT ELECTION NAME") }
    let client = try EtcdClient(endpoints: [words[1]])
    let election = client.election(Bytes(words[2]))
    let name = words[3]
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for try await leader in election.observe() {
          say("\(name) sees \(leader.kvs.first?.value.string ?? "nobody")")
        }
      }
      try await client.withSession(ttl: 10) { session in
        let lead = try await election.campaign(in: session, Bytes(name))
        say("\(name) leads")
        for step in 1...3 {
          // Happens only while this process leads, whatever it believes itself.
          let done = try await client.kv.txn(
            [lead.isLeader],
            success: [.init(request: .requestPut(.init(key: "work", value: Bytes(name))))])
          guard done.succeeded else { throw EtcdClientError.notLeader }
          try await lead.proclaim(Bytes("\(name) at step \(step)"))
        }
        try await lead.resign()
        say("\(name) resigned")
      }
      group.cancelAll()
      // The observer ends with its task.
      do { try await group.waitForAll() } catch EtcdClientError.cancelled {}
    }
  }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
