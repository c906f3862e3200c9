import Bytes
import EtcdClient
import Foundation
import TestSupport
import Testing

/// A leader whose fsync does not come back, as a process.
@Suite(.serialized) struct StuckDiskProcessTests {
  @Test(.enabled(if: HungDisk.compiler != nil)) func aStuckLeaderIsReplacedAndNotReady()
    async throws
  {
    let scratch = Scratch()
    let ports = freePorts(6)
    func url(_ n: Int) -> String { "http://127.0.0.1:\(ports[n])" }
    let cluster = (0..<3).map { "m\($0)=\(url($0 * 2 + 1))" }.joined(separator: ",")
    let disks = try (0..<3).map { n in
      let folder = scratch.path + "/disk\(n)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      return try HungDisk(folder)
    }
    let members = try (0..<3).map { n in
      try ServerProcess(
        [
          "--name", "m\(n)", "--data-dir", "\(scratch.path)/m\(n)", "--listen-client-urls",
          url(n * 2), "--advertise-client-urls", url(n * 2), "--listen-peer-urls", url(n * 2 + 1),
          "--initial-advertise-peer-urls", url(n * 2 + 1), "--initial-cluster", cluster,
        ], variables: disks[n].variables, log: "\(scratch.path)/log\(n)")
    }
    for member in members { try member.waitFor("ready to serve client requests") }
    func leads(_ n: Int) -> Bool {
      httpGet(url(n * 2) + "/metrics")?.contains("\netcd_server_is_leader 1\n") == true
    }
    func ready(_ n: Int) -> String {
      run("/usr/bin/curl", ["-s", url(n * 2) + "/readyz?verbose"]).output
    }
    let first = try #require((0..<3).first(where: leads))
    let other = (first + 1) % 3
    let client = try EtcdClient(endpoints: [url(other * 2)])
    try await client.kv.put("a", "1")
    #expect(ready(first).contains("ok") && !ready(first).contains("disk"))
    disks[first].hang()
    defer { disks[first].goOn() }
    let began = Date()
    try await client.kv.put("a", "2")
    try members[first].waitUntil("another leads", seconds: 15) {
      (0..<3).contains { $0 != first && leads($0) }
    }
    print("another led after \(Date().timeIntervalSince(began)) s")
    #expect(!leads(first))
    #expect(
      ready(first).contains(
        "[-]disk failed: the log's disk has taken nothing for an election timeout"),
      "\(ready(first))")
    #expect(members[first].log.contains("this member does not lead until it does"))
    for number in 0..<20 { try await client.kv.put("a", Bytes("\(number)")) }
    disks[first].goOn()
    try members[first].waitFor("the log's disk moves again")
    try members[first].waitUntil("it is ready again") {
      ready(first).hasSuffix("ok\n") && !ready(first).contains("disk")
    }
    for member in members { member.end() }
  }
}
