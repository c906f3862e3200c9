import EtcdClient
import Foundation
import TestSupport
import Testing

/// The official etcdctl watches while members are killed and started again, and one is stopped for longer than its
/// keepalive: what it printed is what a watch of the whole history sees.
@Suite(.serialized) struct WatchKillTests {
  @Test(.enabled(if: Binaries.ctl35 != nil)) func etcdctlMissesAndRepeatsNothing() async throws {
    let official = try #require(Binaries.ctl35)
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: cluster.members.map(\.endpoint), requestTimeout: .seconds(30),
        keepaliveInterval: .seconds(10), keepaliveTimeout: .seconds(1)))
    defer { client.close() }
    let start = try #require(try await client.kv.put("w/first", "0").header).revision
    let watch = try Watching(
      official,
      [
        "--endpoints", cluster.endpoints, "--keepalive-time", "10s", "--keepalive-timeout", "1s",
        "watch", "w/", "--prefix", "--rev", "\(start)",
      ], output: cluster.scratch.path + "/watched")
    defer { watch.end() }
    let written = Shared(false)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await client.writeKeys(until: written, last: "last") }
      for member in cluster.members {
        member.kill()
        member.start()
        try member.waitHealthy()
        try await watch.waitForMore(20)
      }
      kill(cluster.members[0].pid, SIGSTOP)
      try await watch.waitForMore(20)
      kill(cluster.members[0].pid, SIGCONT)
      try cluster.members[0].waitHealthy()
      written.withLock { $0 = true }
      try await group.waitForAll()
    }
    var history: [String] = []
    for try await update in client.watch(.prefix("w/"), .init(startRevision: start)) {
      for event in update.events {
        history.append("PUT \(event.kv?.key.string ?? "") \(event.kv?.value.string ?? "")")
      }
      if history.last == "PUT w/last last" { break }
    }
    try await watch.wait { watch.events.last == "PUT w/last last" }
    #expect(watch.events == history)
    #expect(history.count > 80)
  }

  /// An `etcdctl watch` that writes to a file.
  private final class Watching: Sendable {
    private let process = Shared<Process?>(nil)
    private let output: String

    init(_ program: String, _ words: [String], output: String) throws {
      self.output = output
      _ = FileManager.default.createFile(atPath: output, contents: nil)
      let made = Process()
      made.executableURL = URL(fileURLWithPath: program)
      made.arguments = words
      made.environment = ["ETCDCTL_API": "3"]
      made.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
      made.standardError = FileHandle.nullDevice
      try made.run()
      process.withLock { $0 = made }
    }

    func end() {
      process.withLock {
        if let pid = $0?.processIdentifier { kill(pid, SIGKILL) }
        $0?.waitUntilExit()
        $0 = nil
      }
    }

    /// What it printed: kind, key and value of each event have a line each.
    var events: [String] {
      let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
      let lines = text.split(separator: "\n")
      return stride(from: 0, to: lines.count - lines.count % 3, by: 3).map {
        lines[$0..<($0 + 3)].joined(separator: " ")
      }
    }

    func waitForMore(_ count: Int) async throws {
      let before = events.count
      try await wait { self.events.count > before + count }
    }

    func wait(_ condition: () -> Bool) async throws {
      let late = ContinuousClock.now + .seconds(60)
      while !condition() {
        try #require(ContinuousClock.now < late, "nothing goes on")
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }
}
