import Foundation
import TestSupport
import Testing

/// What one etcdctl said and did with a cluster of its own.
struct Transcript {
  let ctl: String
  let cluster: Cluster
  private(set) var lines: [String] = []

  init(_ ctl: String, _ server: String) throws {
    self.ctl = ctl
    cluster = Cluster([server])
    try cluster.start()
  }

  private func words(_ line: [String]) -> [String] { ["--endpoints", cluster.endpoints] + line }

  /// Runs a command to its end.
  mutating func done(
    _ line: String, _ exec: [String] = [], input: String = "",
    variables: [String: String] = [:]
  ) {
    let step = EtcdctlTests.Step(line).arguments + exec
    let done = run(ctl, words(step), input: input, variables: variables)
    note("\(step)", done)
  }

  /// Starts a command that goes on.
  func begin(_ line: String, _ exec: [String] = [], variables: [String: String] = [:]) throws
    -> Running
  {
    try Running(ctl, words(EtcdctlTests.Step(line).arguments + exec), variables)
  }

  mutating func note(_ name: String, _ done: Finished) {
    lines.append(
      "\(name): \(done.status)\n\(Self.plain(done.output))---\n\(Self.plain(done.error))")
  }

  /// Does something with the official client, unseen.
  func put(_ line: String) {
    let done = cluster.ctl(EtcdctlTests.Step(line).arguments)
    #expect(done.status == 0, "\(line): \(done)")
  }

  /// Waits until so many keys begin with a prefix.
  func wait(for count: Int, in prefix: String) throws {
    try wait {
      cluster.ctl(["get", prefix, "--prefix", "--count-only", "-w", "fields"]).output
        .contains("\"Count\" : \(count)\n")
    }
  }

  func wait(_ condition: () -> Bool) throws {
    let late = Date().addingTimeInterval(20)
    while !condition() {
      try #require(Date() < late, "\(ctl) does not go on")
      usleep(10_000)
    }
  }

  private static func plain(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("{\"level\":") }.joined(separator: "\n")
      .replacing(#/"(cluster_id|member_id|lease)":\d+/#, with: "ID")
      .replacing(#/"(ClusterID|MemberID|Lease)" : \d+/#, with: "ID")
      .replacing(#/"raft_term":\d+|"RaftTerm" : \d+/#, with: "TERM")
      .replacing(#/[0-9a-f]{13,16}/#, with: "HEX")
      .replacing(#/"key":"bC[89][^"]*"/#, with: "KEY")
  }

  static func compare(
    _ server: String, _ body: (inout Transcript) throws -> Void
  ) throws {
    var transcripts: [[String]] = []
    for ctl in [try #require(Binaries.ctl35), Binaries.ourCtl] {
      var transcript = try Transcript(ctl, server)
      try body(&transcript)
      transcripts.append(transcript.lines)
    }
    #expect(transcripts[0].count == transcripts[1].count && !transcripts[0].isEmpty)
    for (official, ours) in zip(transcripts[0], transcripts[1]) {
      #expect(official == ours, "--- etcdctl 3.5.1\n\(official)\n--- ours\n\(ours)")
    }
  }
}
