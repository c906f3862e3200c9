import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// KV.RangeStream of 3.7: its parts together are what Range answers.
@Suite(.timeLimit(.minutes(5))) struct RangeStreamTests {
  private typealias KV = Etcdserverpb.KVService

  /// Writes 2,500 keys, each of 40 to 4,000 bytes.
  private func fill(_ server: ServerUnderTest) async throws {
    for first in stride(from: 0, to: 2_500, by: 100) {
      let puts = (first..<first + 100).map { number in
        let value = Bytes(repeatElement(UInt8(number & 0xff), count: 40 + number % 40 * 100))
        return Etcdserverpb.RequestOp(
          request: .requestPut(.init(key: Bytes("k\(10_000 + number)"), value: value)))
      }
      let _: Etcdserverpb.TxnResponse = try await server.ask(
        KV.txn, Etcdserverpb.TxnRequest(success: puts))
    }
  }

  /// The parts of a range, and how it ended.
  private func parts(
    _ server: ServerUnderTest, _ request: Etcdserverpb.RangeRequest
  ) async throws -> ([Etcdserverpb.RangeResponse], GRPCStatus) {
    try await server.stream(KV.rangeStream.path) { stream in
      stream.request(request.encoded())
      stream.endRequests()
      let status = await stream.ended()
      let parts = try stream.messages.map {
        try Etcdserverpb.RangeStreamResponse.decode($0).rangeResponse ?? .init()
      }
      return (parts, status)
    }
  }

  @Test func partsMakeUpTheRange() async throws {
    try await withServer { server in
      try await fill(server)
      let requests: [Etcdserverpb.RangeRequest] = [
        .init(key: "k", rangeEnd: "l"), .init(key: "k", rangeEnd: "l", limit: 1_234),
        .init(key: "k", rangeEnd: "l", keysOnly: true), .init(key: "k", rangeEnd: [0], revision: 9),
        .init(key: "k", rangeEnd: "l", countOnly: true), .init(key: "k10001"), .init(key: "none"),
        .init(key: "k", rangeEnd: "l", sortOrder: .ascend, serializable: true),
        .init(key: "k", rangeEnd: "l", limit: 2_500),
      ]
      for request in requests {
        let whole: Etcdserverpb.RangeResponse = try await server.ask(KV.range, request)
        let (parts, status) = try await parts(server, request)
        #expect(status == .ok)
        var merged = try #require(parts.last)
        merged.kvs = parts.flatMap(\.kvs)
        #expect(merged == whole, "\(request.json())")
        for part in parts.dropLast() {
          #expect(part.header == nil && !part.more && part.count == 0 && !part.kvs.isEmpty)
          #expect(part.encodedSize < 600 << 10)
        }
      }
      #expect(try await parts(server, requests[0]).0.count > 5)
    }
  }

  @Test func whatHasNoPartsIsRefused() async throws {
    let order = GRPCStatus(
      .unimplemented, "RangeStream does not support custom sort orders")
    let filter = GRPCStatus(.unimplemented, "RangeStream does not support revision filters")
    let cases: [(Etcdserverpb.RangeRequest, GRPCStatus)] = [
      (.init(), GRPCStatus(.invalidArgument, "etcdserver: key is not provided")),
      (.init(key: "a", sortOrder: .descend), order),
      (.init(key: "a", sortOrder: .ascend, sortTarget: .mod), order),
      (.init(key: "a", minModRevision: 1), filter),
      (.init(key: "a", maxCreateRevision: -1), filter),
      (.init(key: "a", revision: 1_000), GRPCStatus(.futureRevision)),
    ]
    try await withServer { server in
      for (request, status) in cases {
        let (parts, ended) = try await parts(server, request)
        #expect(ended == status)
        #expect(parts.isEmpty)
      }
      let broken = try await server.stream(KV.rangeStream.path) { stream in
        stream.endRequests()
        return await stream.ended()
      }
      #expect(broken.code == .internal)
    }
  }

  /// A client that takes nothing holds a part or two, and sees the state of its beginning.
  @Test func partsWaitForTheClient() async throws {
    try await withServer { server in
      try await fill(server)
      try await server.stream(KV.rangeStream.path) { stream in
        stream.isStalled = true
        stream.request(Etcdserverpb.RangeRequest(key: "k", rangeEnd: "l").encoded())
        _ = await stream.received(1)
        let _: Etcdserverpb.DeleteRangeResponse = try await server.ask(
          KV.deleteRange, Etcdserverpb.DeleteRangeRequest(key: "k", rangeEnd: "l"))
        #expect(stream.queuedBytes < 1 << 20)
        #expect(stream.isOpen)
        while stream.isOpen {
          stream.drain()
          stream.isStalled = true
          await stream.stalled()
        }
        let last = try Etcdserverpb.RangeStreamResponse.decode(try #require(stream.messages.last))
        #expect(last.rangeResponse?.count == 2_500)
      }
    }
  }
}
