import Bytes
import HTTP
import TestSupport
import Testing

@testable import Proxies

/// What a v2 proxy decides, without sockets.
@Suite struct V2ProxyValueTests {
  @Test func thoseThatFailAreLeftOutForAWhile() {
    var random = SeededGenerator(state: 3)
    var director = ProxyDirector(failureWait: 100)
    #expect(director.available(0) == [])
    director.update(["a", "b", "c"], using: &random)
    #expect(Set(director.available(0)) == ["a", "b", "c"])
    let failures = [("a", 10), ("a", 20), ("x", 20)].map { director.failed($0.0, $0.1) }
    #expect(failures == [true, false, false], "once, and members alone")
    #expect(!director.available(109).contains("a") && director.available(109).count == 2)
    #expect(director.available(110).contains("a"))
    let isNews = director.failed("a", 110)
    #expect(isNews)
  }

  @Test func otherMembersLeaveThoseLeftOutAsTheyAre() {
    var random = SeededGenerator(state: 3)
    var director = ProxyDirector(failureWait: .max)
    director.update(["a", "b"], using: &random)
    let isNews = director.failed("a", 1)
    #expect(isNews)
    director.update(["a", "c"], using: &random)
    #expect(director.available(.max - 1) == ["c"])
    director.update(["c"], using: &random)
    director.update(["a", "c"], using: &random)
    #expect(Set(director.available(2)) == ["a", "c"], "it was away")
  }

  @Test func theOrderIsByChance() {
    var random = SeededGenerator(state: 3)
    var director = ProxyDirector(failureWait: 1)
    let orders = (0..<50).map { _ in
      director.update(["a", "b", "c"], using: &random)
      return director.urls.joined()
    }
    #expect(Set(orders).count == 6)
  }

  private func forwarded(_ headers: HTTPHeaders, target: String = "/v2/keys/k?a=b%20c")
    -> ForwardedRequest
  {
    ForwardedRequest(
      HTTPRequestHead(method: "PUT", target: target, headers: headers), body: "value=1",
      client: "10.0.0.7")
  }

  @Test func fieldsOfOneConnectionAreNotSentOn() {
    let request = forwarded([
      "Host": "etcd:2379", "Connection": "Keep-Alive, X-Mine, Host", "Keep-Alive": "5",
      "Proxy-Authorization": "secret", "TE": "trailers", "Upgrade": "h2c", "X-Mine": "1",
      "Authorization": "Basic cm9vdDpy", "Transfer-Encoding": "chunked", "Expect": "100-continue",
    ])
    #expect(request.headers.fields.map(\.name) == ["Host", "Authorization", "X-Forwarded-For"])
    #expect(request.body == "value=1" && request.target == "/v2/keys/k?a=b%20c")
  }

  @Test func earlierProxiesStayNamed() {
    let request = forwarded(["X-Forwarded-For": "1.1.1.1", "x-forwarded-for": "2.2.2.2"])
    #expect(request.headers.all("X-Forwarded-For") == ["1.1.1.1, 2.2.2.2, 10.0.0.7"])
    #expect(request.body == nil, "no field says that there is one")
  }

  @Test func absoluteTargetsBecomePaths() {
    #expect(forwarded([:], target: "http://x:1/v2/keys?q=1").target == "/v2/keys?q=1")
    #expect(forwarded([:], target: "/v2/keys/%2e%2e").target == "/v2/keys/%2e%2e")
  }

  @Test func theFileOfPeersIsThatOfEtcd() throws {
    let scratch = Scratch()
    let file = ClusterFile(scratch.path)
    #expect(try file.read() == nil)
    try file.write(["http://a:2380", "http://b:2380"])
    #expect(try file.read() == ["http://a:2380", "http://b:2380"])
    try file.write(["http://a:1"])
    #expect(ClusterFile.contents(["http://a:1"]) == #"{"PeerURLs":["http://a:1"]}"#)
    #expect(try file.read() == ["http://a:1"])
    #expect(DataDirectoryKind.of(scratch.path) == .empty)
  }
}
