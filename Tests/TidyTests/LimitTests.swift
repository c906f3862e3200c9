import Foundation
import Testing

/// docs/LIMITS.md and the sources say the same.
@Suite struct LimitTests {
  /// Targets that talk to the outside.
  private static let folders = [
    "Calls", "GRPC", "HTTP", "EventLoops", "PeerTransport", "Member", "EtcdServer", "TLS",
    "Proxies", "GRPCProxy", "Discovery", "DevClusterKit/UI",
  ]
  /// Limits of other kinds: what is written is bounded by what was read, or they are settings' own.
  private static let others: Set<String> = [
    "MetadataCoding.nanosecondsMax", "ProcessMetrics.bytesMax", "GRPCClient.connectionsMax",
  ]

  /// `File.name` and its value as written.
  private static func declared() throws -> [String: String] {
    let pattern =
      #/(?m)^\s*(?:public |package |private |fileprivate )*(?:static let|var|let) (?<name>\w+(?:Max|Limit|maxConcurrentStreams))(?:: \w+)? = (?<value>[^\n]+?)$/#
    var found: [String: String] = [:]
    for folder in folders {
      for (path, text) in TidyTests.sources("Sources/" + folder) {
        let file = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        for match in text.matches(of: pattern) {
          let line = match.output.0
          guard line.contains("static let") || line.contains("public var") else { continue }
          found["\(file).\(match.output.name)"] = String(match.output.value)
        }
      }
    }
    return found.filter { !others.contains($0.key) }
  }

  private static func documented() throws -> [String: String] {
    let text = try String(contentsOfFile: TidyTests.root + "/docs/LIMITS.md", encoding: .utf8)
    var found: [String: String] = [:]
    for match in text.matches(of: #/(?m)^\| `(?<name>[^`]+)` \| `(?<value>[^`]+)` \|/#) {
      found[String(match.output.name)] = String(match.output.value)
    }
    return found
  }

  @Test func thePageSaysWhatTheSourcesSay() throws {
    let declared = try Self.declared()
    let documented = try Self.documented()
    #expect(declared.count > 40, "the sources were not read")
    for (name, value) in declared {
      #expect(documented[name] == value, "\(name) = \(value) is not in docs/LIMITS.md like that")
    }
    for name in documented.keys where name != "GRPCServer.maxConcurrentStreams" {
      #expect(declared[name] != nil, "docs/LIMITS.md has \(name), the sources have not")
    }
  }
}
