import Foundation
import Glibc
import TestSupport
import Testing

/// What a client of the v2 API may try: Go's answer, or a clean refusal.
@Suite(.serialized) struct HostileV2Tests {
  private static let form = "application/x-www-form-urlencoded"

  /// Every parameter at its edges.
  private static var parameters: [V2Request] {
    let numbers = [
      "", "0", "1", "-1", "+1", "01", "1.5", "1e3", "9223372036854775807", "9223372036854775808",
      "18446744073709551615", "18446744073709551616", "99999999999999999999999", "0x10", "%201",
      "1%20", "%00", "abc", "%ef%bc%91",
    ]
    let flags = ["", "t", "T", "TRUE", "tRuE", "1", "0", "2", "f", "on", "true%00", "&x&", ";"]
    let texts = [
      "", "a", "%00", "%C3%A9", "%F0%9F%98%80", "%zz", "%", "%a", ";", "a;b", "%3B", "a=b", "&&",
      "=&=", "%ff",
    ]
    var requests: [V2Request] = []
    for name in ["ttl", "prevIndex", "waitIndex"] {
      for value in numbers + ["1&\(name)=x", "x&\(name)=1"] {
        requests += ["PUT", "GET", "DELETE"].map {
          V2Request(method: $0, target: "/v2/keys/numbers?\(name)=\(value)")
        }
      }
    }
    for name in [
      "dir", "recursive", "sorted", "quorum", "stream", "prevExist", "refresh", "noValueOnSuccess",
      "wait",
    ] {
      for value in flags {
        requests += ["PUT", "DELETE"].map {
          V2Request(method: $0, target: "/v2/keys/flags?\(name)=\(value)")
        }
      }
      requests.append(V2Request(method: "HEAD", target: "/v2/keys/flags?\(name)=x"))
    }
    for value in texts {
      for name in ["value", "prevValue"] {
        requests.append(V2Request(method: "PUT", target: "/v2/keys/texts?\(name)=\(value)"))
        requests.append(
          V2Request(method: "PUT", target: "/v2/keys/texts", form: "\(name)=\(value)"))
      }
      requests.append(V2Request(target: "/v2/keys/texts"))
    }
    return requests
  }

  /// Paths with dots, slashes and escapes.
  private static var paths: [V2Request] {
    let deep = String(repeating: "/d", count: 255)
    let paths = [
      "", "/", "//", "/.", "/..", "/../", "/../..", "/./a", "/a/./b", "/a/../b", "/a//b", "/a/",
      "/a/.", "/a/..", "/%2e%2e/x", "/%2e", "/a%2fb", "/a%2f", "/%2f", "/%2f..%2f", "/a%00b",
      "/a%20b", "/a+b", "/a%2bb", "/a;b", "/a%23b", "/%", "/%4", "/%zz", "/a:b", "/_x", "/_", "/~a",
      "/a%3Fb", "/'", "/%7f", "/%0a", "x", "s", "/*", deep,
      "/" + String(repeating: "k", count: 2_000),
    ]
    return paths.flatMap { path in
      ["PUT", "GET", "DELETE"].map { method in
        V2Request(
          method: method,
          target: "/v2/keys" + path + (method == "PUT" ? "?value=v" : "?recursive=true"))
      }
    }
  }

  /// Bodies of every type, and sizes.
  private static var bodies: [V2Request] {
    let types = [
      form, form + "; charset=utf-8", form.uppercased(), form + "; charset", form + ";",
      form + "; a=b; a=c", form + "; a=\"b", "application/json", "multipart/form-data",
      "multipart/form-data; boundary=x", "text/plain", ";", "/", "a", "a b", "a/", "a/b c",
    ]
    let texts = [
      "value=v", #"{"value":1}"#, "%zz", "value=%", "value=a;b", "ttl=x", "value=v&dir=true",
      "dir=maybe", "value=" + String(repeating: "x", count: 100_000),
    ]
    var requests = types.flatMap { type in
      texts.map {
        V2Request(method: "PUT", target: "/v2/keys/bodies?prevExist=false", form: $0, type: type)
      }
    }
    for size in [10 << 20, 11 << 20] {
      requests.append(
        V2Request(
          method: "PUT", target: "/v2/keys/big", form: "v=" + String(repeating: "x", count: size)))
    }
    return requests
  }

  /// What is not there, or not for this method; changes of members and users that are none.
  private static var others: [V2Request] {
    let places = [
      "/v2", "/v2/", "/v2/none", "/v2/keysx", "/v2/members/x", "/v2/members/%00",
      "/v2/machines/", "/v2/stats", "/v2/stats/", "/v2/stats/none", "/v2/auth", "/v2/auth/",
      "/v2/auth/users/", "/v2/auth/users//", "/v2/auth/users/a/b", "/v2/auth/roles",
      "/v2/auth/enable/", "/v2/config/local/proxy", "/v2/admin", "/v2/leader", "/V2/keys",
      "/v2//keys", "/v2/./keys", "//v2/keys",
    ]
    var requests = places.flatMap { place in
      ["GET", "PUT", "POST", "DELETE", "PATCH"].map { V2Request(method: $0, target: place) }
    }
    let objects = [
      "{}", "[]", "null", #"{"peerURLs":[]}"#, #"{"peerURLs":null}"#, #"{"peerURLs":[1]}"#,
      #"{"peerURLs":[null]}"#, #"{"peerURLs":"http://a:1"}"#, #"{"peerURLs":["x"]}"#,
      #"{"peerURLs":["http://a"]}"#, #"{"peerURLs":["ftp://a:1"]}"#, "{", "\"", "1",
    ]
    for object in objects {
      for type in ["application/json", "text/plain", "application/json; charset=utf-8"] {
        for (method, place) in [
          ("POST", "members"), ("PUT", "members/1"), ("PUT", "auth/users/x"),
          ("PUT", "auth/roles/x"),
        ] {
          requests.append(
            V2Request(method: method, target: "/v2/" + place, form: object, type: type))
        }
      }
    }
    return requests
  }

