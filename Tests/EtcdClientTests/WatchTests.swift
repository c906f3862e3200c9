import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf
import Synchronization
import TestSupport
import Testing

@testable import EtcdClient

/// Watches against servers that answer as the test says.
@Suite struct WatchTests {
  private typealias Response = Etcdserverpb.WatchResponse

  private static func events(_ revisions: Int64..., size: Int = 0) -> Bytes {
    Response(
      header: .init(revision: revisions.last ?? 0),
      events: revisions.map {
        Mvccpb.Event(
          kv: .init(key: "k", modRevision: $0, value: Bytes(Array(repeating: 0, count: size))))
      }
    ).encoded()
  }
  private static let created = Response(header: .init(revision: 1), created: true).encoded()

  private static func create(_ message: Bytes?) throws -> Etcdserverpb.WatchCreateRequest {
    let request = try Etcdserverpb.WatchRequest.decode(try #require(message))
    guard case .createRequest(let create) = request.requestUnion else {
      throw GRPCStatus(.invalidArgument, "\(request)")
    }
    return create
  }

  /// Streams break in every way; what is asked for next is what was not seen.
  @Test func aWatchGoesOnWhereItWas() async throws {
    let starts = Starts()
    let taken = Taken()
    let seen = try await withLoop { loop in
      var router = CallRouter()
      router.streaming(Etcdserverpb.WatchService.watch.path) { stream in
        let number = starts.add(
          try Self.create(try await stream.request()).startRevision,
          hasLeader: stream.metadata["hasleader"] == "true")
        if number == 1 { throw GRPCStatus(.unavailable, "etcdserver: no leader") }
        try await stream.send(Self.created)
        switch number {
        case 2:
          try await stream.send(Self.events(2, 3))
          await taken.reach(3)
        case 3: throw GRPCStatus(.internal, "broken")
        case 4:
          try await stream.send(Self.events(3, 4))
          await taken.reach(4)
          return .ok
        case 5: throw GRPCStatus(.cancelled, "going down")
        default:
          try await stream.send(Self.events(5))
          await taken.reach(5)
          throw GRPCStatus(.permissionDenied, "etcdserver: permission denied")
        }
        throw GRPCStatus(.unavailable, "going down")
      }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      defer { client.close() }
      var seen: [Int64] = []
      await #expect(throws: EtcdClientError.refused(.permissionDenied)) {
        for try await update in client.watch("k", .init(requiresLeader: true)) {
          seen += update.events.compactMap { $0.kv?.modRevision }
          taken.set(seen.last ?? 0)
        }
      }
      return seen
    }
    #expect(seen == [2, 3, 4, 5])
    #expect(starts.all == [0, 0, 4, 4, 5, 5])
  }

  /// Who does not read is not sent more than fits into the window.
  @Test func nothingQueuesForWhoDoesNotRead() async throws {
    let sent = Tally()
    let count = 500
    try await withLoop { loop in
      var router = CallRouter()
      router.streaming(Etcdserverpb.WatchService.watch.path) { stream in
        _ = try await stream.request()
        try await stream.send(Self.created)
        for revision in 0..<count {
          try await stream.send(Self.events(Int64(revision) + 2, size: 65_536))
          sent.count("sent")
        }
        _ = try await stream.request()
        return .ok
      }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      defer { client.close() }
      let iterator = client.watch("k").makeAsyncIterator()
      #expect(try await iterator.next()?.events.first?.kv?.modRevision == 2)
      // Until nothing has been sent for a while.
      var before = -1
      while sent["sent"] != before {
        before = sent["sent"]
        try await Task.sleep(for: .milliseconds(200))
      }
      // The window of the stream, a message, and what the server holds ready.
      #expect(before * 65_536 < 3 << 20, "\(before) messages of 64 KiB")
      for revision in 1..<count {
        #expect(try await iterator.next()?.events.first?.kv?.modRevision == Int64(revision) + 2)
      }
    }
    #expect(sent["sent"] == count)
  }

  /// A token that ran out looks like a missing permission in etcd before 3.5.9.
  @Test func aTokenThatRanOutIsReplaced() async throws {
    let tally = Tally()
    try await withLoop { loop in
      var router = CallRouter()
      router.addLogins(valid: { "t2" }, tally)
      router.streaming(Etcdserverpb.WatchService.watch.path) { stream in
        _ = try await stream.request()
        guard stream.metadata["token"] == "t2" else {
          try await stream.send(
            Response(
              watchID: -1, created: true, canceled: true,
              cancelReason: "rpc error: code = PermissionDenied desc = "
                + EtcdError.permissionDenied.message
            ).encoded())
          _ = try await stream.request()
          return .ok
        }
        try await stream.send(Self.created)
        try await stream.send(Self.events(2))
        _ = try await stream.request()
        return .ok
      }
      let client = try EtcdClient(
        EtcdClientConfiguration(
          endpoints: [try serve(loop, router).name],
          credentials: .init(name: "root", password: "pw")))
      defer { client.close() }
      for try await update in client.watch("k") {
        #expect(update.events.count == 1)
        break
      }
    }
    #expect(tally["login"] == 2)
  }
}

extension ServerStream {
  /// The next request; `nil` at the end.
  fileprivate func request() async throws -> Bytes? {
    for try await request in requests { return request }
    return nil
  }
}

/// Revisions that watches began with; all of them want a leader.
private final class Starts: Sendable {
  private let starts = Mutex<[Int64]>([])
  func add(_ start: Int64, hasLeader: Bool) -> Int {
    #expect(hasLeader)
    return starts.withLock { starts in
      starts.append(start)
      return starts.count
    }
  }
  var all: [Int64] { starts.withLock { $0 } }
}

/// How far a watch has come.
private final class Taken: Sendable {
  private let revision = Mutex<Int64>(0)
  func set(_ revision: Int64) { self.revision.withLock { $0 = revision } }
  func reach(_ goal: Int64) async {
    while revision.withLock({ $0 }) < goal { await Task.yield() }
  }
}
