import Foundation
import Synchronization
import Testing

/// Lines of sources as the rules about numbers look at them.
enum CodeLines {
  /// Targets that read what others wrote, the wire, files, flags, variables, and those where numbers from
  /// there travel on.
  static let targets = [
    "Bytes", "GoText", "JSON", "Protobuf", "EtcdAPI", "HTTP", "GRPC", "Calls", "PeerTransport",
    "WAL", "Snap",
    "Bolt", "MemberStorage", "EtcdConfig", "EtcdClient", "EtcdCtlKit", "V2API", "Discovery", "DNS",
    "EtcdUtlKit", "Member", "EtcdServer", "TLS", "Proxies", "GRPCProxy",
    "StateMachine", "Concurrency", "Raft", "EventLoops", "Platform", "FileSystem", "YAML",
  ]

  /// A line without its comment and its texts, of which the code in `\(…)` follows at the end.
  static func code(_ line: String) -> String {
    guard line.contains("\"") || line.contains("//") else { return line }
    var inside = ""
    let bare = line.replacing(#/"(?:\\.|[^"\\])*"/#) { text in
      for part in text.output.matches(of: #/\\\(([^()"]*(?:\([^()"]*\)[^()"]*)*)\)/#) {
        inside += "; \(part.output.1)"
      }
      return "\"\""
    }
    return String(bare.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0])
      + inside
  }

  /// Whether a line, or one of the two before it, says what makes it safe.
  static func hasReason(_ lines: [String], _ at: Int) -> Bool {
    lines[max(0, at - 2)...at].contains { $0.contains("// checked:") }
  }

  static func split(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// Lines that were there before a rule and were looked at, as `target: code`; they may move between files.
  static func known(_ file: String) -> Set<String> {
    let path = TidyTests.root + "/Tests/TidyTests/" + file
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return Set(text.split(separator: "\n").map(String.init))
  }

  /// Every line of a target that a rule finds, generated ones left out.
  static func found(
    in target: String, _ findings: (String) -> [Int]
  ) -> [(place: String, key: String)] {
    TidyTests.sources("Sources/" + target).filter { !$0.path.contains("/Generated/") }.flatMap {
      path, text in
      let lines = split(text)
      return findings(text).map { at in
        ("\(path):\(at + 1)", "\(target): \(lines[at].trimmingCharacters(in: .whitespaces))")
      }
    }
  }

  /// Holds what a rule finds in a target to a list of lines that were looked at.
  ///
  /// With `TIDY_ACCEPT=1` the list is written anew instead: its changes are then to be looked at, line by line.
  /// - Parameters:
  ///   - file: the list.
  ///   - complaint: what is wrong with a line, and what to do.
  static func compare(
    _ target: String, _ file: String, _ findings: (String) -> [Int],
    complaint: (_ place: String, _ key: String) -> String
  ) throws {
    let found = found(in: target, findings)
    if ProcessInfo.processInfo.environment["TIDY_ACCEPT"] == "1" {
      return try accepting.withLock { _ in
        let others = Self.known(file).filter { !$0.hasPrefix(target + ": ") }
        let lines = others.union(found.map(\.key)).sorted()
        try (lines.joined(separator: "\n") + "\n").write(
          toFile: TidyTests.root + "/Tests/TidyTests/" + file, atomically: true, encoding: .utf8)
      }
    }
    let known = Self.known(file)
    for (place, key) in found where !known.contains(key) {
      Issue.record(Comment(rawValue: complaint(place, key)))
    }
    let present = Set(found.map(\.key))
    for key in known.sorted() where key.hasPrefix(target + ": ") && !present.contains(key) {
      Issue.record("\(file) lists what is not there any more: \(key)")
    }
  }

  /// Targets are looked at beside each other.
  private static let accepting = Mutex(())
}
