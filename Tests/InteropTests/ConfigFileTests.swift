import Foundation
import TestSupport
import Testing

/// A member that is started from a file.
@Suite(.serialized) struct ConfigFileProcessTests {
  /// The file of conf/, with other addresses and a directory that is ours.
  private func shipped(_ scratch: Scratch, client: Int, peer: Int) throws -> String {
    let text = try String(contentsOfFile: Binaries.packageRoot + "/conf/etcd.yml", encoding: .utf8)
      .replacingOccurrences(of: ":2379", with: ":\(client)")
      .replacingOccurrences(of: ":2380", with: ":\(peer)")
      .replacingOccurrences(of: "/var/lib/etcd", with: scratch.path + "/data")
    let path = scratch.path + "/etcd.yml"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  @Test(arguments: [false, true])
  func theShippedFileStartsAMember(_ isVariable: Bool) throws {
    let scratch = Scratch()
    let ports = freePorts(2)
    let path = try shipped(scratch, client: ports[0], peer: ports[1])
    let member = try ServerProcess(
      isVariable ? ["--name=other"] : ["--config-file", path],
      variables: isVariable ? ["ETCD_CONFIG_FILE": path, "ETCD_NAME": "another"] : [:],
      log: scratch.path + "/log")
    try member.waitUntil("it is healthy") {
      httpGet("http://127.0.0.1:\(ports[0])/health")?.contains("\"health\":\"true\"") == true
    }
    member.end()
    #expect(member.process.terminationStatus == SIGTERM)
    #expect(
      member.log.contains("loaded server configuration, other configuration command line flags"))
    #expect(member.log.contains("\"name\":\"m1\""))
    #expect(
      member.log.contains("\"ignored\":\"--name,ETCD_NAME\"") == isVariable,
      "\(member.log.prefix(900))")
    #expect(FileManager.default.fileExists(atPath: scratch.path + "/data/member/snap/db"))
  }

  @Test func aCheckPrintsAndEnds() throws {
    let scratch = Scratch()
    let path = try shipped(scratch, client: 1, peer: 2)
    let found = run(Binaries.ours, ["--config-file", path, "--check-config"])
    #expect(found.status == 0 && found.error.isEmpty)
    let rows = found.output.split(separator: "\n").map {
      $0.split(separator: " ").joined(separator: " ")
    }
    #expect(rows.contains("name m1 \(path):6"))
    #expect(rows.contains("max-wals 5 default"))
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/data"))
  }

  @Test func whatCannotBeReadEndsTheStart() throws {
    let scratch = Scratch()
    func refusal(_ text: String) throws -> (Int32, String) {
      try text.write(toFile: scratch.path + "/c", atomically: true, encoding: .utf8)
      let found = run(Binaries.ours, ["--config-file", scratch.path + "/c"])
      let line = try #require(found.error.split(separator: "\n").last)
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      #expect(object?["msg"] as? String == "failed to verify flags")
      return (found.status, object?["error"] as? String ?? "")
    }
    let file = scratch.path + "/c"
    #expect(
      try refusal("name: [") == (
        1, "\(file):2:1: did not find expected node content while parsing a flow node"
      ))
    #expect(try refusal("name: 5").1.hasPrefix("\(file):1:7: name: text expected"))
    let environment = try String(
      contentsOfFile: Binaries.packageRoot + "/conf/etcd.env", encoding: .utf8)
    #expect(try refusal(environment).1.contains("this is a file of environment variables"))
    let large = "# " + String(repeating: "x", count: 1 << 20) + "\nname: a"
    #expect(try refusal(large).1 == "\(file):1:1: the file has more than 1048576 bytes")
    for (path, message) in [
      (scratch.path, "read \(scratch.path): is a directory"),
      ("/none/c.yml", "open /none/c.yml: no such file or directory"),
    ] {
      let found = run(Binaries.ours, ["--config-file", path])
      #expect(found.status == 1 && found.error.contains(message), "\(found.error)")
    }
  }
}
