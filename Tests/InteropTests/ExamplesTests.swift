import Foundation
import TestSupport
import Testing

/// The programs of Examples do what they say, on servers of both kinds.
@Suite(.serialized) struct ExamplesTests {
  static let servers = [Binaries.ours, Binaries.go35].compactMap { $0 }

  private static func program(_ name: String) -> String { Binaries.built(name) }

  private static func started(_ server: String) throws -> Cluster {
    let cluster = Cluster([server])
    try cluster.start()
    return cluster
  }

  private static func put(_ cluster: Cluster, _ key: String, _ value: String) {
    #expect(cluster.ctl(["put", key, value]).status == 0)
  }

  @Test(arguments: servers) func aConfigurationIsReloaded(server: String) throws {
    let cluster = try Self.started(server)
    Self.put(cluster, "config/a", "1")
    Self.put(cluster, "other", "x")
    let reload = try Running(Self.program("config-reload"), [cluster.endpoints, "config/"], [:])
    try reload.wait(for: "configuration: a=1\n")
    Self.put(cluster, "config/b", "2")
    try reload.wait(for: "configuration: a=1 b=2\n")
    #expect(cluster.ctl(["del", "config/a"]).status == 0)
    try reload.wait(for: "configuration: b=2\n")
    _ = reload.end(SIGTERM)
  }

  @Test(arguments: servers) func servicesComeAndGo(server: String) throws {
    let cluster = try Self.started(server)
    func service(_ words: String...) throws -> Running {
      try Running(Self.program("service-registry"), [cluster.endpoints] + words, [:])
    }
    let first = try service("announce", "web", "h:1")
    try first.wait(for: "announced h:1\n")
    let follower = try service("follow", "web")
    try follower.wait(for: "up h:1\n")
    let second = try service("announce", "web", "h:2")
    try follower.wait(for: "up h:2\n")
    _ = second.end(SIGKILL)
    // Its lease is ended by the cluster.
    try follower.wait(for: "down h:2\n")
    #expect(!follower.output.contains("down h:1"))
    _ = (first.end(SIGTERM), follower.end(SIGTERM))
  }

  @Test(arguments: servers) func leadersFollowEachOther(server: String) throws {
    let cluster = try Self.started(server)
    let names = ["one", "two", "three"]
    let members = try names.map { name in
      try Running(Self.program("leader-election"), [cluster.endpoints, "e", name], [:])
    }
    for (name, member) in zip(names, members) {
      let done = member.result()
      #expect(done.status == 0 && done.output.contains("\(name) leads\n"), "\(done)")
      #expect(done.output.contains("\(name) resigned\n"), "\(done)")
    }
    #expect(cluster.ctl(["get", "e/", "--prefix"]).output.isEmpty)
  }

  @Test(arguments: servers) func nobodyCountsTwice(server: String) throws {
    let cluster = try Self.started(server)
    let counters = try (0..<3).map { _ in
      try Running(Self.program("distributed-lock"), [cluster.endpoints, "n", "5"], [:])
    }
    for counter in counters {
      let done = counter.result()
      #expect(done.status == 0 && !done.output.contains("lost"), "\(done)")
    }
    #expect(cluster.ctl(["get", "n", "--print-value-only"]).output == "15\n")
  }
}
