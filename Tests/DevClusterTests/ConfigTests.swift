import Bytes
import FaultRelay
import Foundation
import JSON
import Testing

@testable import DevClusterKit

@Suite struct ConfigTests {
  private func read(_ text: String) throws -> ClusterConfig {
    try ConfigReader.read(Array(text.utf8), path: "f")
  }

  @Test func filesAreRead() throws {
    let config = try read(
      """
      cluster: {members: 5, ports: auto, tls: true, wait: 9, fast: true}
      version: 3.5.30
      auth:
        root: secret
        users: [{name: app, password: p, permissions: ["rw /app/*", "r /x"]}]
      flags: {snapshot-count: 1000, pre-vote: false}
      env: {A: 1}
      members:
        m2: {binary: /b, flags: {log-level: debug}, env: {B: x}}
        m6: {learner: true}
        m3: {start: false}
      seed: {keys: {/a: b}}
      """)
    #expect(config.size == 5 && config.ports == .auto && config.security == .own)
    #expect(config.wait == 9 && config.isFast == true && config.binary == "3.5.30")
    #expect(config.auth?.root == "secret")
    #expect(
      config.auth?.users == [
        .init(
          name: "app", password: "p",
          permissions: [
            .init(kind: .both, key: "/app/", isPrefix: true),
            .init(kind: .read, key: "/x", isPrefix: false),
          ])
      ])
    #expect(config.flags == ["--snapshot-count=1000", "--pre-vote=false"])
    #expect(config.environment == ["A=1"] && config.seed == [.init(key: "/a", value: "b")])
    #expect(config.members["m2"]?.binary == "/b" && config.members["m6"]?.isLearner == true)
    #expect(config.members["m3"]?.starts == false)
    #expect(try read("{\"cluster\": {\"tls\": \"auto\", \"ports\": 20000}}").security == .auto)
    #expect(try read("") == ClusterConfig() && read("cluster:\n") == ClusterConfig())
    // What `config init` writes says what is so anyway.
    let sample = try read(ClusterConfig.sample)
    #expect(
      sample.size == 3 && sample.security == ClusterPlan.Security.none && sample.flags.isEmpty)
  }

  @Test(arguments: [
    ("cluster:\n  membrs: 3", "f:2:3: unknown key 'membrs' in cluster; did you mean members?"),
    ("cluster:\n  members: 9", "f:2:12: members: a number from 1 to 7 expected, found '9'"),
    ("cluster: [1]", "f:1:10: cluster: a mapping of names to values expected, found a list"),
    ("cluster: {tls: maybe}", "f:1:16: tls: true, false or auto expected, found 'maybe'"),
    ("flags: {name: x}", "f:1:8: --name is set by devcluster, for each member its own"),
    ("env: {A: [1]}", "f:1:10: A: a text expected, found a list"),
    ("env: {A: 1, A: 2}", "f:1:13: 'A' comes twice in env"),
    ("members: {x1: {}}", "f:1:11: unknown key 'x1' in members; did you mean m1?"),
    (
      "auth: {users: [{name: a}]}",
      "f:1:16: a user: a name and a password expected, found a mapping"
    ),
    (
      "auth: {users: [{name: a, password: b, permissions: [all]}]}",
      "f:1:53: a permission: r, w or rw and a key, such as \"rw /app/*\" expected, found 'all'"
    ),
    (
      "fualt: []",
      "f:1:1: unknown key 'fualt' in the file; known are cluster, binary, version, auth, flags, env, members, seed, zones, faults, ui"
    ),
    ("zones: {eu: [m1, x]}", "f:1:18: eu: m1 to m9 or clients expected, found 'x'"),
    ("zones: {eu: [m1], us: [m1]}", "f:1:24: m1 is in two zones"),
    (
      "zones: {eu: [m1], latency: {eu-us: 5ms}}",
      "f:1:36: 'eu-us' is no pair of zones, such as eu-us, among: eu"
    ),
    (
      "zones: {a: [m1], a-b: [m2], b-b: [m3], b: [m4], latency: {a-b-b: 5ms}}",
      "f:1:66: 'a-b-b' is no pair of zones, such as eu-us, among: a, a-b, b-b, b"
    ),
    (
      "zones: {a: [m1], b: [m2], latency: {a-b: soon}}",
      "f:1:42: a-b: a time such as 40ms or 40ms±5ms expected, found 'soon'"
    ),
    (
      "faults: [{cut: m1, slow: m2 5ms}]",
      "f:1:10: a fault: one command, such as {slow: leader 20ms}, expected, found a mapping"
    ),
    (
      "faults: [{kill: m1}]",
      "f:1:11: unknown key 'kill' in a fault; known are cut, slow, limit, loss, disk, clock, for"
    ),
    ("faults: [{slow: m1 x}]", "f:1:17: 'x' is no delay; one is 50ms or 50ms±10ms"),
  ])
  func whatIsNotKnownIsPlaced(_ text: String, _ message: String) {
    #expect(throws: DevClusterError.usage(message)) { try read(text) }
  }

  /// Zones are ground, faults are on it, and what is healed leaves the ground.
  @Test func zonesAndFaultsAreInThePlan() throws {
    let config = try read(
      """
      zones: {us-east: [m1, m2], eu: [m3, clients], latency: {us-east-eu: 40ms±5ms, eu-eu: 1ms}}
      faults: [{slow: m1->m3 90ms}, {disk: m2 slow 5ms, for: 10s}]
      """)
    #expect(config.needsRelay && config.needsClientRelay)
    var plan = ClusterPlan(size: 3, directory: "/d").relayed(.all)
    plan.zones = config.zones
    plan.faults = config.faults
    let text = ClusterFile.text(plan)
    #expect(ClusterFile.plan(Bytes(text), directory: "/d") == plan)
    let rules = plan.zones.rules
    let (one, three) = (Party.member("m1"), Party.member("m3"))
    #expect(rules.count == 10 && rules[Link(from: one, to: .member("m2"))] == nil)
    #expect(rules[Link(from: three, to: .clients)]?.delay == 1_000_000)
    for link in [Link(from: one, to: three), Link(from: .clients, to: one)] {
      #expect(rules[link]?.delay == 40_000_000 && rules[link]?.jitter == 5_000_000)
    }
    var life = FleetLife(plan, startSeconds: 1)
    func told(_ actions: [FleetLife.Action]) -> [LinkRules] {
      actions.compactMap { if case .rules(let rules) = $0 { rules } else { nil } }
    }
    #expect(told(life.handle(.ready, now: 0)) == [rules])
    let made = told(life.handle(.announced(isHeard: true), now: 1))
    #expect(made.last?[Link(from: one, to: three)]?.delay == 90_000_000)
    #expect(made.last?[Link(from: three, to: one)]?.delay == 40_000_000)
    #expect(life.faults.count == 2 && life.faults[1].until == 10_000_000_001)
    #expect(told(life.handle(.asked(.heal([]), 1), now: 2)).last == rules)
    #expect(life.faults.isEmpty)
  }

  @Test func exportsAreForOthers() throws {
    var plan = ClusterPlan(size: 2, directory: "/d")
    plan.binary = "/bin/sh"
    plan.members[1].environment = ["A=b c"]
    let configuration = Configuration(plan: plan)
    let procfile = try configuration.export(.procfile).split(separator: "\n")
    #expect(procfile.count == 2 && procfile[0].hasPrefix("m1: /bin/sh --name m1 --data-dir "))
    #expect(procfile[1].hasPrefix("m2: env 'A=b c' /bin/sh --name m2 "))
    #expect(procfile[0].contains("--listen-peer-urls http://127.0.0.1:12380 "), "without the relay")
    let units = try configuration.export(.systemd)
    #expect(units.contains("Type=notify\nEnvironment=\"A=b c\"\nExecStart=\"/bin/sh\" \"--name\""))
    let compose = try configuration.export(.compose)
    #expect(compose.contains("  m2:\n    image: quay.io/coreos/etcd:v3.5.30\n"))
    #expect(try configuration.shown().contains("m2: 'A=b c' /bin/sh --name m2"))
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd"))
  func aFileMakesTheWholeCluster() throws {
    let harness = try Harness()
    let file = harness.directory + ".yaml"
    defer {
      harness.cleanUp()
      try? FileManager.default.removeItem(atPath: file)
    }
    try """
    cluster: {members: 2, ports: \(harness.basePort), tls: true}
    auth: {root: secret, users: [{name: app, password: app, permissions: ["rw /app/*"]}]}
    flags: {snapshot-count: 1000}
    members: {m3: {learner: true}}
    seed: {keys: {/app/x: hello}}
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let found = try harness.run("up", "-d", "-f", file)
    #expect(found.status == 0 && found.error.isEmpty)
    #expect(harness.member("m3")?["role"] == "learner")
    let own = try harness.run("ctl", "--user", "app:app", "get", "/app/x", "--print-value-only")
    #expect(own.output == "hello\n")
    let other = try harness.run("ctl", "--user", "app:app", "get", "/b")
    #expect(other.error.contains("permission denied"))
    #expect(try harness.run("ctl", "get", "/b").status == 0)
  }
}
