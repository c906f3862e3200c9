import Bytes
import EtcdAPI
import EtcdConfig
import Foundation
import GoText
import Protobuf
import Testing

@testable import EtcdServer

/// Plain HTTP; what is expected was asked of Go etcd 3.5.30.
@Suite struct HTTPEndpointTests {
  @Test func hostsThatAreNotListedAreRefused() async throws {
    var config = ServerConfig()
    config.hostWhitelist = ["a.example", "::1"]
    try await withServer(config) { server in
      for host in ["a.example", "a.example:99", "[::1]:2379"] {
        #expect(try await server.ask("GET", "/version", ["Host: \(host)"]).status == 200, "\(host)")
      }
      for host in ["evil.example", "evil.example:2379", "127.0.0.1", "a.example.evil"] {
        let answer = try await server.ask("GET", "/health", ["Host: \(host)"])
        #expect(answer.status == 421, "\(host)")
      }
      let absolute = try await server.ask(
        "GET", "http://evil.example:1/version", ["Host: a.example"])
      #expect(absolute.status == 421)
      #expect(
        absolute.text == """

          etcd received your request, but the Host header was unrecognized.

          To fix this, choose one of the following options:
          - Enable TLS, then any HTTPS request will be allowed.
          - Add the hostname you want to use to the whitelist in settings.
            - e.g. etcd --host-whitelist "evil.example"

          This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).


          """)
      // Metrics and peers have no browser in front of them.
      let other = ["Host: evil.example"]
      #expect(try await server.ask("GET", "/health", other, at: "metrics").status == 200)
      #expect(try await server.ask("GET", "/version", other, at: "peer").status == 200)
    }
    try await withServer { server in
      let answer = try await server.ask("GET", "/version", ["Host: any.example"])
      #expect(answer.status == 200)
    }
  }

  @Test func pagesOfListedOriginsMayRead() async throws {
    let origin = "Access-Control-Allow-Origin"
    let ours = ["Host: a", "Origin: http://ui.example:8080"]
    let theirs = ["Host: a", "Origin: http://other.example"]
    var config = ServerConfig()
    config.corsOrigins = ["http://ui.example:8080"]
    try await withServer(config) { server in
      for (method, path, status) in [
        ("GET", "/version", 200), ("OPTIONS", "/v3/kv/range", 200), ("GET", "/nope", 404),
      ] {
        let answer = try await server.ask(method, path, ours)
        #expect(answer.status == status)
        #expect(answer.field(origin) == "http://ui.example:8080")
        #expect(
          answer.field("Access-Control-Allow-Methods") == "POST, GET, OPTIONS, PUT, DELETE")
        #expect(
          answer.field("Access-Control-Allow-Headers") == "accept, content-type, authorization")
      }
      for fields in [theirs, ["Host: a"]] {
        let answer = try await server.ask("GET", "/version", fields)
        #expect(answer.status == 200 && answer.field(origin) == nil)
      }
      #expect(try await server.ask("OPTIONS", "/version", theirs).status == 200)
    }
    try await withServer { server in
      for fields in [theirs, ["Host: a"]] {
        let answer = try await server.ask("GET", "/version", fields)
        #expect(answer.field(origin) == "*")
      }
    }
  }

  @Test(arguments: [
    ("GET", "/health", 200), ("HEAD", "/health", 405), ("POST", "/health", 405),
    ("HEAD", "/metrics", 200), ("POST", "/metrics", 200), ("HEAD", "/version", 405),
    ("GET", "//health", 301), ("GET", "/%68ealth", 200), ("GET", "/x/../health", 301),
    ("GET", "/livez", 200), ("GET", "/livez/", 404), ("GET", "/livez/serializable_read", 200),
    ("GET", "/livez/linearizable_read", 404), ("GET", "/readyz/linearizable_read", 200),
    ("GET", "/readyz?exclude=nope", 200), ("HEAD", "/readyz", 405), ("GET", "/", 404),
    ("GET", "/%zz", 400), ("GET", "/debug/vars", 200), ("GET", "/debug/vars/", 404),
    ("POST", "/debug/vars", 405), ("GET", "/debug/pprof/", 404), ("GET", "/v3/kv/range", 501),
  ])
  func pathsAreServedAsByGo(_ method: String, _ target: String, _ status: Int) async throws {
    try await withServer { server in
      let answer = try await server.ask(method, target)
      #expect(answer.status == status)
      if method == "HEAD" { #expect(answer.body.isEmpty || status == 405) }
    }
  }

  @Test func checksAreToldApart() async throws {
    try await withServer { server in
      let all = try await server.ask("GET", "/readyz?verbose")
      #expect(
        all.text == "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
          + "[+]non_learner ok\nok\n")
      let fewer = try await server.ask(
        "GET", "/readyz?verbose&exclude=non%5Flearner&exclude=data_corruption")
      #expect(fewer.text == "[+]serializable_read ok\n[+]linearizable_read ok\nok\n")
      #expect(try await server.ask("GET", "/livez").text == "ok\n")
      let page = try await server.ask("GET", "/metrics").text
      #expect(page.contains("etcd_server_healthcheck{name=\"non_learner\",type=\"readyz\"} 1\n"))
    }
  }

  /// Data that members disagree about is no reason to restart one, and one not to ask it.
  @Test func aCorruptMemberLivesAndIsNotReady() async throws {
    typealias API = Etcdserverpb
    try await withServer { server in
      let alarm = API.AlarmRequest(action: .activate, memberID: 0, alarm: .corrupt)
      _ = try await server.unary(API.MaintenanceService.alarm.path, alarm.encoded())
      let ready = try await server.ask("GET", "/readyz")
      #expect(ready.status == 503)
      #expect(
        ready.text == "[-]data_corruption failed: alarm activated: CORRUPT\n"
          + "[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n\n")
      let alone = try await server.ask("GET", "/readyz/data_corruption")
      #expect(alone.status == 503)
      #expect(alone.text == "[-]data_corruption failed: alarm activated: CORRUPT\n\n")
      #expect(try await server.ask("GET", "/readyz?exclude=data_corruption").text == "ok\n")
      #expect(try await server.ask("GET", "/livez").text == "ok\n")
      let page = try await server.ask("GET", "/metrics").text
      #expect(
        page.contains("etcd_server_healthcheck{name=\"data_corruption\",type=\"readyz\"} 0\n"))
    }
  }

  /// A member without a quorum: probes of the member itself succeed, those of its cluster do not.
  @Test func aMemberWithoutLeaderLivesAndIsNotReady() async throws {
    let server = try ServerUnderTest(isAlone: false)
    let health = try await server.ask("GET", "/health", at: "metrics")
    #expect(health.status == 503)
    #expect(health.text == "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n")
    let own = try await server.ask("GET", "/health?serializable=true", at: "metrics")
    #expect(own.status == 200)
    #expect(own.text == "{\"health\":\"true\",\"reason\":\"\"}")
    #expect(try await server.ask("GET", "/livez", at: "metrics").text == "ok\n")
    let ready = try await server.ask("GET", "/readyz", at: "metrics")
    #expect(ready.status == 503)
    #expect(
      ready.text == "[+]data_corruption ok\n[+]serializable_read ok\n"
        + "[-]linearizable_read failed: etcdserver: request timed out\n[+]non_learner ok\n\n")
    #expect(server.messages.contains("Health check error"))
    await server.stop()
  }

  @Test func metricsMayBeCompressed() async throws {
    try await withServer { server in
      let packed = try await server.ask(
        "GET", "/metrics", ["Host: a", "Accept-Encoding: gzip"])
      #expect(packed.field("Content-Encoding") == "gzip")
      #expect(packed.body.prefix(2) == Data([0x1f, 0x8b]))
      let plain = try await server.ask("GET", "/metrics", at: "metrics")
      #expect(plain.field("Content-Encoding") == nil)
      #expect(plain.text.contains("\netcd_server_has_leader 1\n"))
    }
  }

  @Test func variablesAreJSON() async throws {
    try await withServer { server in
      let answer = try await server.ask("GET", "/debug/vars")
      #expect(answer.field("Content-Type") == "application/json; charset=utf-8")
      let object = try #require(
        try JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
      #expect(object["cmdline"] as? [String] == Swift.CommandLine.arguments)
      #expect((object["file_descriptor_limit"] as? Int ?? 0) > 0)
      let memory = try #require(object["memstats"] as? [String: Any])
      #expect((memory["Alloc"] as? Int ?? 0) > 0)
      let raft = try #require(object["raft.status"] as? [String: Any])
      #expect(raft["raftState"] as? String == "StateLeader")
      #expect(raft["id"] as? String == raft["lead"] as? String)
    }
  }

  @Test func profilesAreServedWhenAskedFor() async throws {
    var config = ServerConfig()
    config.enablePprof = true
    try await withServer(config) { server in
      #expect(try await server.ask("GET", "/debug/pprof").status == 301)
      let index = try await server.ask("GET", "/debug/pprof/")
      #expect(index.status == 200 && index.text.contains("heap"))
      let words = try await server.ask("GET", "/debug/pprof/cmdline").text.split(separator: "\0")
      #expect(words.map(String.init) == Swift.CommandLine.arguments)
      let threads = try await server.ask("GET", "/debug/pprof/goroutine?debug=1").text
      #expect(threads.contains("etcd-core"))
      #expect(
        try await server.ask("GET", "/debug/pprof/heap").text.contains("\nHeapAlloc = "))
      #expect(try await server.ask("GET", "/debug/pprof/trace").status == 501)
      let profile = try await server.ask("GET", "/debug/pprof/profile?seconds=1")
      #expect(profile.status == 200 && profile.text.contains(" etcd-core\n"), "\(profile.text)")
      for bad in ["0", "121", "x"] {
        let refused = try await server.ask("GET", "/debug/pprof/profile?seconds=\(bad)")
        #expect(refused.status == 400)
      }
      let times = try await server.ask("GET", "/debug/pprof/times").text
      #expect(
        times.contains("\"wal_fsync\":{\"count\":") && times.contains("\"name\":\"etcd-wal\""))
      #expect(try await server.ask("GET", "/debug/pprof/nope").text == "Unknown profile\n")
    }
  }
}

