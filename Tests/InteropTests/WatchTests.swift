import Bytes
import Calls
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import Glibc
import HTTP
import Protobuf
import TestSupport
import Testing

/// Watches of real members.
@Suite(.serialized) struct WatchTests {
  private static let path = Etcdserverpb.WatchService.watch.path

  private func connect(_ port: Int, _ loop: EventLoop) async throws -> GRPCClient {
    try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: port), loop: loop)
  }

  private func send(
    _ stream: ClientStream, _ create: Etcdserverpb.WatchCreateRequest
  ) async throws {
    try await stream.send(Etcdserverpb.WatchRequest(requestUnion: .createRequest(create)).encoded())
  }

  private func next(_ stream: ClientStream) async throws -> Etcdserverpb.WatchResponse {
    try .decode(try #require(try await stream.next()))
  }

  private func anonymousBytes(_ pid: Int32) throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
    return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
  }

  /// A client that asks for a member with a leader is told when it is gone; others go on.
  @Test func streamsThatNeedALeaderEndWithoutOne() async throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: 3))
    try cluster.start()
    let (port, others) = (cluster.members[0].clientPort, cluster.members.dropFirst().map(\.pid))
    try await withLoop { loop in
      let client = try await connect(port, loop)
      let needing = try await client.stream(Self.path, metadata: ["hasleader": "true"])
      let other = try await client.stream(Self.path)
      for stream in [needing, other] {
        try await send(stream, .init(key: "k"))
        #expect(try await next(stream).created)
      }
      for pid in others { kill(pid, SIGKILL) }
      let error = await #expect(throws: GRPCStatus.self) { _ = try await needing.next() }
      #expect(error?.code == .unavailable && error?.message == "etcdserver: no leader")
      let range = Etcdserverpb.RangeRequest(key: "k", serializable: true).encoded()
      let refusal = await #expect(throws: GRPCStatus.self) {
        try await client.unary(
          Etcdserverpb.KVService.range.path, range, metadata: ["hasleader": "true"],
          timeout: .seconds(10))
      }
      #expect(refusal?.message == "etcdserver: no leader")
      _ = try await client.unary(
        Etcdserverpb.KVService.range.path, range, timeout: .seconds(10))
      // The other watch is alive: it answers.
      try await send(other, .init(key: "k"))
      #expect(try await next(other).created)
      client.abort()
    }
  }

  /// A client that reads nothing for a while costs no memory and misses nothing.
  @Test func whoDoesNotReadMissesNothing() async throws {
    // Raft keeps few entries, so that what grows is not the log.
    let cluster = Cluster(
      [Binaries.ours],
      extra: [
        "--unsafe-no-fsync", "--snapshot-count", "100", "--experimental-snapshot-catchup-entries",
        "100",
      ])
    try cluster.start()
    let (port, pid) = (cluster.members[0].clientPort, cluster.members[0].pid)
    let count = 3_000
    let value = Bytes(repeatElement(7, count: 20_000))
    try await withLoop { loop in
      var configuration = GRPCClientConfiguration()
      configuration.streamWindowBytes = 65_535
      configuration.connectionWindowBytes = 65_535
      let slow = try await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop,
        configuration: configuration)
      let writer = try await connect(port, loop)
      var streams: [ClientStream] = []
      for _ in 0..<4 {
        let stream = try await slow.stream(Self.path)
        try await send(stream, .init(key: "k", rangeEnd: "l"))
        streams.append(stream)
      }
      #expect(try await next(streams[0]).created)
      let before = try anonymousBytes(pid)
      for number in 0..<count {
        let put = Etcdserverpb.PutRequest(key: Bytes("k\(number % 50)"), value: value)
        _ = try await writer.unary(
          Etcdserverpb.KVService.put.path, put.encoded(), timeout: .seconds(20))
      }
      // 60 MB were written, which four streams would hold four times; pages of files are not counted.
      let growth = try anonymousBytes(pid) - before
      print("growth with streams that are not read: \(growth >> 20) MiB")
      #expect(growth < 32 << 20)
      var last: Int64 = 1
      while last < Int64(count) + 1 {
        for event in try await next(streams[0]).events {
          let revision = event.kv?.modRevision ?? 0
          #expect(revision == last + 1)
          last = revision
        }
      }
      slow.abort()
      writer.abort()
    }
  }

  /// The file's own history is there after a restart.
  @Test func historyOutlivesTheMember() async throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    for number in 1...20 { #expect(cluster.ctl(["put", "k", "v\(number)"]).status == 0) }
    member.kill()
    member.start()
    try member.waitHealthy()
    #expect(cluster.ctl(["put", "k", "last"]).status == 0)
    let port = member.clientPort
    let values = try await withLoop { loop in
      let client = try await connect(port, loop)
      let stream = try await client.stream(Self.path)
      try await send(stream, .init(key: "k", startRevision: 2, prevKv: true))
      var values: [String] = []
      while values.count < 21 {
        for event in try await next(stream).events {
          #expect(event.prevKv?.value.string == values.last)
          values.append(event.kv?.value.string ?? "")
        }
      }
      client.abort()
      return values
    }
    #expect(values == (1...20).map { "v\($0)" } + ["last"])
  }
}
