import Bytes
import FaultRelay
import Foundation
import HTTP
import JSON
import Testing

@testable import DevClusterKit

/// Who may ask the status page's server what, without sockets.
@Suite struct PageGuardTests {
  private let door = PageGuard(token: "0123456789abcdef0123456789abcdef", port: 12_345)
  private static let token = "0123456789abcdef0123456789abcdef"
  private static let own = "127.0.0.1:12345"

  private func head(
    _ method: String = "GET", _ target: String, host: String = own, _ more: (String, String)...
  ) -> HTTPRequestHead {
    var headers: HTTPHeaders = ["Host": host]
    for (name, value) in more { headers.add(name, value) }
    return HTTPRequestHead(method: method, target: target, headers: headers)
  }

  private func status(_ head: HTTPRequestHead) -> Int {
    do throws(PageGuard.Refusal) { _ = try door.route(head) } catch { return error.status }
    return 200
  }

  private static let cookie = ("Cookie", "a=b; devcluster-12345=\(token)")
  private static let bearer = ("Authorization", "Bearer \(token)")

  @Test(arguments: [
    ("127.0.0.1:12345", 200), ("localhost:12345", 200), ("127.0.0.1", 421),
    ("127.0.0.1:12346", 421), ("evil.example:12345", 421), ("", 421),
    ("127.0.0.1:12345.evil.example", 421), ("LOCALHOST:12345", 421),
  ])
  func aHostMustBeOurs(_ host: String, _ expected: Int) {
    #expect(status(head("GET", "/api/v1/status", host: host, Self.bearer)) == expected)
    #expect(status(head("GET", "/main.js", host: host)) == expected, "files as well")
  }

