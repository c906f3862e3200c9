import Bytes
import Foundation
import JSON
import Platform

@testable import DevClusterKit

/// A directory and ports of its own for one test, and the `devcluster` program to use on them.
final class Harness {
  let directory: String
  let basePort: Int
  private var foreground: [Process] = []

  /// The built program, beside this test's own.
  static let program: String = {
    let own = (try? System.executable()) ?? ""
    return own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/devcluster"
  }()

  /// Our own server, beside it when the whole package is built.
  static var ownEtcd: String { String(program.dropLast("/devcluster".count)) + "/etcd" }

  /// An official etcd; `nil` when this machine has none.
  static let officialEtcd: String? = {
    if let given = ProcessInfo.processInfo.environment["ETCD_3_5_BINARY"] { return given }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let places = [root.appendingPathComponent(".build/tools/etcd-3.5/etcd").path, "/usr/bin/etcd"]
    return places.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  init(members: Int = 3) throws {
    directory = NSTemporaryDirectory() + "devcluster-\(UUID().uuidString.prefix(8))"
    var base = 0
    repeat {
      // Below the range from which the system takes ports for outgoing connections.
      base = 10_000 + 40 * Int.random(in: 0..<560)
    } while (base..<base + 2 * members).contains { LocalSocket.isPortTaken($0) }
    basePort = base
  }

  /// Ends what the test left, by process id, and removes the files.
  func cleanUp() {
    for process in foreground where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    _ = try? run("down")
    try? FileManager.default.removeItem(atPath: directory)
  }

  struct Outcome {
    let status: Int32
    let output: String
    let error: String
    var errorLines: [Substring] { error.split(separator: "\n") }
  }

  /// The status as JSON; `nil` when nothing runs.
  func status() -> JSONValue? {
    guard let found = try? run("status", "--json"), !found.output.isEmpty else { return nil }
    return try? JSONValue.parse(Bytes(found.output))
  }

  /// A member in the status.
  func member(_ name: String) -> JSONValue? {
    status()?["members"]?.array?.first { $0["name"]?.string == name }
  }

  /// Runs a command to its end.
  func run(_ words: String...) throws -> Outcome { try run(words) }

  func run(_ words: [String], in other: String? = nil) throws -> Outcome {
    let files = [0, 1].map { _ in NSTemporaryDirectory() + "devcluster-\(UUID().uuidString)" }
    defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
    let process = try start(words, output: files[0], error: files[1], in: other)
    // Beyond every limit of the program itself: it hangs, and its status will say so.
    if !Self.eventually(seconds: 90, { !process.isRunning }) {
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus,
      output: try String(contentsOfFile: files[0], encoding: .utf8),
      error: try String(contentsOfFile: files[1], encoding: .utf8))
  }

  /// Starts a command; its output goes to files.
  func start(
    _ words: [String], output: String, error: String, environment: [String: String] = [:],
    in other: String? = nil
  ) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    if !environment.isEmpty {
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    }
    let place = ["--dir", other ?? directory]
    process.arguments =
      words.first == "ctl" ? place + words : Self.with(words, place[0], place[1])
    for file in [output, error] { try Data().write(to: URL(fileURLWithPath: file)) }
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: error)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    foreground.append(process)
    return process
  }

  /// Words of `up` on this test's ports.
  func up(_ size: Int, _ binary: String, _ more: String...) -> [String] {
    ["up", String(size), "--binary", binary, "--base-port", String(basePort)] + more
  }

  /// Options go before `--`.
  private static func with(_ words: [String], _ more: String...) -> [String] {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    return words[..<end] + more + words[end...]
  }

  func path(_ name: String) -> String { directory + "/" + name }

  func pid(_ file: String) -> Int32? {
    (try? String(contentsOfFile: path(file), encoding: .utf8))
      .flatMap { Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// Writes a shell script to be used as a member's program.
  func script(_ text: String) throws -> String {
    try FileManager.default.createDirectory(
      atPath: directory + ".bin", withIntermediateDirectories: true)
    let path = directory + ".bin/member"
    try ("#!/bin/sh\n" + text + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }

  /// Whether a process still does something; one that merely was not reaped does not.
  static func isAlive(_ pid: Int32) -> Bool {
    guard kill(pid, 0) == 0 else { return false }
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = stat.lastIndex(of: ")")
    else { return true }
    return !stat[stat.index(end, offsetBy: 2)...].hasPrefix("Z")
  }

  /// Waits for something that must come true.
  static func eventually(seconds: Double = 20, _ condition: () -> Bool) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while !condition() {
      if Date() > deadline { return false }
      usleep(20_000)
    }
    return true
  }

  /// Whether every port of this test is free.
  func portsAreFree(members: Int = 3) -> Bool {
    !(basePort..<basePort + 2 * members).contains { LocalSocket.isPortTaken($0) }
  }
}

extension RunDirectory {
  static func isLocked(_ path: String) -> Bool { (try? RunDirectory(path))?.isLocked ?? false }
}
