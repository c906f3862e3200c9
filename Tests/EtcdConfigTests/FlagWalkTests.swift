import Foundation
import Testing

@testable import EtcdConfig

/// No flag may be taken and forgotten: each does something, or says that it does nothing.
@Suite struct FlagWalkTests {
  /// Command lines for flags whose value cannot be any of their kind, or that need others beside them.
  private static let samples: [String: [String]] = [
    "auto-compaction-retention": ["--auto-compaction-retention=77"],
    "bcrypt-cost": ["--bcrypt-cost=7"], "heartbeat-interval": ["--heartbeat-interval=77"],
    "election-timeout": ["--election-timeout=777"], "metrics": ["--metrics=extensive"],
    "log-level": ["--log-level=error"], "log-format": ["--log-format=console"],
    "listen-client-urls": [
      "--listen-client-urls=http://127.0.0.1:77",
      "--advertise-client-urls=http://localhost:2379",
    ],
    "auto-compaction-mode": [
      "--auto-compaction-mode=revision", "--auto-compaction-retention=77",
    ],
    "experimental-enable-lease-checkpoint-persist": [
      "--experimental-enable-lease-checkpoint-persist", "--experimental-enable-lease-checkpoint",
    ],
    "enable-log-rotation": ["--enable-log-rotation", "--log-outputs=/tmp/x"],
    "log-rotation-config-json": [
      "--enable-log-rotation", "--log-outputs=/tmp/x", "--log-rotation-config-json={\"maxage\":7}",
    ],
    "tls-min-version": ["--tls-min-version=TLS1.3"],
    "tls-max-version": ["--tls-max-version=TLS1.2"],
    "feature-gates": ["--feature-gates=InitialCorruptCheck=true"],
    "discovery-endpoints": ["--discovery-endpoints=a:1,b:2", "--discovery-token=t"],
    "discovery-token": ["--discovery-endpoints=a:1", "--discovery-token=other"],
    "initial-cluster": ["--initial-cluster=default=http://localhost:2380,b=http://b:1"],
  ]
  /// What the samples have beside the flag, to compare with.
  private static let besides: [String: [String]] = [
    "discovery-endpoints": ["--discovery-endpoints=a:1", "--discovery-token=t"],
    "discovery-token": ["--discovery-endpoints=a:1", "--discovery-token=t"],
    "auto-compaction-mode": ["--auto-compaction-retention=77"],
    "experimental-enable-lease-checkpoint-persist": ["--experimental-enable-lease-checkpoint"],
    "enable-log-rotation": ["--log-outputs=/tmp/x"],
    "log-rotation-config-json": ["--enable-log-rotation", "--log-outputs=/tmp/x"],
  ]
  /// Flags with one value only; every other is refused, which other tests see.
  private static let single: Set<String> = ["logger"]
  /// Flags that end the reading, and the one that replaces all others: `ConfigFileTests` tries it.
  private static let ending: Set<String> = ["version", "check-config", "config-file"]
  /// Fields that the member's core still has to take up: the flag is read and checked, and what it asks
  /// for does not happen yet. An entry goes when its field is used.
  private static let awaited: Set<String> = []

  /// Fields that are read through another property, and those that stay in the module.
  private static let derived = ["quotaBackendBytes": "quota"]
  private static let `internal`: Set<String> = ["initialClusterProblem"]

  private static func sample(_ flag: Flag) throws -> [String] {
    if let given = samples[flag.name] { return given }
    let value =
      switch flag.kind {
      case .bool: flag.fallback == "true" ? "false" : "true"
      case .choice(let valid, _): try #require(valid.first { $0 != flag.fallback })
      case .duration: "77s"
      case .urls: "http://127.0.0.1:77"
      case .unsigned, .unsigned32, .signed: "77"
      case .text, .words, .retired: "other"
      }
    return ["--\(flag.name)=\(value)"]
  }

  private static var help: String {
    guard
      case .help(let text) = CommandLine.parse(["--help"], environment: [:], readFile: reader([:]))
    else { return "" }
    return text
  }

  @Test(arguments: FlagTable.all.map(\.name))
  func aFlagActsOrSaysThatItDoesNot(_ name: String) throws {
    let flag = try #require(FlagTable.byName[name])
    guard !Self.ending.contains(name), !Self.single.contains(name) else { return }
    let line = try Self.sample(flag)
    switch (flag.support, flag.kind) {
    case (.noEffect(let reason), _):
      let shown = try #require(Self.help.range(of: "  --\(name) '"))
      let entry = Self.help[shown.lowerBound...].prefix(400)
      #expect(entry.contains("(no effect: \(reason))"))
      let notice = try accepted(line).notices.first { $0.message == "flag has no effect" }
      #expect(notice?.level == .warn)
      #expect(notice?.fields.map(\.value) == ["--\(name)", reason])
    case (.full, .retired):
      #expect(
        try accepted(line).notices.contains {
          $0.level == .warn && $0.fields.map(\.value) == ["-\(name)"]
        })
    case (.full, _):
      let plain = try accepted(Self.besides[name] ?? [])
      let changed = try accepted(line)
      let fields = Self.difference(plain.server, changed.server)
      #expect(!fields.isEmpty || plain.log != changed.log, "--\(name) changes nothing")
    }
  }

  /// A field that is set and never read is a flag without effect.
  @Test func everyFieldIsRead() throws {
    let sources = try Self.sources()
    for field in Mirror(reflecting: ServerConfig()).children.compactMap(\.label)
    where !Self.internal.contains(field) {
      let isRead = sources.contains("onfig.\(Self.derived[field] ?? field)")
      if Self.awaited.contains(field) {
        #expect(!isRead, "\(field) is read now: take it off the list of those awaited")
      } else {
        #expect(isRead, "ServerConfig.\(field) is set by a flag, and nothing reads it")
      }
    }
  }

  private static func difference(_ a: ServerConfig, _ b: ServerConfig) -> [String] {
    zip(Mirror(reflecting: a).children, Mirror(reflecting: b).children)
      .filter { "\($0.value)" != "\($1.value)" }.compactMap(\.0.label)
  }

  /// All that may read the configuration, as one text.
  private static func sources() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    var text = try String(
      contentsOf: root.appendingPathComponent("Sources/EtcdConfig/Bootstrap.swift"),
      encoding: .utf8)
    for folder in ["Sources/EtcdServer", "Sources/etcd"] {
      let base = root.appendingPathComponent(folder).path
      let walk = try #require(FileManager.default.enumerator(atPath: base))
      for case let path as String in walk where path.hasSuffix(".swift") {
        text += try String(contentsOfFile: "\(base)/\(path)", encoding: .utf8)
      }
    }
    return text
  }
}
