import Foundation
import TestSupport
import Testing

/// `lock` and `elect` of our etcdctl beside those of the official 3.5.1, on servers of both kinds.
@Suite(.serialized) struct OurEtcdctlLockTests {
  static let servers = OurEtcdctlWatchTests.servers
  static let isComparable = OurEtcdctlWatchTests.isComparable

  @Test(.enabled(if: isComparable), arguments: servers) func locksGoAlike(server: String) throws {
    try Transcript.compare(server) { desk in
      desk.done("lock l --", ["sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 7"])
      desk.done("lock l --ttl 0 --", ["sh", "-c", "cat; echo done"])
      for (format, marker) in [
        ("simple", "l/"), ("json", "\"count\":1}"), ("fields", "\"Count\" : 1"),
      ] {
        let lock = try desk.begin("lock l -w \(format)")
        try lock.wait(for: marker)
        desk.note("lock \(format)", lock.end(SIGINT))
      }
      // One waits for the other, whichever kind it is.
      let first = try desk.begin("lock l")
      try first.wait(for: "l/")
      let waiting = try desk.begin("lock l --", ["sh", "-c", "echo $ETCD_LOCK_REV"])
      try desk.wait(for: 2, in: "l/")
      let other = try Running(
        try #require(Binaries.ctl35), ["--endpoints", desk.cluster.endpoints, "lock", "l"], [:])
      try desk.wait(for: 3, in: "l/")
      #expect(waiting.output.isEmpty && other.output.isEmpty)
      desk.note("first", first.end(SIGTERM))
      desk.note("waiting", waiting.result())
      try other.wait(for: "l/")
      let given = try desk.begin("lock l")
      try desk.wait(for: 2, in: "l/")
      desk.note("given up", given.end(SIGINT))
      #expect(other.end(SIGINT).status == 0)
      desk.done("get l/ --prefix")
    }
  }

  /// Go leaves the command running; what it does then is done without the lock.
  @Test(arguments: servers) func aLostLockEndsItsCommand(server: String) throws {
    let desk = try Transcript(Binaries.ourCtl, server)
    let lock = try desk.begin(
      "lock l --ttl 3 --",
      ["sh", "-c", "trap 'echo ended; exit 9' TERM; echo on; while :; do sleep 0.1; done"])
    try lock.wait(for: "on\n")
    let leases = desk.cluster.ctl(["lease", "list"]).output.split(separator: "\n")
    desk.put("lease revoke \(try #require(leases.last))")
    let done = lock.result()
    #expect(done == Finished(status: 1, output: "on\nended\n", error: "Error: session expired\n"))
  }

  @Test(.enabled(if: isComparable), arguments: servers) func electionsGoAlike(server: String) throws
  {
    try Transcript.compare(server) { desk in
      let observer = try desk.begin("elect e -l")
      let first = try desk.begin("elect e one")
      try first.wait(for: "one\n")
      try observer.wait(for: "one\n")
      let second = try desk.begin("elect e two -w json")
      let third = try desk.begin("elect e three")
      try desk.wait(for: 3, in: "e/")
      let count = (second.output.isEmpty ? 1 : 0) + (third.output.isEmpty ? 1 : 0)
      #expect(count == 2)
      desk.note("first", first.end(SIGINT))
      // Whoever came first follows.
      try desk.wait { !second.output.isEmpty || !third.output.isEmpty }
      let (next, last) = second.output.isEmpty ? (third, second) : (second, third)
      #expect(next.end(SIGTERM).status == 0)
      try desk.wait { !last.output.isEmpty }
      #expect(last.end(SIGTERM).status == 0)
      try observer.wait(for: "two\n")
      try observer.wait(for: "three\n")
      let seen = observer.end(SIGINT)
      // Go's client may be asking for the next leader, and logs that it was interrupted.
      #expect(seen.status == 0 && withoutLog(seen.error).isEmpty, "\(seen)")
      let names = seen.output.split(separator: "\n").filter { !$0.hasPrefix("e/") }
      #expect(names.first == "one" && names.count == 3, "\(seen)")
      let waiting = try desk.begin("elect e4 one")
      try waiting.wait(for: "one\n")
      let given = try desk.begin("elect e4 two")
      try desk.wait(for: 2, in: "e4/")
      desk.note("given up", given.end(SIGTERM))
      desk.note("waiting", waiting.end(SIGTERM))
      desk.done("get e --prefix")
    }
  }
}
