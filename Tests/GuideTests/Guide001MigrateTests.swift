import Foundation
import TestSupport
import Testing

/// Guide 001, section 1.17: v2 keys become v3 keys.
@Suite(.serialized, .enabled(if: Binaries.go34 != nil && Binaries.go35 != nil))
struct Guide001MigrateTests {
  private static let write = """
    export ETCDCTL_API=2
    etcdctl --endpoints=http://$ENDPOINT set foo bar
    etcdctl --endpoints=http://$ENDPOINT set /dir/deep/key 'a <value>'
    etcdctl --endpoints=http://$ENDPOINT set foo second
    etcdctl --endpoints=http://$ENDPOINT mk gone soon
    etcdctl --endpoints=http://$ENDPOINT rm gone
    etcdctl --endpoints=http://$ENDPOINT set limited life --ttl 1000
    etcdctl --endpoints=$ENDPOINTS --output="json" get foo
    """
  private static let migrate = """
    export ETCDCTL_API=3
    etcdctl --endpoints=$ENDPOINT migrate --data-dir="default.etcd" --wal-dir="default.etcd/member/wal"
    """

  private func started(
    _ program: String, _ shell: GuideShell, _ port: Int, log: String
  ) throws -> ServerProcess {
    let url = "http://127.0.0.1:\(port)"
    let server = try ServerProcess(
      [
        "--enable-v2", "--data-dir", shell.scratch.path + "/default.etcd", "--listen-client-urls",
        url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:\(port + 1)",
        "--initial-advertise-peer-urls", "http://127.0.0.1:\(port + 1)", "--initial-cluster",
        "default=http://127.0.0.1:\(port + 1)",
      ], program: program, log: shell.scratch.path + "/" + log)
    try eventually("a member that serves") { httpGet(url + "/health")?.contains("true") == true }
    return server
  }

  /// Whoever wrote the directory, and those that start with it afterwards: one of 3.4 does not once the cluster is of 3.5.
  private func kinds(_ first: Int) throws -> [String] {
    let (ours, go34, go35) = (
      Binaries.ours, try #require(Binaries.go34), try #require(Binaries.go35)
    )
    return [[ours, go35], [go34, ours, go35], [go35, ours]][first]
  }

  /// Members of ours and of Go's, by our etcdctl; the directory then starts in all.
  @Test(arguments: [0, 1, 2]) func keysOfTheOldAPIAreThere(_ kind: Int) throws {
    let ports = freePorts(2)
    let port = ports[0]
    let shell = GuideShell([
      ("$ENDPOINTS", "http://127.0.0.1:\(port)"), ("$ENDPOINT", "127.0.0.1:\(port)"),
    ])
    let first = try started(try kinds(kind)[0], shell, port, log: "first")
    #expect(shell.output(Self.write).contains("\"value\":\"second\""))
    first.end()
    let done = shell.run(Self.migrate)
    #expect(done.status == 0, "\(done)")
    #expect(done.output == "using default transformer\nfinished transforming keys\n")
    // Once more changes nothing.
    #expect(shell.run(Self.migrate).status == 0)
    for (number, program) in try kinds(kind).enumerated() {
      let again = try started(program, shell, port, log: "again-\(number)")
      let keys = shell.output("etcdctl --endpoints=$ENDPOINTS get / --prefix")
      #expect(keys == "/dir/deep/key\na <value>\n/foo\nsecond\n/limited\nlife\n", "\(program)")
      let json = shell.output("etcdctl --endpoints=$ENDPOINTS get /foo -w json")
      #expect(json.contains("\"version\":1"))
      // What comes now is newer than all of them.
      #expect(shell.output("etcdctl --endpoints=$ENDPOINTS put new key") == "OK\n")
      #expect(shell.output("etcdctl --endpoints=$ENDPOINTS del new") == "1\n")
      again.end()
    }
    // Keys of the v3 API are not overwritten by what the v2 store would bring now.
    let refused = shell.run(
      "etcdctl migrate --data-dir=default.etcd --transformer \(try transformer(shell, revision: 1_000))"
    )
    #expect(refused.status == 0, "\(refused)")
  }

