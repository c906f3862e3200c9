import Foundation
import TestSupport
import Testing

/// Users and roles of the v2 API: the same random requests to Go's server and to ours, one behind the other; status, type
/// and body of every answer are equal.
@Suite(.serialized) struct V2AuthDifferentialTests {
  private static let requests =
    Int(ProcessInfo.processInfo.environment["V2_AUTH_REQUESTS"] ?? "") ?? 250

  struct Request: CustomStringConvertible {
    var method = "GET"
    var path = "/v2/auth/users"
    var body: String?
    var user: String?
    var type = "application/json"
    var header: String?

    var description: String {
      "\(method) \(path) \(body ?? "") \(user ?? "nobody") \(header ?? "")"
    }
  }

  private static func ask(_ member: Member, _ request: Request) -> String {
    var words = [
      "-s", "-m", "20", "-X", request.method, "-w", " %{http_code} %{content_type}",
      member.endpoint + request.path,
    ]
    if request.method == "HEAD" { words = ["-I"] + words }
    if let body = request.body { words += ["-H", "Content-Type: \(request.type)", "-d", body] }
    if let user = request.user { words += ["-u", user] }
    if let header = request.header { words += ["-H", "Authorization: \(header)"] }
    let done = run("/usr/bin/curl", words)
    // Indexes differ, and keys made of them: how often a member publishes itself is its own affair. So do members.
    return done.output.replacing(#/\d{20}|"members":\[.*\]/#, with: "some")
      .replacing(#/(modifiedIndex|createdIndex|index)":\d+/#) { "\($0.output.1)" }
      .replacing(
        #/(?i)(x-etcd-index|x-raft-index|x-raft-term|date|x-etcd-cluster-id): .*/#, with: "")
  }

  private struct Generator {
    var random: SeededGenerator

    mutating func one(of values: [String]) -> String {
      values[Int.random(in: 0..<values.count, using: &random)]
    }

    mutating func list(_ values: [String]) -> String {
      let count = Int.random(in: 0..<3, using: &random)
      return "[" + (0..<count).map { _ in "\"\(one(of: values))\"" }.joined(separator: ",") + "]"
    }

    static let users = ["root", "ann", "bob", "<&>", "none"]
    static let roles = ["root", "guest", "r1", "r2", "none"]
    static let patterns = ["/*", "/a", "/a/*", "/b*", "*", "/c"]

    mutating func permissions() -> String {
      one(of: [
        "null", "{}", "{\"kv\":null}", "{\"kv\":{\"read\":\(list(Self.patterns))}}",
        "{\"KV\":{\"Write\":\(list(Self.patterns)),\"read\":\(list(Self.patterns))}}",
      ])
    }

    mutating func user(_ name: String) -> String {
      var fields = ["\"user\":\"\(one(of: [name, name, name, name, "other"]))\""]
      for (field, value) in [
        ("password", "\"\(one(of: ["pw", "pw", "other", ""]))\""),
        ("roles", one(of: ["null", "[]", list(Self.roles)])), ("grant", list(Self.roles)),
        ("revoke", list(Self.roles)), ("more", "1"),
      ] where Bool.random(using: &random) { fields.append("\"\(field)\":\(value)") }
      return "{" + fields.joined(separator: ",") + "}"
    }

    mutating func role(_ name: String) -> String {
      var fields = ["\"role\":\"\(one(of: [name, name, name, name, "other"]))\""]
      for field in ["permissions", "grant", "revoke"] where Bool.random(using: &random) {
        fields.append("\"\(field)\":\(permissions())")
      }
      return "{" + fields.joined(separator: ",") + "}"
    }

    mutating func next() -> Request {
      var request = Request()
      request.method = one(of: ["GET", "GET", "PUT", "PUT", "PUT", "DELETE", "POST"])
      let user = one(of: Self.users)
      let role = one(of: Self.roles)
      let isForm = Int.random(in: 0..<5, using: &random) == 0
      request.path = one(of: [
        "/v2/auth/users/\(user == "<&>" ? "%3C%26%3E" : user)",
        "/v2/auth/users/\(user == "<&>" ? "%3C%26%3E" : user)",
        "/v2/auth/roles/\(role)", "/v2/auth/roles/\(role)", "/v2/auth/users", "/v2/auth/roles/",
        "/v2/auth/enable", "/v2/keys/a?sorted=true", "/v2/keys/b/c?sorted=true",
        "/v2/keys/a?recursive=true&sorted=true", "/v2/keys/?sorted=true",
        "/v2/members", "/v2/auth/users/a/b", "/v2/auth/nothing",
      ])
      if request.path.hasPrefix("/v2/keys") {
        if request.method == "PUT" {
          (request.body, request.type) = ("value=1", "application/x-www-form-urlencoded")
        }
      } else if request.method == "PUT", request.path != "/v2/auth/enable" {
        let own = request.path.contains("/users") ? self.user(user) : self.role(role)
        request.body = isForm ? one(of: ["", "{", "[]", "null", "\"x\"", "{\"user\":1}"]) : own
      }
      // Mostly root, without whom nothing goes on once users are checked.
      request.user = one(of: [
        "root:pw", "root:pw", "root:pw", "root:pw", "ann:pw", "bob:pw", "root:x", "none:pw",
      ])
      if Int.random(in: 0..<6, using: &random) == 0 { request.user = nil }
      if request.user == nil, Int.random(in: 0..<4, using: &random) == 0 {
        request.header = one(of: ["Basic x", "basic cm9vdDpwdw==", "Bearer y", "Basic cm9vdA=="])
      }
      return request
    }
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func everyAnswerIsEqual() throws {
    let clusters = [try #require(Binaries.go35), Binaries.ours].map {
      Cluster([$0], extra: ["--enable-v2"])
    }
    for cluster in clusters { try cluster.start() }
    var generator = Generator(random: .printed("v2 users"))
    var requests = [
      Request(path: "/v2/auth/enable"), Request(), Request(path: "/v2/auth/roles"),
      Request(method: "PUT", path: "/v2/auth/enable"),
      Request(
        method: "PUT", path: "/v2/auth/users/root", body: #"{"user":"root","password":"pw"}"#),
      Request(method: "PUT", path: "/v2/auth/enable"), Request(path: "/v2/auth/enable"),
      Request(method: "PUT", path: "/v2/auth/enable", user: "root:pw"),
      Request(
        method: "PUT", path: "/v2/auth/users/ann",
        body: #"{"user":"ann","password":"pw","roles":["r1"]}"#, user: "root:pw"),
      Request(
        method: "PUT", path: "/v2/auth/roles/r1",
        body: #"{"role":"r1","permissions":{"kv":{"read":["/a*"],"write":["/b/*"]}}}"#,
        user: "root:pw"),
      Request(
        method: "PUT", path: "/v2/auth/roles/guest",
        body: #"{"role":"guest","revoke":{"kv":{"write":["/*"]}}}"#, user: "root:pw"),
    ]
    requests += (0..<Self.requests).map { _ in generator.next() }
    for (number, request) in requests.enumerated() {
      let answers = clusters.map { Self.ask($0.members[0], request) }
      #expect(answers[0] == answers[1], "\(number): \(request)")
    }
  }

  /// What a member of one kind writes about users holds on one of the other.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [0, 1]) func mixedMembersKnowTheSame(
    _ writer: Int
  ) throws {
    let cluster = Cluster(
      [try #require(Binaries.go35), Binaries.ours], extra: ["--enable-v2"])
    try cluster.start()
    let first = cluster.members[writer]
    let other = cluster.members[1 - writer]
    for request in [
      Request(
        method: "PUT", path: "/v2/auth/users/root", body: #"{"user":"root","password":"pw"}"#),
      Request(
        method: "PUT", path: "/v2/auth/roles/guest",
        body: #"{"role":"guest","permissions":{"kv":{"read":["/*"]}}}"#),
      Request(method: "PUT", path: "/v2/auth/enable"),
    ] {
      let answer = Self.ask(first, request)
      #expect(answer.contains(" 201 ") || answer.contains(" 200 "), "\(request): \(answer)")
    }
    let put = Request(
      method: "PUT", path: "/v2/keys/a", body: "value=1", type: "application/x-www-form-urlencoded")
    var named = put
    named.user = "root:pw"
    #expect(
      Self.ask(other, named).contains(" 201 "))
    for member in [first, other] {
      #expect(Self.ask(member, put).contains(" 401 "))
      #expect(Self.ask(member, Request(path: "/v2/keys/a")).contains(#""value":"1""#))
      #expect(
        Self.ask(member, Request(path: "/v2/auth/users")).contains("Insufficient credentials"))
    }
  }

  /// The common name of a certificate is a user's.
  @Test(.enabled(if: Binaries.go35 != nil)) func certificatesNameUsers() throws {
    let authority = try TestAuthority()
    let (server, ann) = (try authority.issue("both"), try authority.issue("ann", commonName: "ann"))
    for binary in [try #require(Binaries.go35), Binaries.ours] {
      let security = ClusterSecurity(
        clientScheme: "https",
        memberFlags: [
          "--cert-file", server.certificate, "--key-file", server.key, "--client-cert-auth",
          "--trusted-ca-file", authority.certificate,
        ],
        curl: [
          "--cacert", authority.certificate, "--cert", server.certificate, "--key", server.key,
        ])
      let cluster = Cluster([binary], security: security, extra: ["--enable-v2"])
      try cluster.start()
      let member = cluster.members[0]
      func put(_ path: String, _ body: String?, _ words: [String] = security.curl) -> String {
        run(
          "/usr/bin/curl",
          words + ["-s", "-w", " %{http_code}", "-X", "PUT", member.endpoint + path]
            + (body.map { ["-d", $0] } ?? [])
        ).output
      }
      _ = put("/v2/auth/users/root", #"{"user":"root","password":"pw"}"#)
      _ = put("/v2/auth/users/ann", #"{"user":"ann","password":"pw","roles":["r"]}"#)
      _ = put("/v2/auth/roles/r", #"{"role":"r","permissions":{"kv":{"write":["/a"]}}}"#)
      _ = put("/v2/auth/roles/guest", #"{"role":"guest","permissions":{"kv":{"read":["/*"]}}}"#)
      #expect(put("/v2/auth/enable", nil).hasSuffix(" 200"), "\(binary)")
      let own = [
        "--cacert", authority.certificate, "--cert", ann.certificate, "--key", ann.key,
      ]
      #expect(put("/v2/keys/a", "value=1", own).hasSuffix(" 201"), "\(binary)")
      #expect(put("/v2/keys/b", "value=1", own).hasSuffix(" 401"), "\(binary)")
      #expect(put("/v2/keys/a", "value=1").hasSuffix(" 401"), "\(binary)")
    }
  }
}
