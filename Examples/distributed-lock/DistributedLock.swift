import EtcdClient
import Foundation

/// Counts in a key that many processes count in: each holds a lock while it reads and writes.
///
///     distributed-lock http://127.0.0.1:2379 counter 10
@main struct DistributedLock {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count == 4, let times = Int(words[3]) else {
      fatalError("distributed-lock ENDPOINT KEY TIMES")
    }
    let client = try EtcdClient(endpoints: [words[1]])
    let key = Bytes(words[2])
    try await client.withSession(ttl: 10) { session in
      for _ in 0..<times {
        try await session.withLock(Bytes("locks/\(words[2])")) { lock in
          let old = try await client.kv.get(.key(key)).kvs.first?.value.string ?? "0"
          let new = Bytes("\((Int(old) ?? 0) + 1)")
          // Should the lock have been lost since, nothing is written.
          let done = try await client.kv.txn(
            [lock.isHeld], success: [.init(request: .requestPut(.init(key: key, value: new)))])
          say(done.succeeded ? "\(new.string) with token \(lock.revision)" : "the lock was lost")
        }
      }
    }
  }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
