import Foundation
import Testing

/// Rules of the code base that a reader should not have to check.
@Suite struct TidyTests {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// Swift files below a folder, with their text.
  static func sources(_ folder: String) -> [(path: String, text: String)] {
    let base = root + "/" + folder
    guard let walk = FileManager.default.enumerator(atPath: base) else { return [] }
    return walk.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map {
      ("\(folder)/\($0)", (try? String(contentsOfFile: "\(base)/\($0)", encoding: .utf8)) ?? "")
    }
  }

  static func imports(_ text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
        words[..<at].allSatisfy({
          $0.hasPrefix("@") || ["public", "package", "internal"].contains($0)
        })
      else { return nil }
      return String(words[at + 1])
    }
  }

  /// What each target may import: the targets below it.
  static let allowed: [String: Set<String>] = {
    var allowed: [String: Set<String>] = [:]
    func add(_ target: String, _ names: String...) { allowed[target] = Set(names) }
    add("Bytes", "CBytes")
    add("GoText", "Bytes")
    add("JSON", "Bytes")
    add("Protobuf", "Bytes", "JSON")
    add("EtcdAPI", "Bytes", "JSON", "Protobuf")
    add("Checkers")
    add("Concurrency", "Bytes", "EtcdAPI")
    add("Raft", "Bytes", "GoText", "EtcdAPI", "Protobuf")
    add("StateMachine/MVCC", "Bytes", "EtcdAPI", "Protobuf")
    add("StateMachine/Watch", "Bytes", "EtcdAPI", "Protobuf", "MVCC")
    add("StateMachine/V2Store", "Bytes", "JSON", "GoText", "EtcdAPI", "Protobuf")
    add("StateMachine/Membership", "Bytes", "JSON", "EtcdAPI", "Protobuf", "V2Store")
    add("StateMachine/Auth", "Bytes", "EtcdAPI", "Protobuf", "MVCC")
    add(
      "Member", "Bytes", "JSON", "EtcdAPI", "Protobuf", "Raft", "MVCC", "Membership", "V2Store",
      "Auth")
    add("FileSystem", "Bytes", "CDisk", "Glibc", "Darwin")
    add("Bolt", "Bytes", "FileSystem", "Synchronization")
    // Only where tests drive it.
    add("Failpoints", "GoText", "Platform", "Synchronization")
    add("WAL", "Bytes", "FileSystem", "Failpoints", "EtcdAPI", "Protobuf")
    add("Snap", "Bytes", "FileSystem", "EtcdAPI", "Protobuf")
    add(
      "MemberStorage", "Bytes", "FileSystem", "EtcdAPI", "Protobuf", "Raft", "MVCC", "Membership",
      "V2Store", "Member", "Bolt", "WAL", "Snap", "Failpoints", "COpenSSL", "Synchronization")
    add("YAML", "GoText", "CYAML")
    add("EtcdConfig", "Bytes", "GoText", "JSON", "YAML")
    add("CommandLineTool", "GoText")
    add(
      "EtcdUtlKit", "Bytes", "GoText", "JSON", "FileSystem", "MVCC", "Membership", "Member",
      "MemberStorage", "Bolt", "EtcdAPI", "Protobuf", "V2Store", "EtcdConfig", "CommandLineTool")
    add(
      "EtcdCtlKit", "Bytes", "Platform", "GoText", "JSON", "FileSystem", "EtcdAPI", "Protobuf",
      "EtcdConfig",
      "EventLoops",
      "HTTP",
      "Calls", "GRPC", "TLS", "DNS", "EtcdClient", "V2API", "Discovery", "CommandLineTool",
      "EtcdUtlKit",
      "Synchronization")
    add(
      "EtcdClient", "Bytes", "GoText", "EtcdAPI", "Protobuf", "EventLoops", "HTTP", "Calls", "GRPC",
      "TLS",
      "Concurrency", "Synchronization"
    )
    add("V2API", "Bytes", "GoText", "JSON", "EventLoops", "HTTP", "EtcdClient")
    add(
      "Discovery", "Bytes", "GoText", "JSON", "EtcdAPI", "Protobuf", "EventLoops", "HTTP", "TLS",
      "EtcdClient", "V2API", "V2Store", "CommandLineTool", "Synchronization")
    add("Platform", "Bytes", "Glibc", "Darwin", "Synchronization")
    add("Systemd", "CSystemd")
    add(
      "EventLoops", "Bytes", "Platform", "GoText", "JSON", "CUV", "CZlib", "Glibc", "Darwin",
      "Synchronization")
    add("HTTP", "Bytes", "Platform", "GoText", "EventLoops", "CZlib", "Synchronization")
    add("TLS", "Bytes", "Platform", "GoText", "EventLoops", "COpenSSL", "Synchronization")
    add("DNS", "CAres", "Glibc", "Darwin")
    add("Calls", "Bytes", "Protobuf", "EventLoops")
    add(
      "GRPC", "Bytes", "GoText", "Protobuf", "Calls", "EventLoops", "HTTP", "CNghttp2", "CZlib",
      "Synchronization",
      "Glibc",
      "Darwin")
    add(
      "PeerTransport", "Bytes", "Platform", "GoText", "Failpoints", "EtcdAPI", "Protobuf", "Member",
      "EventLoops", "HTTP", "Synchronization")
    add(
      "EtcdServer", "Failpoints", "Bytes", "Platform", "GoText", "JSON", "FileSystem", "EtcdAPI",
      "Protobuf",
      "Raft", "MVCC", "Watch", "Membership", "Auth", "Member", "MemberStorage", "Bolt", "Snap",
      "EtcdConfig", "EventLoops", "HTTP", "Calls", "GRPC", "PeerTransport", "CCrypt", "COpenSSL",
      "TLS", "DNS", "Discovery", "EtcdClient", "Concurrency", "V2Store", "Synchronization")
    add("FaultRelay", "Bytes", "EventLoops", "CFaultRelay")
    add("DiskFaults", "Bytes", "Platform", "EventLoops", "Synchronization", "CDiskFaults")
    add(
      "DevClusterKit", "FaultRelay", "DiskFaults", "Bytes", "GoText", "Platform", "JSON", "YAML",
      "FileSystem",
      "EventLoops",
      "HTTP", "TLS", "CommandLineTool", "CUV", "CDevCluster", "Checkers", "EtcdClient",
      "Protobuf", "MemberStorage", "Membership", "Discovery", "Synchronization")
    add(
      "Simulation", "Bytes", "Checkers", "FileSystem", "EtcdAPI", "Protobuf", "Raft", "MVCC",
      "Watch",
      "Membership", "V2Store", "Auth", "Member", "MemberStorage", "Bolt", "Snap", "Concurrency",
      "Glibc", "Darwin")
    add(
      "Proxies", "Bytes", "Platform", "GoText", "JSON", "FileSystem", "Membership", "EventLoops",
      "HTTP", "TLS", "DNS", "PeerTransport", "EtcdConfig", "EtcdServer", "CommandLineTool",
      "CSplice", "Synchronization")
    add(
      "GRPCProxy", "Bytes", "Platform", "GoText", "JSON", "EtcdAPI", "Protobuf", "EventLoops",
      "HTTP", "TLS", "Calls", "GRPC", "EtcdClient", "EtcdServer", "Proxies", "CommandLineTool",
      "Synchronization")
    add(
      "etcd", "Failpoints", "HTTP", "Bytes", "Platform", "Systemd", "Discovery", "EtcdClient",
      "GoText", "EtcdConfig",
      "EventLoops", "EtcdServer", "Proxies", "GRPCProxy", "CommandLineTool", "Synchronization")
    add(
      "etcdctl", "Platform", "FileSystem", "EventLoops", "CommandLineTool", "EtcdUtlKit",
      "EtcdCtlKit")
    add(
      "etcd-manuals", "Bytes", "GoText", "Platform", "FileSystem", "EtcdConfig", "CommandLineTool",
      "DevClusterKit",
      "EtcdUtlKit", "EtcdCtlKit")
    add("etcdutl", "Platform", "FileSystem", "CommandLineTool", "EtcdUtlKit")
    add("devcluster", "Platform", "DevClusterKit")
    add("etcd-sim", "Platform", "Bytes", "FileSystem", "Simulation")
    add("protoc-gen-etcd-swift", "Bytes", "Platform", "Protobuf")
    return allowed
  }()

  /// Every folder of sources is in the table, and nothing in it stands above itself.
  @Test func everyTargetHasItsPlace() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Self.root + "/Sources")
    let named = Set(Self.allowed.keys.map { String($0.split(separator: "/")[0]) })
    // Targets in C are what their one user imports.
    for folder in folders where !named.contains(folder) {
      #expect(
        folder.wholeMatch(of: #/C[A-Z]\w+/#) != nil && folder != "Calls"
          && folder != "CommandLineTool", "\(folder) has no place in `allowed`")
    }
    var below: [String: Set<String>] = [:]
    for (target, names) in Self.allowed {
      below[String(target.split(separator: "/").last ?? "")] = names
    }
    // Take away what stands on nothing that is left, again and again.
    while let free = below.first(where: { $0.value.isDisjoint(with: below.keys) }) {
      below[free.key] = nil
    }
    #expect(below.isEmpty, "these stand on each other: \(below.keys.sorted())")
  }

  @Test func importsGoOneWay() {
    for (target, names) in Self.allowed {
      let files = Self.sources("Sources/" + target)
      #expect(!files.isEmpty, "\(target) has no sources")
      for (path, text) in files {
        for name in Self.imports(text) {
          #expect(names.contains(name), "\(path) imports \(name), which is not below \(target)")
        }
      }
    }
  }

  /// Where the C library may be met: behind the doors to the system and the disk, where sockets and
  /// threads are made, where nghttp2 and a simulated disk want memory, and where c-ares waits.
  @Test func systemCallsGoThroughOneDoor() {
    let doors = ["Platform", "FileSystem", "EventLoops", "GRPC", "DNS", "Simulation"]
    for (path, text) in Self.sources("Sources")
    where Self.imports(text).contains(where: { ["Glibc", "Darwin", "Musl"].contains($0) }) {
      #expect(
        doors.contains { path.hasPrefix("Sources/\($0)/") },
        "\(path) calls the system by itself; use Platform")
    }
  }

  @Test func librariesStayAwayFromFoundationAndLooseTasks() {
    // The server's own words for a banned call, and what to use instead.
    let banned = [
      ("import Foundation", "the toolchain's standard library, EventLoops, Glibc"),
      ("Task.detached", "a child task or an event"), ("Thread.sleep", "a timer of the loop"),
      ("TODO", "finish it, or open an issue"), ("FIXME", "finish it, or open an issue"),
    ]
    for (path, text) in Self.sources("Sources") where !path.contains("/Generated/") {
      for (word, instead) in banned {
        #expect(!text.contains(word), "\(path) contains \(word); use: \(instead)")
      }
      if path.hasPrefix("Sources/DevCluster") || path.hasPrefix("Sources/devcluster") { continue }
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
      #expect(lines <= 800, "\(path) has \(lines) lines; cut it at a concept")
    }
  }

  /// Who follows a put, a watch event, a handshake or a partition finds the files that docs/ARCHITECTURE.md names.
  @Test func waysThroughTheCodeAreShort() throws {
    let page = try String(contentsOfFile: Self.root + "/docs/ARCHITECTURE.md", encoding: .utf8)
    let section = try #require(page.components(separatedBy: "### Four ways through the code").last)
    let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") }
    #expect(rows.count == 10)
    for row in rows {
      let files = row.split(separator: "`").filter { $0.contains("/") }
      #expect(files.count == 4, "\(row)")
      for file in files {
        let text = try String(
          contentsOfFile: Self.root + "/Sources/\(file).swift", encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
        #expect(lines <= 400, "\(file) has \(lines) lines; cut it at a concept")
      }
    }
  }

  /// A test that cannot run must show as skipped, not as passed.
  @Test func testsDoNotSkipInSilence() {
    for (path, text) in Self.sources("Tests") where !path.hasSuffix("TidyTests.swift") {
      for word in ["print(\"SKIP", "try? await Task.sleep(for: .seconds"] {
        #expect(!text.contains(word), "\(path) contains \(word)")
      }
    }
  }

  /// What is missing for a while is an optional, or is made when it is first needed.
  @Test func nothingIsUnwrappedInSilence() {
    let implicit = #/\b(?:var|let) \w+: [\w.<>\[\]: ]+!/#
    #expect("  private var transport: PeerTransport!".contains(implicit))
    for (path, text) in Self.sources("Sources") where !path.contains("/Generated/") {
      for line in text.split(separator: "\n") where line.contains(implicit) {
        Issue.record("\(path) has an implicitly unwrapped optional: \(line)")
      }
    }
  }

  @Test func uncheckedSendableIsExplained() {
    for (path, text) in Self.sources("Sources") where !path.contains("/Generated/") {
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      for (number, line) in lines.enumerated()
      where line.contains("@unchecked Sendable")
        && !line.trimmingCharacters(in: .whitespaces).hasPrefix("//")
      {
        let near = lines[max(0, number - 3)...min(lines.count - 1, number + 6)].joined()
        #expect(
          near.contains("// @unchecked:"), "\(path):\(number + 1) does not say why it is safe")
      }
    }
  }
}
