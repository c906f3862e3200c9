import Bytes
import EtcdAPI
import EtcdConfig
import Foundation
import HTTP
import JSON
import Protobuf
import Testing

@testable import EtcdServer

/// The JSON gateway over a socket; that it answers as Go's is `GatewayDifferentialTests`' matter.
@Suite(.timeLimit(.minutes(5))) struct GatewayTests {
  private static let fields = ["Host: localhost"]

  private func post(
    _ server: ServerUnderTest, _ path: String, _ body: String, _ fields: [String] = []
  ) async throws -> ServerUnderTest.Answer {
    try await server.ask("POST", path, Self.fields + fields, body: body)
  }

  @Test func requestsAreAnswered() async throws {
    try await withServer { server in
      let put = try await post(server, "/v3/kv/put", #"{"key":"YQ==","value":"Yg=="}"#)
      #expect(put.status == 200)
      #expect(put.field("Content-Type") == "application/json")
      #expect(put.field("Grpc-Metadata-Content-Type") == "application/grpc")
      #expect(put.field("Access-Control-Allow-Origin") == "*")
      for path in ["/v3/kv/range", "/v3beta/kv/range", "http://x/v3/kv/range", "/v3/kv/r%61nge"] {
        let range = try await post(server, path, #"{"key":"YQ=="}"#)
        #expect(range.status == 200)
        let json = try JSONValue.parse(Bytes(range.text))
        #expect(json["kvs"]?.array?.first?["value"] == "Yg==")
        #expect(json["count"] == "1")
      }
    }
  }

  @Test func whatIsNotServedIsRefused() async throws {
    try await withServer { server in
      for path in ["/v3/kv/nope", "/v3/", "/v3/kv/range/", "/v3/kv/range:x"] {
        let answer = try await post(server, path, "{}")
        #expect(answer.status == 404)
        #expect(answer.text == #"{"error":"Not Found","code":5,"message":"Not Found"}"#)
      }
      for method in ["GET", "PUT", "DELETE"] {
        let answer = try await server.ask(method, "/v3/kv/range")
        #expect(answer.status == 501)
        #expect(
          answer.text
            == #"{"error":"Method Not Allowed","code":12,"message":"Method Not Allowed"}"#)
      }
      #expect(try await server.ask("OPTIONS", "/v3/kv/range").status == 200)
      #expect(try await post(server, "/v3//kv/range", "{}").status == 301)
      #expect(try await post(server, "/v3alpha/kv/range", "{}").status == 404)
    }
    var config = ServerConfig()
    config.enableGateway = false
    try await withServer(config) { server in
      for path in ["/v3/kv/range", "/v3beta/kv/range"] {
        let answer = try await post(server, path, "{}")
        #expect(answer.text == "404 page not found\n")
      }
    }
    config = ServerConfig()
    config.hostWhitelist = ["a.example"]
    try await withServer(config) { server in
      let answer = try await post(server, "/v3/kv/range", "{}")
      #expect(answer.status == 421)
    }
  }

  /// Tokens come as `Authorization`, or as any metadata.
  @Test func metadataIsForwarded() async throws {
    var config = ServerConfig()
    config.bcryptCost = 4
    try await withServer(config) { server in
      for (path, body) in [
        ("user/add", #"{"name":"root","password":"x"}"#), ("role/add", #"{"name":"root"}"#),
        ("user/grant", #"{"user":"root","role":"root"}"#), ("enable", "{}"),
      ] {
        #expect(try await post(server, "/v3/auth/" + path, body).status == 200)
      }
      let body = #"{"key":"YQ=="}"#
      let unknown = try await post(server, "/v3/kv/range", body)
      #expect(unknown.status == 400)
      #expect(unknown.text.contains("etcdserver: user name is empty"))
      let signedIn = try await post(
        server, "/v3/auth/authenticate", #"{"name":"root","password":"x"}"#)
      let token = try #require(try JSONValue.parse(Bytes(signedIn.text))["token"]?.string)
      for field in ["Authorization: \(token)", "grpc-metadata-token: \(token)"] {
        #expect(try await post(server, "/v3/kv/range", body, [field]).status == 200)
      }
      let bad = try await post(server, "/v3/kv/range", body, ["Authorization: nonsense"])
      #expect(bad.status == 401)
      #expect(bad.text.contains(#""code":16"#))
      let binary = try await post(server, "/v3/kv/range", body, ["Grpc-Metadata-X-Bin: *"])
      #expect(binary.status == 400)
      let timeout = try await post(server, "/v3/kv/range", body, ["Grpc-Timeout: soon"])
      #expect(timeout.text.contains("invalid grpc-timeout: soon"))
    }
  }

  /// Calls by way of the gateway count as calls.
  @Test func callsAreCounted() async throws {
    try await withServer { server in
      _ = try await post(
        server, "/v3/kv/range", #"{"key":"YQ=="}"#, ["Grpc-Metadata-Client-Api-Version: 3.5"])
      _ = try await post(server, "/v3/lease/keepalive", "")
      let metrics = try await server.ask("GET", "/metrics").text
      for line in [
        #"grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#,
        #"grpc_server_started_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"} 1"#,
        #"etcd_server_client_requests_total{client_api_version="3.5",type="unary"} 1"#,
      ] {
        #expect(metrics.contains(line), "\(line)")
      }
    }
  }

  /// A request whose client does not wait for it.
  @Test func aDeadlineEndsACall() async throws {
    try await withServer { server in
      let lock = #"{"name":"bA=="}"#
      #expect(try await post(server, "/v3/lock/lock", lock).status == 200)
      let late = try await post(server, "/v3/lock/lock", lock, ["Grpc-Timeout: 100m"])
      #expect(late.status == 504)
      #expect(late.text.contains(#""code":4"#))
      try await server.awaitKeys(1)
    }
  }

  /// Slow calls are in the log, by whichever way they came; quick ones are not.
  @Test func slowCallsAreLogged() async throws {
    try await withServer { server in
      let lock = #"{"name":"bA=="}"#
      #expect(try await post(server, "/v3/lock/lock", lock).status == 200)
      #expect(!server.messages.contains("request stats"))
      _ = try await post(server, "/v3/lock/lock", lock, ["Grpc-Timeout: 400m"])
      try await server.waitFor("request stats")
      let request = V3lockpb.LockRequest(name: "l").encoded()
      let path = V3lockpb.LockService.lock.path
      await #expect(throws: (any Error).self) {
        try await server.call(path, request, timeout: .milliseconds(500))
      }
      for _ in 0..<1_000 where server.messages.count(where: { $0 == "request stats" }) < 2 {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(server.messages.count { $0 == "request stats" } == 2)
    }
  }

  /// More than a loop converts itself.
  @Test func largeValuesPassThrough() async throws {
    try await withServer { server in
      let value = Data((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0) }).base64EncodedString()
      let put = try await post(server, "/v3/kv/put", #"{"key":"YQ==","value":"\#(value)"}"#)
      #expect(put.status == 200)
      let range = try await post(server, "/v3/kv/range", #"{"key":"YQ=="}"#)
      #expect(range.text.contains(value))
      let stream = try await server.ask("POST", "/v3/maintenance/snapshot", Self.fields, body: "{}")
      // Each in a chunk of its own.
      let lines = stream.text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("{") }
      #expect(lines.count > 30)
      for line in lines {
        #expect(line.hasPrefix(#"{"result":{"#) && line.hasSuffix("}}"))
      }
    }
  }

  // MARK: Bad input

  @Test func whatIsTooLargeIsRefused() async throws {
    try await withServer { server in
      let value = String(repeating: "A", count: 2_800_000)
      let large = try await post(server, "/v3/kv/put", #"{"key":"YQ==","value":"\#(value)"}"#)
      #expect(large.status == 429)
      #expect(large.text.contains("grpc: received message larger than max"))
      let request = try await post(
        server, "/v3/kv/put", #"{"key":"YQ==","value":"\#(value.prefix(2_200_000))"}"#)
      #expect(request.status == 400)
      #expect(request.text.contains("etcdserver: request is too large"))
      // Announced, and never sent.
      let announced = try await server.ask(
        "POST", "/v3/kv/put", Self.fields + ["Content-Length: 1073741824"])
      #expect(announced.status == 429)
    }
  }

  @Test func depthAndEncodingAreBounded() async throws {
    try await withServer { server in
      for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
        let nested =
          String(repeating: open, count: 100_000) + "1" + String(repeating: close, count: 100_000)
        for (path, status) in [("/v3/kv/range", 400), ("/v3/watch", 400)] {
          let answer = try await post(server, path, nested)
          #expect(answer.status == status)
          #expect(answer.text.contains("nested too deep"))
        }
      }
      let answer = try await post(server, "/v3/auth/user/get", #"{"name":"\ud800"}"#)
      #expect(answer.status == 400)
    }
  }

  // MARK: Websockets

  private static let upgrade = [
    "Host: localhost", "Connection: keep-alive, Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ]

  @Test func handshakes() async throws {
    #expect(
      WebSocketHandshake.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    try await withServer { server in
      let old = Self.upgrade.map { $0.replacing("Version: 13", with: "Version: 8") }
      let refused = try await server.ask("GET", "/v3/watch", old)
      #expect(refused.status == 400)
      #expect(refused.field("Sec-WebSocket-Version") == "13")
      #expect(try await server.ask("POST", "/v3/watch", Self.upgrade).status == 405)
    }
    func inner(_ headers: HTTPHeaders) -> String? {
      WebSocketHandshake.inner(
        HTTPRequestHead(method: "GET", target: "/v3/watch", headers: headers))["authorization"]
    }
    #expect(inner(["Sec-WebSocket-Protocol": "Bearer, T.1"]) == "T.1")
    #expect(inner(["Sec-WebSocket-Protocol": "Bearer,T.1"]) == "T.1")
    // A browser sends it for the pages of anybody: etcd refuses it with this word in front.
    #expect(inner(["Cookie": "a=b; token=T.1"]) == "Bearer T.1")
    #expect(inner(["Sec-WebSocket-Protocol": "chat"]) == "")
    #expect(inner(["Authorization": "T.1"]) == nil)
  }
}
