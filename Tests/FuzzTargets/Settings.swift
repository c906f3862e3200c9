import Bytes
import CommandLineTool

@testable import DevClusterKit
@testable import EtcdConfig

extension FuzzTarget {
  /// Command lines and files that a user writes.
  static let settings: [FuzzTarget] = [
    FuzzTarget("server-flags", seeds: ["--name\na\n--listen-client-urls=http://1.1.1.1:2"]) {
      bytes in
      _ = CommandLine.parse(lines(bytes), environment: [:]) { (_, _) throws(UnreadableFile) in [] }
    },
    FuzzTarget("server-environment", seeds: ["ETCD_NAME=a\nETCD_QUOTA_BACKEND_BYTES=1"]) { bytes in
      var variables: [String: String] = [:]
      for line in lines(bytes) {
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
      }
      _ = CommandLine.parse([], environment: variables) { (_, _) throws(UnreadableFile) in [] }
    },
    FuzzTarget("server-file", seeds: ["name: a\nlisten-client-urls: http://1.1.1.1:2\n"]) { bytes in
      let content = Array(bytes)
      _ = CommandLine.parse(["--config-file", "f"], environment: [:]) {
        (_, _) throws(UnreadableFile) in content
      }
    },
    FuzzTarget("devcluster-file", seeds: ["members: 3\ntls: true\n"]) {
      _ = try? ConfigReader.read(Array($0), path: "devcluster.yaml")
    },
    FuzzTarget("scenario-file", seeds: ["load: register\nsteps:\n  - at: 1s\n    cut: leader\n"]) {
      _ = try? ScenarioReader.read(Array($0), path: "scenario.yaml")
    },
  ]

  private static func lines(_ bytes: Bytes) -> [String] {
    bytes.string.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }
}