@Suite struct ServingTests {
  /// The order in which tools and tests wait for these lines.
  @Test func linesComeInOrder() async throws {
    try await withServer { server in
      let found = server.messages
      func position(_ message: String) throws -> Int { try #require(found.firstIndex(of: message)) }
      let binding = try position("configuring client listeners")
      let serving = try position("now serving peer/client/metrics")
      let ready = try position("ready to serve client requests")
      #expect(try position("configuring peer listeners") < binding)
      #expect(try binding < position("starting an etcd server"))
      #expect(try position("starting an etcd server") < position("starting local member"))
      #expect(try position("starting local member") < position("starting etcd server"))
      #expect(try position("serving peer traffic") < serving)
      #expect(serving < ready)
      // The leader sets the version while the member publishes itself; both are done by then.
      #expect(
        try position("set initial cluster version") < position("enabled capabilities for version"))
      #expect(try position("enabled capabilities for version") < ready)
      #expect(try position("published local member to cluster through raft") < ready)
      let version = try await server.ask("GET", "/version").text
      #expect(version.contains("\"etcdcluster\":\"3.5.0\""))
    }
  }

  /// Clients wait in the kernel: nothing is answered, nothing refused.
  @Test func clientsWaitForTheCluster() async throws {
    let server = try ServerUnderTest(isAlone: false)
    let connection = try server.connect("client")
    defer { close(connection) }
    let request = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    #expect(send(connection, request, request.utf8.count, 0) == request.utf8.count)
    // The listener of the metrics shares the loop: what it answers later was behind the client.
    #expect(try await server.ask("GET", "/health", at: "metrics").status == 503)
    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(recv(connection, &buffer, buffer.count, Int32(MSG_DONTWAIT)) == -1)
    #expect(errno == EAGAIN)
    #expect(!server.messages.contains("ready to serve client requests"))
    #expect(server.messages.contains("serving peer traffic"))
    await server.stop()
  }

