import Foundation
import TestSupport
import Testing

/// `etcd --proxy` as a process, beside Go's.
@Suite(.serialized) struct V2ProxyProcessTests {
  /// Members that serve the v2 API.
  static func members(
    _ scratch: Scratch, _ count: Int, program: String = Binaries.ours, scheme: String = "http",
    _ more: [String] = []
  ) throws -> (processes: [ServerProcess], clients: [String], cluster: String) {
    let ports = freePorts(2 * count)
    let peers = (0..<count).map { "\(scheme)://127.0.0.1:\(ports[$0])" }
    let clients = (0..<count).map { "\(scheme)://127.0.0.1:\(ports[count + $0])" }
    let cluster = (0..<count).map { "m\($0)=\(peers[$0])" }.joined(separator: ",")
    let processes = try (0..<count).map { at in
      try ServerProcess(
        [
          "--name", "m\(at)", "--data-dir", "\(scratch.path)/m\(at)", "--enable-v2",
          "--listen-client-urls", clients[at], "--advertise-client-urls", clients[at],
          "--listen-peer-urls", peers[at], "--initial-advertise-peer-urls", peers[at],
          "--initial-cluster", cluster,
        ] + more, program: program, log: "\(scratch.path)/log\(at)")
    }
    for process in processes { try process.waitFor("ready to serve client requests") }
    return (processes, clients, cluster)
  }

  /// A proxy that serves.
  private func proxy(
    _ scratch: Scratch, _ mode: String, _ cluster: String, _ more: [String] = [],
    program: String = Binaries.ours, directory: String? = nil, scheme: String = "http",
    variables: [String: String] = [:]
  ) throws -> (process: ServerProcess, url: String) {
    let url = "\(scheme)://127.0.0.1:\(freePorts(1)[0])"
    let process = try ServerProcess(
      [
        "--proxy", mode, "--data-dir", directory ?? "\(scratch.path)/proxy.\(url.suffix(5))",
        "--listen-client-urls", url, "--initial-cluster", cluster,
      ] + more, program: program, variables: variables, log: "\(scratch.path)/log\(url.suffix(5))")
    try process.waitFor("v2 proxy started listening on client requests")
    return (process, url)
  }

  private func curl(_ words: [String]) -> String {
    run("/usr/bin/curl", ["-s", "-m", "10"] + words).output
  }

