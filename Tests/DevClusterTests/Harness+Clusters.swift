import Foundation
import JSON
import Testing

@testable import DevClusterKit

/// Clusters that run, and what their members say.
extension Harness {
  enum Kind: String, CaseIterable, Sendable {
    case ours, official, mixed

    /// Words of `up` that make it so.
    func words() throws -> [String] {
      let etcd = try #require(Harness.officialEtcd)
      return switch self {
      case .ours: []
      case .official: ["--binary", etcd]
      case .mixed: ["--binary", "m2=\(etcd)"]
      }
    }
  }

  /// Whether the official etcd takes a flag.
  static func officialTakes(_ flag: String) -> Bool {
    guard let etcd = officialEtcd else { return false }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: etcd)
    process.arguments = [flag, "--version"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  /// A cluster for the time of a test.
  static func with(
    _ kind: Kind, _ more: String..., members: Int = 3, _ body: (Harness) throws -> Void
  ) throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let found = try harness.run(
      ["up", String(members), "-d", "--base-port", String(harness.basePort)] + kind.words() + more)
    try #require(found.status == 0, "\(found.error)")
    try body(harness)
  }

  func names(_ role: String) -> [String] {
    (status()?["members"]?.array ?? []).filter { $0["role"]?.string == role }
      .compactMap { $0["name"]?.string }
  }

  func revision(_ member: String) -> Int? {
    self.member(member)?["revision"]?.integer(as: Int.self)
  }

  func endpoints(without member: String) -> String {
    (status()?["members"]?.array ?? []).filter { $0["name"]?.string != member }
      .compactMap { $0["client"]?.string }.joined(separator: ",")
  }

  func put(at endpoints: String, timeout: String = "3s") throws -> Int32 {
    try run(
      "ctl", "--endpoints", endpoints, "--command-timeout", timeout, "put", "a", "b"
    ).status
  }

  var allAgree: Bool {
    let members = status()?["members"]?.array ?? []
    return Set(members.map { $0["revision"]?.integer(as: Int.self) ?? 0 }).count == 1
      && members.allSatisfy { $0["state"] == "healthy" }
  }
}
