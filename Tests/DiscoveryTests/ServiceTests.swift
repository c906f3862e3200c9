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
}
