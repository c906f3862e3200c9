import Bytes
import EtcdAPI
import HTTP
import Testing
import V2Store

@testable import Discovery

/// What a discovery service takes, and what it answers.
@Suite struct ServiceTests {
  private func read(
    _ method: String, _ path: String, _ query: String = "", body: String? = nil
  ) throws -> RegistryRequest {
    try RegistryRequest(method, path, HTTPForm(form: body.map { Bytes($0) }, query: query))
  }

  @Test func requestsOfMembersAreRead() throws {
    #expect(try read("GET", "/new") == .new(size: 3))
    #expect(try read("PUT", "/new", "size=5") == .new(size: 5))
    #expect(try read("GET", "/ab/_config/size", "quorum=false") == .size(token: "ab"))
    #expect(try read("GET", "/ab", "recursive=false&sorted=false") == .list(token: "ab"))
    #expect(try read("GET", "/ab/") == .list(token: "ab"))
    #expect(
      try read("GET", "/ab", "wait=true&waitIndex=7&recursive=true") == .wait(token: "ab", from: 7))
    #expect(try read("GET", "/ab/12") == .entry(token: "ab", id: "12"))
    #expect(
      try read("PUT", "/ab/12", "prevExist=false", body: "value=a%3Dhttp%3A%2F%2Fb")
        == .enter(token: "ab", id: "12", value: "a=http://b"))
    #expect(try read("DELETE", "/ab/12") == .leave(token: "ab", id: "12"))
  }

  @Test(arguments: [
    ("GET", "/new", "size=0", 400), ("GET", "/new", "size=101", 400),
    ("GET", "/new", "size=x", 400),
    ("GET", "/new", "size=-1", 400), ("GET", "/ab", "wait=true&waitIndex=x", 400),
    ("GET", "/ab", "wait=true&waitIndex=18446744073709551615", 400),
    ("PUT", "/ab/_config/size", "value=9", 404), ("PUT", "/ab/_config", "value=9", 400),
    ("DELETE", "/ab/_config", "", 404), ("DELETE", "/ab", "", 404), ("POST", "/ab", "value=1", 404),
    ("GET", "/ab/c/d", "", 404), ("GET", "/../x", "", 404), ("GET", "/a b", "", 404),
    ("GET", "/" + String(repeating: "a", count: 65), "", 404),
    ("PUT", "/ab/12", "value=" + String(repeating: "v", count: 4097), 400),
  ])
  func theRestIsRefused(_ method: String, _ path: String, _ query: String, _ status: Int) {
    #expect {
      _ = try read(method, path, query)
    } throws: { error in
      (error as? RegistryRefusal)?.status == status
    }
  }

  @Test func answersHaveTheFormOfTheOldAPI() {
    var key = Mvccpb.KeyValue()
    (key.key, key.value) = ("/r/ab/12", "n=<u>")
    (key.createRevision, key.modRevision) = (4, 5)
    let node =
      #"{"key":"/r/ab/12","value":"n=\u003cu\u003e","modifiedIndex":5,"createdIndex":4}"#
    let entered = RegistryAnswer(.create, key, status: 201, index: 5)
    #expect(entered.status == 201 && entered.index == 5)
    #expect(entered.body.string == "{\"action\":\"create\",\"node\":\(node)}\n")
    #expect(
      RegistryAnswer(directory: "/r/ab", [key], index: 9).body.string
        == "{\"action\":\"get\",\"node\":{\"key\":\"/r/ab\",\"dir\":true,\"nodes\":[\(node)]}}\n")
    let refused = RegistryAnswer(.notFound("/ab", 9))
    #expect(refused.status == 404 && refused.index == 9)
    #expect(
      refused.body.string
        == "{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":\"/ab\",\"index\":9}\n")
  }

  @Test func tokensArePartsOfKeys() throws {
    let token = try #require(RegistryToken("a-B_9"))
    #expect(token.sizeKey == "/_etcd/registry/a-B_9/_config/size")
    #expect(RegistryToken("x", root: "/r/")?.sizeKey == "/r/x/_config/size")
    for odd in ["", "a/b", "a b", "..", "é", "a\0", String(repeating: "a", count: 65)] {
      #expect(RegistryToken(odd) == nil, "\(odd)")
    }
    let made = (0..<100).map { _ in RegistryToken.random().text }
    #expect(Set(made).count == 100 && made.allSatisfy { $0.utf8.count == 32 })
    // Who is second changes nothing, and sees what is there.
    let request = token.creation(size: 5, lease: 7)
    #expect(request.compare.count == 1 && request.compare[0].targetUnion == .version(0))
    guard case .requestPut(let put) = request.success.first?.request else {
      Issue.record("no put: \(request)")
      return
    }
    #expect(put.key == Bytes(token.sizeKey) && put.value == "5" && put.lease == 7)
    guard case .requestRange(let range) = request.failure.first?.request else {
      Issue.record("no range: \(request)")
      return
    }
    #expect(range.key == put.key)
  }

  /// A service without an etcd behind it.
  @Test func aServiceKeepsTokensItself() async throws {
    let memory = RegistryMemory()
    let token = try #require(RegistryToken("ab"))
    memory.make(token, size: 2)
    func ask(_ request: RegistryRequest) async throws -> RegistryAnswer {
      try await memory.answer(request) { "http://here/\($0)" }
    }
    func refusal(_ request: RegistryRequest) async -> RegistryRefusal? {
      do {
        _ = try await ask(request)
        return nil
      } catch { return error as? RegistryRefusal }
    }
    #expect(try await ask(.size(token: "ab")).body.string.contains(#""value":"2""#))
    let from = Int64(clamping: try await ask(.list(token: "ab")).index ?? 0) + 1
    let first = try await ask(.enter(token: "ab", id: "1", value: "a=http://a"))
    #expect(first.status == 201 && first.index == UInt64(clamping: from))
    #expect(
      await refusal(.enter(token: "ab", id: "1", value: "x"))
        == .key(V2Error(.nodeExists, "/_etcd/registry/ab/1", index: UInt64(clamping: from))))
    #expect(try await ask(.entry(token: "ab", id: "1")).body.string.contains("a=http://a"))
    // One that is there is told at once; who waits is told of the next.
    #expect(try await ask(.wait(token: "ab", from: from)).body.string.contains("/ab/1"))
    async let next = ask(.wait(token: "ab", from: from + 1))
    _ = try await ask(.enter(token: "ab", id: "2", value: "b=http://b"))
    #expect(
      try await next.body.string.contains(
        #""action":"create","node":{"key":"/_etcd/registry/ab/2""#))
    let list = try await ask(.list(token: "ab")).body.string
    #expect(list.split(separator: "createdIndex").count == 3, "\(list)")
    #expect(try await ask(.leave(token: "ab", id: "2")).body.string.contains("delete"))
    #expect(await refusal(.entry(token: "ab", id: "2"))?.status == 404)
    #expect(await refusal(.leave(token: "ab", id: "2"))?.status == 404)
    // Begun anew: nobody is there, and whoever waited for the old one still hears of the next.
    memory.make(token, size: 3)
    #expect(await refusal(.entry(token: "ab", id: "1"))?.status == 404)
    for request in [
      RegistryRequest.size(token: "no"), .list(token: "no"), .wait(token: "no", from: 1),
    ] {
      #expect(await refusal(request)?.status == 404)
    }
    // What is kept is bounded.
    for number in 0..<53 { _ = try await ask(.enter(token: "ab", id: "n\(number)", value: "v")) }
    #expect(await refusal(.enter(token: "ab", id: "more", value: "v"))?.status == 403)
    #expect(try await ask(.new(size: 3)).body.string.hasPrefix("http://here/"))
    for _ in 0..<98 { _ = try await ask(.new(size: 3)) }
    #expect(await refusal(.new(size: 3))?.status == 403)
    // A wait ends with who waits, and with the service.
    let waiting = Task { try await ask(.wait(token: "ab", from: 1 << 40)) }
    waiting.cancel()
    await #expect(throws: RegistryRefusal.self) { try await waiting.value }
    let last = Task { try await ask(.wait(token: "ab", from: 1 << 40)) }
    while !memory.isWaitedFor { await Task.yield() }
    memory.close()
    await #expect(throws: RegistryRefusal.self) { try await last.value }
  }
}
