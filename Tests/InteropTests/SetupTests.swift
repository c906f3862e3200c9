import Foundation
import TestSupport
import Testing

/// `scripts/setup.sh` on machines that are busy installing something else (CASES.md, C27).
@Suite struct SetupTests {
  /// A machine that lacks a package, whose package lists are locked for some tries. The programs that setup
  /// calls are ours.
  private func machine(lockedTries: Int) throws -> (Scratch, [String: String]) {
    let scratch = Scratch()
    let tries = scratch.path + "/tries"
    let programs = [
      "dpkg-query": "echo not-installed",
      "apt-get": """
      echo try >> '\(tries)'
      if [ "$(wc -l < '\(tries)')" -le \(lockedTries) ]; then
        echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 17 (apt-get)' >&2
        exit 100
      fi
      """,
      "id": "echo 0", "tee": "cat > /dev/null", "chmod": ":", "sleep": ":",
    ]
    for (name, text) in programs {
      let path = scratch.path + "/" + name
      try "#!/bin/sh\n\(text)\n".write(toFile: path, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return (scratch, ["PATH": scratch.path + ":" + path])
  }

  private func setup(_ variables: [String: String]) -> Finished {
    run("/bin/sh", [Binaries.packageRoot + "/scripts/setup.sh", "build"], variables: variables)
  }

  @Test func itWaitsForWhoInstalls() throws {
    let (scratch, variables) = try machine(lockedTries: 3)
    defer { withExtendedLifetime(scratch) {} }
    let done = setup(variables)
    #expect(done.status == 0, "\(done)")
    #expect(
      done.error.contains(
        "setup: waiting for another program that installs packages: /var/lib/apt/lists/lock"))
    #expect(
      done.error.components(separatedBy: "waiting for another").count == 2, "said once: \(done)")
  }

  @Test func itGivesUpWithTheLocksName() throws {
    let (scratch, variables) = try machine(lockedTries: 1_000_000)
    defer { withExtendedLifetime(scratch) {} }
    let done = setup(variables.merging(["SETUP_PATIENCE": "0"]) { $1 })
    #expect(done.status == 100, "\(done)")
    #expect(done.error.contains("setup: still locked: /var/lib/apt/lists/lock"))
    #expect(done.error.contains("please try again when it is done"))
  }
}
