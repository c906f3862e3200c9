import Foundation
import Testing

@testable import DevClusterKit

/// What is written for people to type works as it stands.
@Suite(
  .serialized,
  .enabled(if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one")
)
struct DocumentTests {
  /// Go's members as well where there is time.
  private static let kinds: [Harness.Kind] =
    ProcessInfo.processInfo.environment["SCENARIOS"] == "all" ? [.ours, .official] : [.ours]

  /// Runs a script of `docs` in a directory of its own, where a file takes free ports.
  private func run(_ name: String, _ variables: [String: String] = [:]) throws -> (Int32, String) {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let directory = NSTemporaryDirectory() + "devcluster-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    let harness = try Harness()
    defer {
      // What is in memory goes with it.
      _ = try? harness.run(["down"], in: directory + "/.devcluster")
      _ = try? harness.run(["clean"], in: directory + "/.devcluster")
      try? FileManager.default.removeItem(atPath: directory)
    }
    try "cluster: {ports: auto, fast: true}\n".write(
      toFile: directory + "/devcluster.yaml", atomically: true, encoding: .utf8)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "exec '\(root)/docs/\(name)' >output 2>&1"]
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    let programs = Harness.program.dropLast("/devcluster".count)
    process.environment = ProcessInfo.processInfo.environment.merging(
      variables.merging(["PATH": "\(programs):/usr/bin:/bin"]) { $1 }
    ) { $1 }
    process.standardInput = FileHandle.nullDevice
    try process.run()
    if !Harness.eventually(seconds: 180, { !process.isRunning }) {
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
    return (
      process.terminationStatus,
      (try? String(contentsOfFile: directory + "/output", encoding: .utf8)) ?? ""
    )
  }

  @Test func theFirstFiveMinutes() throws {
    let begin = Date()
    let (status, output) = try run("first-five-minutes.sh")
    #expect(status == 0, "\(output.split(separator: "\n").suffix(6).joined(separator: " | "))")
    #expect(output.contains("fault: ") || output.contains(" cut (hold)"))
    #expect(Date().timeIntervalSince(begin) < 60)
  }

  /// Guide 001, section 3.
  @Test(arguments: kinds)
  func failureModesOfTheGuide(_ kind: Harness.Kind) throws {
    let (status, output) = try run(
      "failure-modes.sh", ["FLAGS": try kind.words().joined(separator: " ")])
    #expect(status == 0, "\(output.split(separator: "\n").suffix(6).joined(separator: " | "))")
    #expect(output.hasSuffix("== all as it should be\n"))
    #expect(output.split(separator: "\n").count { $0.hasPrefix("== ") } == 7)
  }
}