  @MainActor private static func ask(
    _ request: V2Request, _ ours: V2Side, _ go: V2Side
  ) async -> (mine: V2Answer, expected: V2Answer) {
    async let theirs = go.ask(request)
    var (mine, expected) = (await ours.ask(request), await theirs)
    // Texts of Go's own HTTP server have no end of line.
    mine.body = mine.body.trimmingCharacters(in: .newlines)
    expected.body = expected.body.trimmingCharacters(in: .newlines)
    return (mine, expected)
  }

  /// Whether a key that ends by itself had ended at one server, and was deleted at the other. The index is then the same.
  private static func onlyOneWasFirst(_ a: V2Answer, _ b: V2Answer) -> Bool {
    guard let deleted = [a, b].first(where: { $0.status == 200 }),
      let missing = [a, b].first(where: { $0.status == 404 })
    else { return false }
    return deleted.body.contains("\"expiration\"") && missing.body.contains("\"errorCode\":100")
  }

  @Test(.enabled(if: Binaries.go34 != nil)) @MainActor func everyEdgeIsGos() async throws {
    try await withV2Servers(Binaries.go34) { go, ours in
      let requests = Self.parameters + Self.paths + Self.bodies + Self.others
      for request in requests {
        var (mine, expected) = await Self.ask(request, ours, go)
        // What is over as soon as it is written goes with the next SYNC of either leader, each twice a second.
        let shown = request.description.prefix(200)
        if request.method == "GET", mine != expected {
          try? await v2Until("both answer alike: \(shown)", seconds: 3) {
            (mine, expected) = await Self.ask(request, ours, go)
            return mine == expected
          }
        }
        if request.method == "DELETE", Self.onlyOneWasFirst(mine, expected) { continue }
        #expect(mine == expected, "\(request.type): \(shown)")
      }
      print("\(requests.count) requests")
      #expect(go.member.isRunning && ours.member.isRunning)
    }
  }

  /// Deeper than a store may be: refused, where Go's goes on until something breaks. The member holds its memory.
  @Test @MainActor func directoriesBeyondTheLimitAreRefused() async throws {
    let victims = try Victims(members: 1, extra: ["--enable-v2"])
    try await withV2Side(victims.cluster.members[0]) { side in
      for depth in [256, 1_000, 20_000] {
        let answer = await side.ask(
          "PUT", "/v2/keys" + String(repeating: "/d", count: depth), "value=x")
        #expect(answer.status == 400 || answer.status == 431, "\(depth): \(answer)")
      }
      let deepest = "/v2/keys" + String(repeating: "/d", count: 255)
      #expect(await side.ask("PUT", deepest, "value=x").status == 201)
      #expect(await side.ask("GET", "/v2/keys/?recursive=true").body.contains("\"value\":\"x\""))
    }
    victims.cluster.members[0].kill()
    victims.cluster.members[0].start()
    try victims.cluster.members[0].waitHealthy()
    victims.forget(victims.cluster.members[0])
    try victims.check()
  }

  /// Ten thousand who wait, from one client, some for one key and some for others: a few kilobytes each, all are told, and
  /// nothing of them is left.
  @Test @MainActor func tenThousandWait() async throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let count = min(10_000, Int(clamping: limit.rlim_cur) - 1_000)
    let victims = try Victims(members: 1, extra: ["--enable-v2"])
    let member = victims.cluster.members[0]
    let before = Victims.residentBytes(member.pid)
    let start = ContinuousClock.now
    try await withV2Side(member) { side in
      var waits: [Attacker] = []
      for number in 0..<count {
        let key = number % 2 == 0 ? "told" : "other/\(number)"
        let attacker = try Attacker(port: member.clientPort)
        attacker.send("GET /v2/keys/\(key)?wait=true&recursive=true HTTP/1.1\r\nHost: x\r\n\r\n")
        waits.append(attacker)
      }
      try await v2Until("all are waiting", seconds: 60) {
        await side.ask("GET", "/v2/stats/store").body.contains("\"watchers\":\(count)")
      }
      let waiting = ContinuousClock.now
      let each = (Victims.residentBytes(member.pid) - before) / count
      #expect(await side.ask("PUT", "/v2/keys/told", "value=x").status == 201)
      for attacker in stride(from: 0, to: count, by: 2).map({ waits[$0] }) {
        var text = attacker.receive()
        // The head came when the wait began.
        while !text.isEmpty, !text.contains("\"action\"") {
          let more = attacker.receive()
          text = more.isEmpty ? "" : text + more
        }
        #expect(text.contains("\"action\":\"set\""))
      }
      print(
        "\(count) waits: \(each) bytes each, there after \(waiting - start), half of them told in"
          + " \(ContinuousClock.now - waiting)")
      #expect(each < 16 << 10)
      waits = []
      try await v2Until("nobody is left", seconds: 60) {
        await side.ask("GET", "/v2/stats/store").body.contains("\"watchers\":0")
      }
    }
    try victims.check(memoryMax: 96 << 20)
  }
}
