import Foundation
import TestSupport
import Testing

/// The same requests to Go's JSON gateway and to ours: every status, type and body is equal, but for what
/// differs between any two members.
@Suite(.serialized) struct GatewayDifferentialTests {
  /// Paths and bodies, in the order in which they are sent.
  private static let script: [(path: String, body: String)] = {
    let text = """
      kv/put {"key":"YQ==","value":"Yg=="}
      kv/put {"key":"YQ==","value":"Yg==","prev_kv":true}
      kv/put {"key":"YQ==","value":"Yw==","prevKv":true,"lease":"99"}
      kv/put {"key":"YQ==","ignore_value":true,"value":"Yw=="}
      kv/put {}
      kv/range {"key":"YQ=="}
      kv/range {"key":"YQ==","range_end":"AA==","limit":"1","sort_order":"DESCEND","sortTarget":"MOD"}
      kv/range {"key":"YQ==","keys_only":true,"count_only":false,"min_mod_revision":1}
      kv/range {"key":"YQ==","revision":"1000"}
      kv/range {"key":"YQ==","revision":"-1","serializable":true}
      kv/range {"key":"YQ=="
      kv/range {"key":"YQ=="}garbage
      kv/range {"key":"YQ=="}{"key":"Yg=="}
      kv/range \("")
      kv/range null
      kv/range []
      kv/range "x"
      kv/range 5
      kv/range tru
      kv/range }
      kv/range x
      kv/range {
      kv/range {"key"
      kv/range {"key":
      kv/range {"key":"
      kv/range {"key":5}
      kv/range {"key":{}}
      kv/range {"key":true}
      kv/range {"key":null}
      kv/range {"key":[97]}
      kv/range {"key":[97,null]}
      kv/range {"key":[]}
      kv/range {"key":[300]}
      kv/range {"key":["a"]}
      kv/range {"key":"Y*=="}
      kv/range {"key":"Y Q = ="}
      kv/range {"key":"YQ=\\n="}
      kv/range {"key":"YQ==","key":"Yg=="}
      kv/range {"key":"YQ==","key":null}
      kv/range {"key":5,"key":"YQ=="}
      kv/range {"Key":"YQ=="}
      kv/range {"key":"\\u0059Q=="}
      kv/range {"key":"YQ==","range_end":"Yg==","rangeEnd":"eg=="}
      kv/range {"key":"YQ==","unknown":{"a":[1,2,{}]}}
      kv/range {"key":"YQ==","limit":"5"}
      kv/range {"key":"YQ==","limit":5}
      kv/range {"key":"YQ==","limit":" 5"}
      kv/range {"key":"YQ==","limit":null,"sort_order":null,"serializable":null}
      kv/range {"key":"YQ==","limit":"null"}
      kv/range {"key":"YQ==","limit":"x"}
      kv/range {"key":"YQ==","limit":"5x"}
      kv/range {"key":"YQ==","limit":"1 2"}
      kv/range {"key":"YQ==","limit":"+1"}
      kv/range {"key":"YQ==","limit":"-1"}
      kv/range {"key":"YQ==","limit":"1.5"}
      kv/range {"key":"YQ==","limit":"[]"}
      kv/range {"key":"YQ==","limit":"true"}
      kv/range {"key":"YQ==","limit":1.5}
      kv/range {"key":"YQ==","limit":""}
      kv/range {"key":"YQ==","limit":true}
      kv/range {"key":"YQ==","limit":[]}
      kv/range {"key":"YQ==","limit":{"a":1}}
      kv/range {"key":"YQ==","limit":9223372036854775808}
      kv/range {"key":"YQ==","limit":"-9223372036854775808"}
      kv/range {"key":"YQ==","sort_order":"FOO"}
      kv/range {"key":"YQ==","sort_order":"1"}
      kv/range {"key":"YQ==","sort_order":"descend"}
      kv/range {"key":"YQ==","sort_order":true}
      kv/range {"key":"YQ==","sort_order":{}}
      kv/range {"key":"YQ==","sort_order":1.5}
      kv/range {"key":"YQ==","sort_order":99999999999}
      kv/range {"key":"YQ==","serializable":"true"}
      kv/range {"key":"YQ==","serializable":1}
      kv/range {"key":"YQ==",}
      kv/range {'key':"YQ=="}
      kv/range {key:"YQ=="}
      kv/range {"key":"YQ==" "limit":1}
      kv/range {"a" 1}
      kv/range {"a":1;}
      kv/range [1 2]
      kv/range {"a":01}
      kv/range {"a":-}
      kv/range {"a":1.}
      kv/range {"a":1e}
      kv/range {"a":nul}
      kv/range {"a":tRue}
      kv/range {"a":falsy}
      kv/range {"a":é}
      kv/range {"a":"\\x"}
      kv/range {"a":"\\u12"}
      kv/range {"a":"\t"}
      kv/txn {}
      kv/txn {"compare":null,"success":[]}
      kv/txn {"compare":{}}
      kv/txn {"compare":[null]}
      kv/txn {"compare":[5]}
      kv/txn {"compare":["x"]}
      kv/txn {"compare":[{"key":"YQ==","target":"VALUE","value":"Yg=="}],"success":[{"requestRange":{"key":"YQ=="}}],"failure":[{"request_put":{"key":"YQ==","value":"Yg=="}}]}
      kv/txn {"compare":[{"key":"YQ==","target":"CREATE","result":"GREATER","create_revision":"0"}],"success":[{"request_delete_range":{"key":"YQ==","prev_kv":true}},{"requestTxn":{"success":[{"requestPut":{"key":"Yg=="}}]}}]}
      kv/txn {"success":[{"requestRange":{"key":"YQ=="},"request_put":{"key":"YQ==","value":"Yg=="}}]}
      kv/txn {"success":[{"requestPut":{"key":"YQ=="}},{"requestPut":{"key":"YQ=="}}]}
      kv/deleterange {"key":"YQ==","prev_kv":true}
      kv/deleterange {"key":"YQ==","rangeEnd":"AA=="}
      kv/compaction {"revision":"1000"}
      kv/compaction {"revision":2,"physical":true}
      kv/compaction {"revision":2}
      watch {"create_request":{"key":"YQ==","start_revision":"3"}}
      watch {"create_request":{"key":"YQ==","start_revision":"3","prev_kv":true,"filters":["NOPUT"]}}
      watch {"create_request":{"key":"YQ==","filters":[0,1]}}{"create_request":{"key":"YQ==","watch_id":"7"}}
      watch {"create_request":{"key":"YQ=="}} {"cancel_request":{"watch_id":"0"}}
      watch {"create_request":{"key":"YQ==","start_revision":"1"}}
      watch {"create_request":{"key":"YQ==","filters":["NOPE"]}}
      watch {"create_request":{"key":"YQ==","filters":"NOPUT"}}
      watch {"create_request":5}
      watch {"create_request":{"key":"YQ=="}}{"create_request":5}{"create_request":{"key":"YQ=="}}
      watch {"create_request":{"key":"YQ=="}}{"progress_request":{}}
      watch {}
      watch [
      lease/grant {"TTL":"1000","ID":"5"}
      lease/grant {"TTL":"1000","ID":"5"}
      lease/grant {"TTL":"99999999999","ID":"6"}
      kv/put {"key":"bGVhc2Vk","lease":"5"}
      kv/lease/timetolive {"ID":"6"}
      lease/timetolive {"ID":"6","keys":true}
      lease/leases {}
      kv/lease/leases {}
      lease/keepalive {"ID":"5"}
      lease/keepalive {"ID":"5"}{"ID":"6"} {"ID":5}
      lease/keepalive {"ID":"x"}
      lease/keepalive {"ID":"5"}{"ID":"x"}{"ID":"5"}
      lease/keepalive \("")
      lease/keepalive null
      lease/keepalive {"ID":"5"
      lease/keepalive 5
      lease/revoke {"ID":"5"}
      lease/revoke {"ID":"5"}
      kv/lease/revoke {"ID":"5"}
      cluster/member/add {"peerURLs":["x"]}
      cluster/member/add {"peerURLs":"http://x"}
      cluster/member/add {"peerURLs":[1]}
      cluster/member/add {"peerURLs":[null]}
      cluster/member/remove {"ID":"5"}
      cluster/member/update {"ID":"5","peerURLs":["http://127.0.0.1:1"]}
      cluster/member/promote {"ID":"5"}
      maintenance/alarm {}
      maintenance/alarm {"action":"ACTIVATE","memberID":"1","alarm":"NOSPACE"}
      maintenance/alarm {"action":"GET","alarm":2}
      maintenance/alarm {"action":2,"memberID":"1","alarm":"NOSPACE"}
      maintenance/transfer-leadership {"targetID":"1"}
      maintenance/downgrade {"action":"VALIDATE","version":"3.4.0"}
      maintenance/downgrade {"action":"VALIDATE","version":"x"}
      maintenance/downgrade {"action":7}
      maintenance/nope {}
      auth/status {}
      auth/enable {}
      auth/disable {}
      auth/authenticate {"name":"a","password":"b"}
      auth/user/add {"name":"u","password":"p"}
      auth/user/add {"name":"u","password":"p"}
      auth/user/add {"name":""}
      auth/user/add {"name":5}
      auth/user/add {"name":["a"]}
      auth/user/add {"name":"a","options":5}
      auth/user/add {"name":"a","options":{"no_password":"x"}}
      auth/user/add {"name":"w","options":{"no_password":true}}
      auth/user/get {"name":"u"}
      auth/user/list {}
      auth/role/add {"name":"r"}
      auth/role/grant {"name":"r","perm":{"permType":"READWRITE","key":"YQ==","range_end":"Yg=="}}
      auth/role/grant {"name":"r"}
      auth/role/get {"role":"r"}
      auth/role/list {}
      auth/user/grant {"user":"u","role":"r"}
      auth/user/revoke {"name":"u","role":"r"}
      auth/user/revoke {"name":"u","role":"r"}
      auth/role/revoke {"role":"r","key":"YQ==","range_end":"Yg=="}
      auth/role/delete {"role":"r"}
      auth/user/changepw {"name":"u","password":"q"}
      auth/user/delete {"name":"u"}
      auth/user/delete {"name":"u"}
      lease/grant {"TTL":"1000","ID":"7"}
      lock/lock {"name":"bA==","lease":"7"}
      lock/lock {"name":"bA==","lease":"8"}
      lock/unlock {"key":"bC83"}
      lock/unlock {}
      election/campaign {"name":"ZQ==","lease":"7","value":"dg=="}
      election/proclaim {"leader":{"name":"ZQ==","key":"ZS83","rev":"1","lease":"7"},"value":"eA=="}
      election/proclaim {"value":"eA=="}
      election/leader {"name":"ZQ=="}
      election/leader {"name":"Zg=="}
      election/observe {"name":"ZQ=="}
      election/observe {"name":5}
      election/resign {"leader":{"name":"ZQ==","key":"ZS83","rev":"1","lease":"7"}}
      election/resign {}
      """
    return text.split(separator: "\n").map { line in
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
  }()

  /// A response: status, type and body. Streams that go on are given up after a while.
  private func ask(
    _ cluster: Cluster, _ path: String, _ body: String, _ options: [String] = []
  ) -> String {
    let done = run(
      "/usr/bin/curl",
      [
        "-s", "-m", "0.6", "-w", "\n%{http_code} %{content_type}", "--data-binary", "@-",
        "\(cluster.members[0].endpoint)\(path)",
      ] + options, input: body)
    return done.output.replacing(#/"(cluster_id|member_id|raft_term)":"\d+"/#) { match in
      "\"\(match.1)\":\"\""
    }
  }

  private static func isStream(_ path: String) -> Bool {
    path == "watch" || path.hasSuffix("observe")
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func everyAnswerIsEqual() throws {
    let clusters = [try #require(Binaries.go35), Binaries.ours].map { Cluster([$0]) }
    for cluster in clusters { try cluster.start() }
    var differences: [String] = []
    for (path, body) in Self.script {
      let answers = clusters.map { ask($0, "/v3/" + path, body) }
      // What nobody serves is told as JSON since 3.5.2.
      if answers[0].contains("404 text/plain"), answers[1].contains("404 application/json") {
        continue
      }
      if answers[0] != answers[1] {
        differences.append("\(path) \(body)\n  real: \(answers[0])\n  ours: \(answers[1])")
      }
    }
    // What has no business in a comparison of bytes has its shape compared.
    for path in ["cluster/member/list", "maintenance/status", "maintenance/hash"] {
      let keys = clusters.map { Self.shape(ask($0, "/v3/" + path, "{}")) }
      if keys[0] != keys[1] { differences.append("\(path): \(keys)") }
    }
    let beta = clusters.map { ask($0, "/v3beta/kv/range", #"{"key":"YQ=="}"#) }
    #expect(beta[0] == beta[1])
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    print("\(Self.script.count) requests compared")
  }

  /// The names in an object, without the values.
  private static func shape(_ answer: String) -> [String] {
    answer.matches(of: #/"(\w+)":/#).map { String($0.1) }
  }

  /// A watch as a websocket: the same messages from both, and the same when it is done wrong.
  @Test(.enabled(if: Binaries.go35 != nil)) func websocketsCarryTheSameMessages() throws {
    let clusters = [try #require(Binaries.go35), Binaries.ours].map { Cluster([$0]) }
    for cluster in clusters { try cluster.start() }
    var told: [[String]] = []
    for cluster in clusters {
      let socket = try TestWebSocket(port: cluster.members[0].clientPort, path: "/v3/watch")
      try socket.send(#"{"create_request":{"key":"YQ==","prev_kv":true}}"#)
      var lines = [try socket.next()]
      for value in ["Yg==", "Yw=="] {
        _ = ask(cluster, "/v3/kv/put", #"{"key":"YQ==","value":"\#(value)"}"#)
        lines.append(try socket.next())
      }
      // In two messages, and two in one.
      try socket.send(#"{"create_request":{"key":"#)
      try socket.send(#""Yg=="}}{"cancel_request":{"watch_id":"0"}}"#)
      lines += [try socket.next(), try socket.next()]
      let keepAlive = try TestWebSocket(
        port: cluster.members[0].clientPort, path: "/v3/lease/keepalive")
      try keepAlive.send(#"{"ID":"77"}"#)
      lines.append(try keepAlive.next())
      try keepAlive.send(#"{"ID":"78"}"#)
      lines.append(try keepAlive.next())
      try keepAlive.ping()
      let bad = try TestWebSocket(port: cluster.members[0].clientPort, path: "/v3/watch")
      try bad.send(#"{"create_request":5}"#)
      lines.append(try bad.next())
      told.append(
        lines.map { $0.replacing(#/"(cluster_id|member_id|raft_term)":"\d+"/#) { "\($0.1)" } })
    }
    #expect(told[0] == told[1])
    #expect(told[1].count == 8)
  }

  /// Methods with one request are served, too, which Go's proxy never answers.
  @Test func websocketsServeSingleRequests() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let port = cluster.members[0].clientPort
    let put = try TestWebSocket(port: port, path: "/v3/kv/put")
    try put.send(#"{"key":"YQ==","value":"Yg=="}"#)
    #expect(try put.next().hasPrefix(#"{"header":{"#))
    #expect(try put.end() == 1000)
    let observe = try TestWebSocket(port: port, path: "/v3/maintenance/snapshot")
    try observe.send("{}")
    #expect(try observe.next().hasPrefix(#"{"result":{"#))
    // Who waits and leaves is forgotten.
    _ = ask(cluster, "/v3/lock/lock", #"{"name":"bA=="}"#)
    let waiting = try TestWebSocket(port: port, path: "/v3/lock/lock")
    try waiting.send(#"{"name":"bA=="}"#)
    func keys(_ count: Int) throws {
      let body = #"{"key":"bC8=","range_end":"bDA=","count_only":true}"#
      let end = Date().addingTimeInterval(10)
      while !ask(cluster, "/v3/kv/range", body).contains(#""count":"\#(count)""#) {
        guard Date() < end else { throw NotHealthy(description: "not \(count) keys") }
      }
    }
    try keys(2)
    waiting.write(0x88, [0x03, 0xe8])
    #expect(try waiting.end() == 1000)
    try keys(1)
    let unknown = try TestWebSocket(port: port, path: "/v3/nope")
    #expect(try unknown.next() == #"{"error":"Not Found","code":5,"message":"Not Found"}"#)
    #expect(try unknown.end() == 1000)
  }
}

/// A client of a websocket.
final class TestWebSocket {
  private let connection: Attacker
  private var input: [UInt8] = []

  /// - Throws: when the server does not take the upgrade.
  init(port: Int, path: String, fields: [String] = []) throws {
    connection = try Attacker(port: port)
    let head =
      [
        "GET \(path) HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ] + fields
    connection.send((head + ["", ""]).joined(separator: "\r\n"))
    while input.suffix(4) != Array("\r\n\r\n".utf8) {
      let byte = connection.bytes(1)
      guard !byte.isEmpty else { throw NotHealthy(description: "no answer to an upgrade") }
      input += byte
    }
    let text = String(decoding: input, as: UTF8.self)
    guard text.hasPrefix("HTTP/1.1 101 "), text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") else {
      throw NotHealthy(description: "no websocket: \(text)")
    }
    input = []
  }

  func send(_ text: String) throws { write(0x81, Array(text.utf8)) }

  /// Sends a ping and waits for its pong.
  func ping() throws {
    write(0x89, [1, 2])
    let frame = try frame()
    guard frame == (10, [1, 2]) else { throw NotHealthy(description: "no pong: \(frame)") }
  }

  func write(_ first: UInt8, _ content: [UInt8]) {
    let mask: [UInt8] = [1, 2, 3, 4]
    let length =
      content.count < 126
      ? [0x80 | UInt8(content.count)]
      : [0xfe, UInt8(content.count >> 8), UInt8(content.count & 0xff)]
    connection.send([first] + length + mask + content.enumerated().map { $1 ^ mask[$0 & 3] })
  }

  /// Sends bytes as they are.
  func pour(_ bytes: [UInt8]) { connection.send(bytes) }

  /// The next text message.
  func next() throws -> String {
    let (kind, content) = try frame()
    guard kind == 1 else { throw NotHealthy(description: "a frame of kind \(kind)") }
    return String(decoding: content, as: UTF8.self)
  }

  /// Status of the close frame that is next.
  func end() throws -> Int {
    let (kind, content) = try frame()
    guard kind == 8, content.count >= 2 else {
      throw NotHealthy(description: "a frame of kind \(kind) instead of the end")
    }
    return Int(content[0]) << 8 | Int(content[1])
  }

  private func frame() throws -> (kind: UInt8, content: [UInt8]) {
    let head = try take(2)
    var length = Int(head[1])
    if length >= 126 {
      length = try take(length == 126 ? 2 : 8).reduce(0) { $0 << 8 | Int($1) }
    }
    return (head[0] & 0x0f, try take(length))
  }

  private func take(_ count: Int) throws -> [UInt8] {
    while input.count < count {
      let more = connection.bytes(65_536)
      guard !more.isEmpty else { throw NotHealthy(description: "the websocket ended") }
      input += more
    }
    defer { input.removeFirst(count) }
    return Array(input.prefix(count))
  }
}