  /// Status and fields in one order, each once, then the body: without what differs by time.
  private func comparable(_ answer: String) -> String {
    let parts = answer.replacing("\r\n", with: "\n").split(
      separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
    // Go's proxy adds these to those of the member, so that they come twice, which browsers refuse; and says
    // nothing of the length of an empty answer to HEAD.
    let fields = Set(parts[0].split(separator: "\n")).filter {
      !$0.hasPrefix("Date:") && $0 != "Content-Length: 0"
    }.sorted()
    let body = parts.count > 1 ? parts[1] : ""
    return (fields.joined(separator: "\n") + "\n\n" + body)
      .replacing(#/(?i)(index"?: ?|Content-Length: |/queue/)\d+/#) { "\($0.output.1)N" }
  }

  static let requests: [(path: String, words: [String])] = [
    ("/v2/keys/WHO/k", ["-XPUT", "-d", "value=1"]), ("/v2/keys/WHO/k", []),
    ("/v2/keys/WHO/k", ["-I"]), ("/v2/keys/nokey", []), ("/v2/keys/WHO?recursive=true", []),
    ("/v2/keys/WHO/k?prevValue=9", ["-XPUT", "-d", "value=2"]),
    ("/v2/keys/WHO/k", ["-XPUT", "-d", "value=3", "-H", "Transfer-Encoding: chunked"]),
    ("/v2/keys/WHO/queue", ["-XPOST", "-d", "value=2"]),
    ("/v2/keys/WHO/k", ["-XPATCH", "-d", "x"]),
    ("/v2/keys/WHO/k", ["-XDELETE"]), ("/v2/config/local/proxy", []),
    ("/v2/config/local/proxy", ["-XPOST", "-d", "x=1"]), ("/v2/config/local/proxy", ["-I"]),
    ("/v2/members", []), ("/v2/machines", []), ("/version", []), ("/health", []),
    ("/v2/keys/WHO/k", ["-XOPTIONS"]), ("/", []), ("//v2/keys", []), ("/v2/keys/./k", []),
    ("/v3/kv/range", ["-d", #"{"key":"YQ=="}"#]),
  ]

  @Test(.enabled(if: Binaries.go35 != nil), arguments: ["on", "readonly"])
  func answersAreThoseOfGosProxy(_ mode: String) throws {
    let scratch = Scratch()
    let go = try #require(Binaries.go35)
    let (processes, _, cluster) = try Self.members(scratch, 1, program: go)
    let theirs = try proxy(scratch, mode, cluster, program: go)
    let ours = try proxy(scratch, mode, cluster)
    for (path, words) in Self.requests {
      let answers = [("theirs", theirs.url), ("ours", ours.url)].map { who, url in
        let text = curl(["-i"] + words + [url + path.replacing("WHO", with: who)])
        return comparable(text).replacing(who, with: "WHO")
      }
      #expect(answers[1] == answers[0], "\(words) \(path)")
      #expect(answers[0].contains("HTTP/1.1 "))
    }
    let series = [theirs.url, ours.url].map { url in
      Set(
        curl([url + "/metrics"]).split(separator: "\n").filter { $0.contains("etcd_proxy_") }
          .map { $0.hasPrefix("#") ? $0 : $0.prefix { $0 != " " } })
    }
    #expect(series[1] == series[0] && series[0].count > 20)
    for process in processes + [theirs.process, ours.process] { process.end() }
  }

  /// Certificates on both sides, and clients without one are let in by neither proxy.
  @Test func bothSidesSpeakTLS() throws {
    let scratch = Scratch()
    let authority = try TestAuthority()
    let pair = try authority.issue("server", commonName: "etcd", names: "IP:127.0.0.1")
    let flags = ["", "peer-"].flatMap { use in
      [
        "--\(use)cert-file", pair.certificate, "--\(use)key-file", pair.key,
        "--\(use)trusted-ca-file", authority.certificate, "--\(use)client-cert-auth",
      ]
    }
    let (processes, clients, cluster) = try Self.members(scratch, 1, scheme: "https", flags)
    let trust = ["--cacert", authority.certificate]
    let own = ["--cert", pair.certificate, "--key", pair.key]
    for program in [Binaries.ours, Binaries.go35].compactMap({ $0 }) {
      let (process, url) = try proxy(
        scratch, "on", cluster, flags, program: program, scheme: "https")
      try process.waitFor(#""endpoints":["\#(clients[0])"]"#)
      let put = curl(trust + own + ["-XPUT", "-d", "value=1", url + "/v2/keys/k"])
      #expect(put.contains(#""value":"1""#), "\(program) \(put)")
      #expect(curl(trust + [url + "/v2/keys/k"]).isEmpty)
      process.end()
    }
    // Without certificates, that of the member cannot be verified.
    let (process, url) = try proxy(scratch, "on", cluster)
    try process.waitFor("failed to get cluster from remote peers")
    #expect(curl([url + "/v2/keys/k"]).contains("zero endpoints"))
    for process in processes + [process] { process.end() }
  }

  /// Certificates that a proxy makes for itself, in its own directory.
  @Test func aProxyMakesCertificates() throws {
    let scratch = Scratch()
    let (processes, _, cluster) = try Self.members(scratch, 1)
    let (process, url) = try proxy(
      scratch, "on", cluster, ["--auto-tls"], directory: scratch.path + "/p", scheme: "https")
    #expect(curl(["-k", "-XPUT", "-d", "value=1", url + "/v2/keys/k"]).contains(#""value":"1""#))
    #expect(curl([url + "/v2/keys/k"]).isEmpty, "nobody has signed it")
    #expect(
      (try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/p")) == ["proxy"])
    for process in processes + [process] { process.end() }
  }

  /// Texts and fields of the log, but times and places in the sources, and what ours says of its flags.
  private func lines(_ log: String, _ url: String, _ directory: String) -> [String] {
    log.split(separator: "\n").compactMap { line -> String? in
      guard !line.contains("is deprecated in 3.5"), !line.contains("\"Running: \"") else {
        return nil
      }
      return String(line).replacing(#/"ts":"[^"]+",/#, with: "").replacing(
        #/"caller":"[^"]+",/#, with: ""
      )
      .replacing(url, with: "URL").replacing(directory, with: "DIR")
    }
  }

  /// What a proxy finds out it knows at the next start, whatever the flags say then; as Go's, and each in the
  /// directory of the other.
  @Test(.enabled(if: Binaries.go35 != nil)) func theDirectoryGoesOn() throws {
    let scratch = Scratch()
    let go = try #require(Binaries.go35)
    let (processes, clients, cluster) = try Self.members(scratch, 1)
    let directories = ["\(scratch.path)/a", "\(scratch.path)/b"]
    var logs: [[String]] = []
    for (directory, programs) in zip(directories, [[go, Binaries.ours], [Binaries.ours, go]]) {
      try FileManager.default.createDirectory(
        atPath: directory + "/other", withIntermediateDirectories: true)
      var all: [String] = []
      let first = try proxy(scratch, "on", cluster, program: programs[0], directory: directory)
      try first.process.waitFor("successfully notified init daemon")
      try first.process.waitUntil("the file is there") {
        FileManager.default.fileExists(atPath: directory + "/proxy/cluster")
      }
      all += lines(first.process.log, first.url, directory)
      first.process.end()
      let second = try proxy(
        scratch, "off", "nobody=http://127.0.0.1:1",
        ["--advertise-client-urls", "http://127.0.0.1:1"], program: programs[1],
        directory: directory)
      try second.process.waitFor("successfully notified init daemon")
      all += lines(second.process.log, second.url, directory)
      #expect(
        curl([second.url + "/v2/config/local/proxy"]) == "{\"endpoints\":[\"\(clients[0])\"]}\n")
      second.process.end()
      logs.append(all)
    }
    func shown(_ lines: [String]) -> [String] {
      lines.filter { !$0.contains("received signal") }
    }
    // Go finds its endpoints in the background.
    #expect(shown(logs[1]).sorted() == shown(logs[0]).sorted())
    let read = directories.map {
      try? String(contentsOfFile: $0 + "/proxy/cluster", encoding: .utf8)
    }
    #expect(read[0] != nil && read[0] == read[1])
    for process in processes { process.end() }
  }

  /// A member's directory stays a member's, and one of both kinds is refused.
  @Test func directoriesOfMembersAreNoProxys() throws {
    let scratch = Scratch()
    let ports = freePorts(2)
    let client = "http://127.0.0.1:\(ports[0])"
    let words = [
      "--data-dir", "\(scratch.path)/d", "--listen-client-urls", client,
      "--advertise-client-urls", client, "--listen-peer-urls", "http://127.0.0.1:\(ports[1])",
      "--initial-advertise-peer-urls", "http://127.0.0.1:\(ports[1])",
      "--initial-cluster", "default=http://127.0.0.1:\(ports[1])",
    ]
    let first = try ServerProcess(words, log: scratch.path + "/1")
    try first.waitFor("ready to serve client requests")
    first.end()
    let second = try ServerProcess(["--proxy", "on"] + words, log: scratch.path + "/2")
    try second.waitFor("ready to serve client requests")
    second.end()
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/d/proxy", withIntermediateDirectories: false)
    let third = try ServerProcess(["--proxy", "on"] + words, log: scratch.path + "/3")
    #expect(third.lastWords() != nil)
    #expect(third.log.contains("invalid datadir; both member and proxy directories exist"))
  }

  /// Watches are answered through a proxy, and requests go on with the members that are left.
  @Test func membersMayGo() throws {
    let scratch = Scratch()
    let socket = try NotifySocket(scratch.path + "/notify")
    let (processes, _, cluster) = try Self.members(scratch, 3)
    let (process, url) = try proxy(
      scratch, "on", cluster, ["--proxy-refresh-interval", "300"],
      variables: ["NOTIFY_SOCKET": socket.path])
    try socket.waitFor("READY=1")
    #expect(curl(["-XPUT", "-d", "value=1", url + "/v2/keys/k"]).contains(#""value":"1""#))
    let stream = try Running(
      "/usr/bin/curl", ["-sN", url + "/v2/keys/k?wait=true&stream=true&waitIndex=1"], [:])
    try stream.wait(for: #""value":"1""#)
    processes[0].end(by: SIGKILL)
    var changed = false
    for number in 2..<40 where !changed {
      changed = curl(["-XPUT", "-d", "value=\(number)", url + "/v2/keys/k"]).contains(
        #""action":"set""#)
    }
    #expect(changed)
    for _ in 0..<6 { #expect(curl([url + "/v2/keys/k"]).contains(#""action":"get""#)) }
    #expect(process.end() < 5 && process.process.terminationStatus == SIGTERM)
    #expect(stream.result().output.contains(#""value":"1""#))
    for process in processes { process.end() }
  }

  @Test func withoutMembersItWaitsForThem() throws {
    let scratch = Scratch()
    let ports = freePorts(2)
    let (process, url) = try proxy(scratch, "on", "m0=http://127.0.0.1:\(ports[0])")
    #expect(
      curl([url + "/v2/keys/k"]) == #"{"message":"httpproxy: zero endpoints currently available"}"#)
    let client = "http://127.0.0.1:\(ports[1])"
    let member = try ServerProcess(
      [
        "--name", "m0", "--data-dir", "\(scratch.path)/m0", "--enable-v2", "--listen-client-urls",
        client, "--advertise-client-urls", client, "--listen-peer-urls",
        "http://127.0.0.1:\(ports[0])", "--initial-advertise-peer-urls",
        "http://127.0.0.1:\(ports[0])", "--initial-cluster", "m0=http://127.0.0.1:\(ports[0])",
      ], log: scratch.path + "/log")
    try member.waitFor("ready to serve client requests")
    // Every second, until there is one; a member has no client URLs before it has published itself.
    try process.waitFor(#""msg":"endpoints found","endpoints":["\#(client)"]"#)
    #expect(curl(["-XPUT", "-d", "value=1", url + "/v2/keys/k"]).contains(#""value":"1""#))
    for one in [process, member] { one.end() }
  }
}
