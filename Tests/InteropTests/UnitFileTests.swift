import Foundation
import TestSupport
import Testing

/// The units of conf/, read by systemd's own checker where there is one.
@Suite struct UnitFileTests {
  private static let analyze = "/usr/bin/systemd-analyze"

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: analyze)),
    arguments: [("etcd.service", "etcd.service"), ("etcd@.service", "etcd@m1.service")])
  func systemdTakesThem(_ file: String, _ unit: String) throws {
    let scratch = Scratch()
    let text = try String(
      contentsOfFile: Binaries.packageRoot + "/conf/" + file, encoding: .utf8)
    #expect(text.contains("Type=notify") && text.contains("WatchdogSec="))
    // The checker wants the program to be there.
    try text.replacingOccurrences(of: "/usr/local/bin/etcd", with: Binaries.ours)
      .write(toFile: "\(scratch.path)/\(unit)", atomically: true, encoding: .utf8)
    let found = run(Self.analyze, ["verify", "--man=no", "\(scratch.path)/\(unit)"])
    #expect(found.status == 0 && found.error.isEmpty, "\(found.error)")
  }

  /// Both units differ in nothing but the member's name and directory.
  @Test func theTemplateIsTheUnit() throws {
    func settings(_ file: String) throws -> [String] {
      try String(contentsOfFile: Binaries.packageRoot + "/conf/" + file, encoding: .utf8)
        .split(separator: "\n").map(String.init)
        .filter {
          !$0.hasPrefix("#") && !$0.hasPrefix("Environment") && !$0.hasPrefix("Description")
        }
        .map { $0.replacingOccurrences(of: "etcd-%i", with: "etcd") }
    }
    #expect(try settings("etcd.service") == settings("etcd@.service"))
  }
}