  /// Clients decide by the text what they may use: the Kubernetes API server asks for watch progress from
  /// 3.5.13 on. A change must be meant, so it is written here once more.
  @Test func theVersionIsOneThatClientsKnow() async throws {
    try await withServer { server in
      let version = try await server.ask("GET", "/version")
      #expect(version.text == #"{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}"#)
      let status = try await server.unary(Etcdserverpb.MaintenanceService.status.path, Bytes())
      #expect(try Etcdserverpb.StatusResponse.decode(status).version == "3.5.30")
    }
  }

  @Test func listenersMayBeForOneProtocol() async throws {
    let scratch = NSTemporaryDirectory() + "etcd-http-\(UUID().uuidString)"
    var config = ServerConfig()
    config.listenClientHTTPURLs = [ListenURL(scheme: .unix, host: scratch, port: 0)]
    try await withServer(config) { server in
      await #expect(throws: ServerUnderTest.Broken.self) {
        _ = try await server.ask("GET", "/version", at: "client")
      }
      let relative = "../" + scratch.split(separator: "/").last!
      let answer = try await server.ask("GET", "/version", at: relative)
      #expect(answer.status == 200)
    }
  }

  @Test(arguments: [Int.max, Int.max - 1, 1_572_864, 0])
  func messagesHaveALimitWhateverTheFlag(_ bytes: Int) {
    var config = ServerConfig()
    config.maxRequestBytes = bytes
    let limit = EtcdServer.messageBytesMax(config)
    #expect(limit > 0 && limit <= 299 << 20)
    #expect(limit >= min(bytes, 299 << 20))
  }
}
