import Foundation
import TestSupport
import Testing

/// Runs the shell text of a guide in a directory of its own, with our programs in place of those it names, other
/// addresses in place of its own, and servers that end with the test.
final class GuideShell {
  let scratch = Scratch()
  /// What stands in the guide, and what to write instead, in the order given.
  private let replacements: [(text: String, by: String)]
  private(set) var servers: [ServerProcess] = []

  init(_ replacements: [(text: String, by: String)]) { self.replacements = replacements }

  deinit { for server in servers where server.process.isRunning { server.end(by: SIGKILL) } }

  /// The text as bash runs it: without prompts, with addresses of here, in the directory.
  private func script(_ text: String) -> String {
    var text = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.hasPrefix("$ ") ? $0.dropFirst(2) : $0 }.joined(separator: "\n")
    for (old, new) in replacements { text = text.replacing(old, with: new) }
    return """
      cd '\(scratch.path)'
      etcdctl() { '\(Binaries.ourCtl)' "$@"; }
      etcdutl() { '\(Binaries.ourUtl)' "$@"; }
      count=0
      etcd() { count=$((count + 1)); printf '%s\\n' "$@" >words.$count; }
      \(text)
      """
  }

  /// Runs a text that ends.
  func run(_ text: String, input: String = "") -> Finished {
    InteropTests.run(
      "/bin/bash", ["-c", script(text)], input: input, variables: ["ETCDCTL_API": "3"])
  }

  /// Runs a text that is to succeed.
  /// - Returns: what it printed.
  @discardableResult
  func output(_ text: String, input: String = "") -> String {
    let done = run(text, input: input)
    #expect(done.status == 0 && done.error.isEmpty, "\(text): \(done)")
    return done.output
  }

  /// Starts the servers of a text, each in a directory of its own as on machines of their own.
  /// - Parameters:
  ///   - isShared: whether they are started in the directory of the text instead.
  ///   - program: what to start.
  func start(_ text: String, isShared: Bool = false, program: String = Binaries.ours) throws
    -> [ServerProcess]
  {
    _ = output(text)
    var started: [ServerProcess] = []
    for number in 1... {
      let file = scratch.path + "/words.\(number)"
      guard let words = try? String(contentsOfFile: file, encoding: .utf8) else { break }
      try FileManager.default.removeItem(atPath: file)
      let folder =
        isShared ? scratch.path : scratch.path + "/machine\(servers.count + started.count)"
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
      started.append(
        try ServerProcess(
          words.split(separator: "\n").map(String.init), program: program, folder: folder,
          log: scratch.path + "/log.\(servers.count + started.count)"))
    }
    servers += started
    return started
  }
}

extension ServerProcess {
  /// The text of its last line of level fatal, once it has ended with status 1.
  func lastWords() -> String? {
    process.waitUntilExit()
    guard process.terminationStatus == 1, process.terminationReason == .exit else { return nil }
    let line = log.split(separator: "\n").last { $0.contains(#""level":"fatal""#) }
    let object = line.flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) }
    return (object as? [String: Any])?["error"] as? String
  }
}
