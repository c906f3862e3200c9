import EtcdClient
import Foundation
import TestSupport
import Testing

/// Requests that took long are told of as by Go: that they did, of what, and in which step.
@Suite(.serialized) struct SlowRequestTests {
  private struct Line: Equatable {
    let message: String
    /// But for what differs from run to run.
    let fields: [String: String]
  }

  /// The lines of one slow range, one slow transaction and one slow put.
  private func lines(_ server: String) async throws -> [Line] {
    let cluster = Cluster([server, server, server], extra: ["--election-timeout", "5000"])
    try cluster.start()
    let leader = cluster.members[0]
    try cluster.lead(leader)
    let client = try EtcdClient(endpoints: [leader.endpoint])
    defer { client.close() }
    try await client.kv.put("k\n1", "v")
    /// Nobody agrees for a while.
    func slowly(_ body: @escaping @Sendable () async throws -> Void) async throws {
      for member in cluster.members.dropFirst() { try await Self.pause(member) }
      async let done: Void = body()
      try await Task.sleep(for: .milliseconds(400))
      for member in cluster.members.dropFirst() { kill(member.pid, SIGCONT) }
      try await done
    }
    try await slowly {
      _ = try await client.kv.get(
        .init(key: "k", rangeEnd: "l", limit: 5, sortOrder: .descend, sortTarget: .mod))
    }
    try await slowly {
      _ = try await client.kv.txn(
        success: [.init(request: .requestRange(.init(key: "k\n1", countOnly: true)))])
    }
    try await slowly { _ = try await client.kv.put("k", "v") }
    return leader.log.split(separator: "\n").compactMap { text in
      guard var json = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
        let message = json["msg"] as? String
      else { return nil }
      let isTrace = message.hasPrefix("trace[")
      let isWarning = message == "apply request took too long" && json["prefix"] as? String != ""
      // Go tells of the loop that asks for agreement too.
      guard isWarning || (isTrace && !message.hasSuffix("linearizableReadLoop")) else { return nil }
      var fields: [String: String] = [:]
      // The key is left out here.
      if message.hasSuffix("put"), let detail = json["detail"] as? String {
        json["detail"] = detail.replacing("key:k; ", with: "")
      }
      for (name, value) in json where !["ts", "caller", "start", "end"].contains(name) {
        fields[name] = Self.normalised("\(value)")
      }
      return Line(message: Self.normalised(message), fields: fields)
    }
  }

  /// Returns when every thread has stopped: the signal only begins it, and one that runs on may still agree.
  private static func pause(_ member: Member) async throws {
    kill(member.pid, SIGSTOP)
    let tasks = "/proc/\(member.pid)/task"
    while true {
      let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
      let states = threads.map { thread in
        (try? String(contentsOfFile: "\(tasks)/\(thread)/stat", encoding: .utf8)) ?? ""
      }
      if states.allSatisfy({ $0.contains(") T ") }) { return }
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  private static func normalised(_ text: String) -> String {
    text.replacing(#/[0-9.]+ms|size:[0-9]+/#, with: "N").replacing(
      #/trace\[[0-9]+\]/#, with: "trace[N]"
    )
    .replacing(#/response_revision:[0-9]+/#, with: "response_revision:N")
  }

  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil))
  func linesAreThoseOfGo() async throws {
    let go = try await lines(try #require(Binaries.go35))
    let ours = try await lines(Binaries.ours)
    let texts = [go, ours].map { $0.map { "\($0)" }.joined(separator: "\n") }
    #expect(go.count == 4 && ours == go, "\(texts[0])\n--- ours\n\(texts[1])")
  }

  /// A lower threshold for the warning than that of traces counts for reads, too.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func readsAreWarnedOfFromTheThresholdOn() async throws
  {
    let cluster = Cluster(
      Array(repeating: Binaries.ours, count: 3),
      extra: ["--election-timeout", "5000", "--experimental-warning-apply-duration", "1ms"])
    try cluster.start()
    try cluster.lead(cluster.members[0])
    let client = try EtcdClient(endpoints: [cluster.members[0].endpoint])
    defer { client.close() }
    for member in cluster.members.dropFirst() { kill(member.pid, SIGSTOP) }
    async let done = client.kv.get("k")
    try await Task.sleep(for: .milliseconds(40))
    for member in cluster.members.dropFirst() { kill(member.pid, SIGCONT) }
    _ = try await done
    let line = try #require(
      cluster.members[0].log.split(separator: "\n").first { $0.contains("read-only range") })
    #expect(line.contains(#""msg":"apply request took too long""#), "\(line)")
  }
}
