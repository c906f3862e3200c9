import Foundation
import Glibc
import TestSupport
import Testing

/// Debian's Patroni keeps two PostgreSQL servers by a cluster of ours, over either API, and moves to the other when one is
/// killed. Half a minute each, and packages that nothing else needs: `PATRONI=1`, as `make nightly` sets it.
@Suite(.serialized) struct PatroniTests {
  private static let isAsked = ProcessInfo.processInfo.environment["PATRONI"] != nil

  /// A PostgreSQL server with its Patroni.
  private final class Node {
    let sqlPort: Int
    let restPort: Int
    let data: String
    let process: ServerProcess

    init(_ name: String, _ mode: String, hosts: String, folder: String, ports: [Int]) throws {
      (sqlPort, restPort) = (ports[0], ports[1])
      data = folder + "/data-" + name
      let path = folder + "/" + name
      let settings = """
        scope: \(mode)
        name: \(name)
        restapi: {listen: "127.0.0.1:\(restPort)", connect_address: "127.0.0.1:\(restPort)"}
        \(mode): {hosts: "\(hosts)"}
        bootstrap:
          dcs: {ttl: 20, loop_wait: 1, retry_timeout: 3}
          initdb: [{encoding: UTF8}, {auth: trust}]
          pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust", "local all all trust"]
        postgresql:
          listen: "127.0.0.1:\(sqlPort)"
          connect_address: "127.0.0.1:\(sqlPort)"
          data_dir: "\(data)"
          bin_dir: "\(try #require(Self.programs))"
          authentication: {superuser: {username: postgres}, replication: {username: replicator}}
          parameters: {unix_socket_directories: "\(folder)", fsync: "off"}

        """
      try settings.write(toFile: path + ".yml", atomically: false, encoding: .utf8)
      process = try ServerProcess(
        [
          "--reuid", "postgres", "--regid", "postgres", "--init-groups", "env", "HOME=\(folder)",
          "/usr/bin/patroni", path + ".yml",
        ], program: "/usr/bin/setpriv", log: path + ".log")
    }

    private static let programs: String? = {
      let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql"))
      return versions?.max().map { "/usr/lib/postgresql/\($0)/bin" }
    }()

    private var database: Int32? {
      let text = try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)
      return text?.split(separator: "\n").first.flatMap { Int32($0) }
    }

    private var isKilled = false

    /// The hard way, at the end, too: a signal mask of the tests' threads that it inherits keeps SIGTERM from it.
    func killBoth() {
      guard !isKilled else { return }
      isKilled = true
      process.end(by: SIGKILL)
      if let database { kill(database, SIGKILL) }
    }

    func has(_ role: String) -> Bool {
      httpGet("http://127.0.0.1:\(restPort)/\(role)", ["-f"]) != nil
    }

    func sql(_ text: String) -> Finished {
      run(
        "/usr/bin/psql",
        ["-h", "127.0.0.1", "-p", "\(sqlPort)", "-U", "postgres", "-Atc", text])
    }
  }

  @Test(.enabled(if: isAsked), arguments: ["etcd", "etcd3"]) func theOtherTakesOver(mode: String)
    throws
  {
    let cluster = Cluster(
      Array(repeating: Binaries.ours, count: 3), extra: mode == "etcd" ? ["--enable-v2"] : [])
    try cluster.start()
    let scratch = Scratch()
    for path in [scratch.path, scratch.path + "/nodes"] {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: path)
    }
    let folder = scratch.path + "/nodes"
    #expect(run("/usr/bin/chown", ["postgres", folder]).status == 0)
    let hosts = cluster.members.map { "127.0.0.1:\($0.clientPort)" }.joined(separator: ",")
    let nodes = try ["one", "two"].map {
      try Node($0, mode, hosts: hosts, folder: folder, ports: freePorts(2))
    }
    defer { for node in nodes { node.killBoth() } }
    try nodes[0].process.waitUntil("somebody leads", seconds: 60) {
      nodes.contains { $0.has("primary") }
    }
    let leader = try #require(nodes.first { $0.has("primary") })
    let other = try #require(nodes.first { $0 !== leader })
    try other.process.waitUntil("the other follows", seconds: 60) { other.has("replica") }
    try leader.process.waitUntil("a table is made") {
      leader.sql("create table t(a int); insert into t values (1)").status == 0
    }
    try other.process.waitUntil("the row is there") { other.sql("select a from t").output == "1\n" }
    // A member of ours goes, too, and whoever waits there.
    cluster.members[0].kill()
    leader.killBoth()
    try other.process.waitUntil("the other leads", seconds: 60) {
      other.has("primary") && other.sql("insert into t values (2)").status == 0
    }
    #expect(other.sql("select a from t order by a").output == "1\n2\n")
    #expect(!leader.has("primary"))
    cluster.members[0].start()
    try cluster.members[0].waitHealthy()
    #expect(other.has("primary"))
  }
}