  /// The same rows as by Go's 3.4, with and without keys that have a time to live.
  @Test(arguments: ["", "--no-ttl"]) func rowsAreThoseOfGo(_ flag: String) throws {
    let port = freePorts(2)[0]
    let shell = GuideShell([
      ("$ENDPOINTS", "http://127.0.0.1:\(port)"), ("$ENDPOINT", "127.0.0.1:\(port)"),
    ])
    let member = try started(try #require(Binaries.go34), shell, port, log: "member")
    shell.output(Self.write)
    member.end()
    let theirs = try #require(Binaries.ctl34)
    shell.output(
      """
      cp -r default.etcd theirs
      ETCDCTL_API=3 '\(theirs)' migrate --data-dir=theirs \(flag) >/dev/null 2>&1
      etcdctl migrate --data-dir=default.etcd \(flag) >/dev/null
      """)
    let hashes = shell.output(
      """
      etcdutl snapshot status default.etcd/member/snap/db -w json 2>/dev/null | sed 's/"hash":[0-9]*/H/;s/"totalSize":[0-9]*/S/'
      etcdutl snapshot status theirs/member/snap/db -w json 2>/dev/null | sed 's/"hash":[0-9]*/H/;s/"totalSize":[0-9]*/S/'
      etcdutl hashkv default.etcd/member/snap/db -w json 2>/dev/null
      etcdutl hashkv theirs/member/snap/db -w json 2>/dev/null
      """
    ).split(separator: "\n")
    #expect(hashes.count == 4 && hashes[0] == hashes[1] && hashes[2] == hashes[3], "\(hashes)")
  }

  /// A program that reads JSON and writes one key of its own.
  private func transformer(_ shell: GuideShell, revision: Int) throws -> String {
    let path = shell.scratch.path + "/transformer"
    try """
    #!/usr/bin/python3
    import json, struct, sys
    decoder, text, at = json.JSONDecoder(), sys.stdin.read(), 0
    count = 0
    while at < len(text):
      node, at = decoder.raw_decode(text, at)
      count += 1
    value = ("%d nodes" % count).encode()
    key = b"\\x0a\\x04/own" + b"\\x10" + varint(REV) + b"\\x18" + varint(REV) + b"\\x20\\x01" + b"\\x2a" + bytes([len(value)]) + value
    sys.stdout.buffer.write(struct.pack("<q", len(key)) + key)
    """.replacing("REV", with: String(revision)).replacing(
      "count = 0\n",
      with: """
        count = 0
        def varint(n):
          out = b""
          while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
          return out + bytes([n])

        """
    ).write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }

  /// Transformers that work, fail and lie; a log that the database has not seen; nothing to migrate.
  @Test func whatWouldLoseSomethingIsRefused() throws {
    let port = freePorts(2)[0]
    let shell = GuideShell([
      ("$ENDPOINTS", "http://127.0.0.1:\(port)"), ("$ENDPOINT", "127.0.0.1:\(port)"),
    ])
    let empty = try started(Binaries.ours, shell, port, log: "empty")
    empty.end()
    #expect(
      shell.output("etcdctl migrate --data-dir=default.etcd")
        == "using default transformer\nno v2 keys to migrate\n")
    let member = try started(Binaries.ours, shell, port, log: "member")
    shell.output(Self.write)
    member.end()
    let own = try transformer(shell, revision: 40)
    shell.output("cp -r default.etcd copy")
    shell.output("etcdctl migrate --data-dir=copy --transformer '\(own)'")
    #expect(
      shell.run("etcdctl migrate --data-dir=copy --transformer '\(own)x'").error
        .contains("failed to transform keys"))
    for (text, message) in [
      ("printf 'abc'", "wrote 3 bytes at 0"),
      ("printf '\\377\\0\\0\\0\\0\\0\\0\\0a'", "announces 255"),
      ("exit 3", "ended with status 3"),
      ("printf '\\2\\0\\0\\0\\0\\0\\0\\0\\12\\377'", "no mvccpb.KeyValue"),
    ] {
      let path = shell.scratch.path + "/bad"
      try "#!/bin/sh\ncat >/dev/null\n\(text)\n".write(
        toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
      let bad = shell.run("etcdctl migrate --data-dir=copy --transformer '\(path)'")
      #expect(bad.status == 1 && bad.error.contains(message), "\(text): \(bad)")
    }
    // No file is left, and what was there is as it was.
    #expect(shell.output("ls copy") == "member\n")
    // A v3 key that the database has not: the member is killed behind it.
    let killed = try started(Binaries.ours, shell, port, log: "killed")
    for number in 0..<20 { shell.output("etcdctl --endpoints=$ENDPOINTS put k\(number) v") }
    killed.end(by: SIGKILL)
    let refused = shell.run("etcdctl migrate --data-dir=default.etcd")
    #expect(refused.status == 1, "\(refused)")
    #expect(
      refused.error.contains("entries of the v3 API from index")
        || refused.error.contains("would overwrite"), "\(refused)")
    let again = try started(Binaries.ours, shell, port, log: "again")
    #expect(
      shell.output("etcdctl --endpoints=$ENDPOINTS get k --prefix --count-only -w fields").contains(
        "\"Count\" : 20"))
    again.end()
  }
}