  @Test func twoHostsAndAbsoluteTargetsAreRefused() {
    var twice = head("GET", "/", Self.bearer)
    twice.headers.add("Host", Self.own)
    #expect(status(twice) == 421)
    #expect(status(head("GET", "http://evil.example/api/v1/status", Self.bearer)) == 421)
    #expect(
      status(HTTPRequestHead(method: "GET", target: "/", headers: [:])) == 421, "none at all")
  }

  @Test func theInterfaceWantsTheToken() throws {
    for path in ["/", "/api/v1/status", "/api/v1/stream", "/api/v1/keys", "/history.html"] {
      #expect(status(head("GET", path)) == 403, "\(path)")
      #expect(status(head("GET", path, Self.cookie)) == 200, "\(path)")
      #expect(status(head("GET", path, Self.bearer)) == 200, "\(path)")
      #expect(status(head("GET", path, ("Cookie", "devcluster-1=\(Self.token)"))) == 403)
      #expect(status(head("GET", path, ("Authorization", "Bearer 0"))) == 403)
    }
    // What is in each program of this kind need not be guarded.
    #expect(status(head("GET", "/style.css")) == 200)
    let page = try #require(PageFile(path: "/"))
    #expect(try door.route(head("GET", "/?token=\(Self.token)")) == .file(page, setsCookie: true))
    #expect(try door.route(head("GET", "/", Self.cookie)) == .file(page, setsCookie: false))
    #expect(status(head("GET", "/?token=\(Self.token)0")) == 403)
    #expect(status(head("GET", "/?token=", Self.cookie)) == 403)
    #expect(
      door.setCookie == "devcluster-12345=\(Self.token); Path=/; HttpOnly; SameSite=Strict")
  }

  @Test func whatChangesComesFromThePage() throws {
    let path = "/api/v1/orders"
    let origin = ("Origin", "http://\(Self.own)")
    let foreign = ("Origin", "http://evil.example")
    #expect(status(head("POST", path, Self.cookie)) == 403, "a form of another page")
    #expect(status(head("POST", path, Self.cookie, foreign)) == 403)
    #expect(status(head("POST", path, Self.cookie, ("Origin", "null"))) == 403)
    #expect(status(head("POST", path, Self.bearer, foreign)) == 403)
    #expect(status(head("POST", path, origin)) == 403, "without the token")
    #expect(try door.route(head("POST", path, Self.cookie, origin)) == .order)
    #expect(try door.route(head("POST", path, Self.bearer)) == .order, "a program")
    #expect(
      try door.route(
        head("POST", "/api/v1/keys", Self.cookie, ("Origin", "http://localhost:12345")))
        == .changeKey)
    #expect(try door.route(head("POST", "/api/v1/scenario", Self.bearer)) == .scenario)
    for odd in ["/", "/api/v1/status", "/api/v2/orders", "/main.js"] {
      #expect(status(head("POST", odd, Self.bearer)) == 404, "\(odd)")
    }
    #expect(status(head("DELETE", "/api/v1/keys", Self.bearer)) == 404)
    #expect(status(head("GET", "/../etc/passwd", Self.bearer)) == 404)
  }

  @Test func queriesAreRead() throws {
    var logs = LogChoice()
    logs.members = ["m1", "m2"]
    logs.level = .warn
    logs.text = "a b&c"
    #expect(
      try door.route(
        head("GET", "/api/v1/logs?who=m1,m2&level=warn&text=A+b%26c", Self.bearer)) == .logs(logs))
    #expect(status(head("GET", "/api/v1/logs?level=loud", Self.bearer)) == 400)
    #expect(
      try door.route(head("GET", "/api/v1/keys?prefix=%ff%00&after=x", Self.bearer))
        == .keys(KeyQuery(prefix: Bytes([0xff, 0]), after: "x")))
    let wanted = PageSubscription(logs: nil, watch: .init(prefix: "", from: 7))
    #expect(
      try door.route(head("GET", "/api/v1/stream?watch=&from=7", Self.bearer)) == .stream(wanted))
    #expect(status(head("GET", "/api/v1/stream?watch=&from=-7", Self.bearer)) == 400)
    #expect(status(head("GET", "/api/v1/stream?watch=&from=many", Self.bearer)) == 400)
  }

  @Test func ordersAreThoseOfTheCommandLine() throws {
    let cut = FaultOrder(.cut(.hold), from: ["m1"], to: ["m2"], isOneWay: true)
    for request in [
      ControlRequest.member(.kill, ["leader"], wait: 15), .fault(cut), .heal(["m1->m2"]),
    ] {
      #expect(try PageGuard.order(Bytes(request.line)) == request)
    }
    for request in [
      ControlRequest.down, .upgrade(["m1"], binary: "/bin/sh", wait: 1), .remove(["m1"]), .page,
      .snapshot(.reset, ""), .status,
    ] {
      #expect(throws: PageGuard.Refusal.self, "\(request)") {
        try PageGuard.order(Bytes(request.line))
      }
    }
    #expect(throws: PageGuard.Refusal.self) { try PageGuard.order("not JSON") }
  }

  @Test func keysAreChanged() throws {
    #expect(
      try PageGuard.keyChange(#"{"put":{"key":"YQ==","value":"Yg=="}}"#)
        == FleetLife.MemberCall(path: "/v3/kv/put", body: ["key": "YQ==", "value": "Yg=="]))
    #expect(
      try PageGuard.keyChange(#"{"delete":{"key":"YQ=="}}"#)
        == FleetLife.MemberCall(path: "/v3/kv/deleterange", body: ["key": "YQ=="]))
    for odd in ["", "{}", #"{"put":{"key":"YQ=="}}"#, #"{"put":"YQ=="}"#] {
      #expect(throws: PageGuard.Refusal.self) { try PageGuard.keyChange(Bytes(odd)) }
    }
  }

  /// Every file has its type, and the page names no other place: nothing is fetched from elsewhere, nothing is
  /// written into the document that a policy forbids.
  @Test func filesAreWhole() throws {
    for name in PageFile.names {
      let file = try #require(PageFile(path: "/" + name))
      let text = file.bytes.string
      #expect(!file.type.isEmpty && text.utf8.count > 100, "\(name)")
      #expect(!text.contains("innerHTML") && !text.contains("https://"), "\(name)")
      #expect(
        text.ranges(of: "http://").count == text.ranges(of: "http://www.w3.org/2000/svg").count)
      if name == "index.html" {
        #expect(text.firstMatch(of: #/\son\w+=|style=|<style/#) == nil, "the policy forbids it")
        for match in text.matches(of: #/(?:src|href)="\/([^"]+)"/#) {
          #expect(PageFile(path: "/" + match.output.1) != nil, "\(match.output.1)")
        }
      }
      for match in text.matches(of: #/from "\.\/([^"]+)"/#) {
        #expect(PageFile(path: "/" + match.output.1) != nil, "\(name) imports \(match.output.1)")
      }
    }
    #expect(PageFile(path: "/index.html.bak") == nil && PageFile(path: "//style.css") == nil)
  }
}
