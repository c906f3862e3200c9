import Foundation
import GoText
import Testing

@testable import EtcdConfig

@Suite struct ConfigFileTests {
  @Test(arguments: ConfigFileCase.all)
  func becomesWhatIsExpected(_ file: ConfigFileCase) throws {
    switch file.outcome {
    case .refused(let message):
      let found = try #require(refusal(["--config-file", "c.yml"], files: ["c.yml": file.text]))
      #expect(found.message == "c.yml" + message)
      #expect(found.exitCode == 1 && !found.usage)
    case .runs(let fields):
      let found = try accepted(["--config-file", "c.yml"], files: ["c.yml": file.text])
      for (name, value) in fields {
        #expect(Self.shown(found.server)[name] == value, "\(name)")
      }
    }
  }

  /// The same file, the same effect: what etcd says that it starts with, or that it does not.
  @Test(
    .enabled(if: OfficialBinary.path != nil, "needs etcd 3.5: scripts/setup.sh installs it"),
    arguments: ConfigFileCase.all)
  func becomesTheSameAsOfficial(_ file: ConfigFileCase) throws {
    let found = try OfficialBinary.run(
      try #require(OfficialBinary.path), ["--config-file", "c.yml"], environment: [:],
      files: ["c.yml": file.text])
    let start = found.standardError.split(separator: "\n").first {
      $0.contains("\"msg\":\"starting an etcd server\"")
    }
    guard case .runs(let fields) = file.outcome else {
      #expect(start == nil && found.exitCode != 0)
      return
    }
    let json = Data(try #require(start).utf8)
    let object = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
    let server = try accepted(["--config-file", "c.yml"], files: ["c.yml": file.text]).server
    // What no case names has to be the same too; etcd's order of origins is none.
    for (name, value) in Self.shown(server).merging(fields, uniquingKeysWith: { $1 })
    where name != "cors" {
      let field = try #require(object[name])
      let theirs = try JSONSerialization.data(
        withJSONObject: field, options: [.fragmentsAllowed, .withoutEscapingSlashes])
      #expect(String(decoding: theirs, as: UTF8.self) == value, "\(name)")
    }
    #expect(found.failure.contains("couldn't find local name"))
  }

  /// A configuration as the fields of etcd's line "starting an etcd server".
  private static func shown(_ server: ServerConfig) -> [String: String] {
    func list(_ texts: [String]) -> String {
      "[" + texts.map { "\"\($0)\"" }.joined(separator: ",") + "]"
    }
    var mode = ""
    var retention = "0s"
    switch server.autoCompaction {
    case .periodic(let time): (mode, retention) = ("periodic", time.goDescription)
    case .revision(let count): (mode, retention) = ("revision", "\(count)ns")
    case nil: break
    }
    return [
      "name": "\"\(server.name)\"", "data-dir": "\"\(server.dataDirectory)\"",
      "wal-dir": "\"\(server.walDirectory)\"", "pre-vote": "\(server.preVote)",
      "force-new-cluster": "\(server.forceNewCluster)",
      "heartbeat-interval": "\"\(server.heartbeatInterval)ms\"",
      "snapshot-count": "\(server.snapshotCount)",
      "snapshot-catchup-entries": "\(server.snapshotCatchUpEntries)",
      "initial-advertise-peer-urls": list(server.initialAdvertisePeerURLs),
      "advertise-client-urls": list(server.advertiseClientURLs),
      "listen-peer-urls": list(server.listenPeerURLs.map(\.description)),
      "listen-client-urls": list(server.listenClientURLs.map(\.description)),
      "listen-metrics-urls": list(server.listenMetricsURLs.map(\.description)),
      "cors": list(server.corsOrigins), "host-whitelist": list(server.hostWhitelist),
      "initial-cluster-state": server.isNewCluster ? "\"new\"" : "\"existing\"",
      "initial-cluster-token": "\"\(server.initialClusterToken)\"",
      "initial-cluster": "\"\(server.initialClusterText)\"",
      "quota-size-bytes": "\(server.quota ?? -1)",
      "initial-corrupt-check": "\(server.initialCorruptCheck)",
      "auto-compaction-mode": "\"\(mode)\"", "auto-compaction-retention": "\"\(retention)\"",
      "downgrade-check-interval": "\"\(server.downgradeCheckInterval.goDescription)\"",
    ]
  }
}
