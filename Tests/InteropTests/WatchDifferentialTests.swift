import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

/// The same random watches on the real server and on ours, over the same writes: every watcher is told the
/// same, event by event.
@Suite(.serialized) struct WatchDifferentialTests {
  static let watches = Int(ProcessInfo.processInfo.environment["WATCHES"] ?? "") ?? 3_000
  private static let watchesInRound = 60

  /// What each watcher of a stream was told.
  final class Transcript: Sendable {
    private struct State {
      var told: [Int64: [String]] = [:]
      var answers = 0
      var problems: [String] = []
      var lastRevision: [Int64: Int64] = [:]
      var fragment: Set<Int64> = []
    }
    private let state = Mutex(State())

    var told: [Int64: [String]] { state.withLock { $0.told } }
    /// Requests that were answered.
    var answers: Int { state.withLock { $0.answers } }
    var problems: [String] { state.withLock { $0.problems } }

    func add(_ response: Etcdserverpb.WatchResponse) {
      state.withLock { state in
        let id = response.watchID
        var lines: [String] = []
        if response.created || response.canceled && response.compactRevision == 0 {
          state.answers += 1
        }
        if response.created {
          lines.append("created at \(response.header?.revision ?? -1)")
          state.lastRevision[id] = nil
        }
        for event in response.events { lines.append(event.json().string) }
        if response.canceled {
          lines.append("canceled \(response.compactRevision) \(response.cancelReason)")
        }
        state.told[id, default: []] += lines
        guard let first = response.events.first?.kv?.modRevision,
          let last = response.events.last?.kv?.modRevision
        else { return }
        if let before = state.lastRevision[id], first <= before {
          state.problems.append("watcher \(id): revision \(first) after \(before)")
        }
        if last > response.header?.revision ?? 0 {
          state.problems.append("watcher \(id): revision \(last) in a header of less")
        }
        state.lastRevision[id] = response.fragment ? nil : last
      }
    }
  }

  /// One stream and what it was told.
  private final class Side: Sendable {
    let stream: ClientStream
    let transcript = Transcript()
    private let reader: Task<Void, Never>

    init(_ client: GRPCClient) async throws {
      stream = try await client.stream(Etcdserverpb.WatchService.watch.path)
      reader = Task { [stream, transcript] in
        while let bytes = try? await stream.next() {
          guard let response = try? Etcdserverpb.WatchResponse.decode(bytes) else { return }
          transcript.add(response)
        }
      }
    }

    func send(_ request: Etcdserverpb.WatchRequest.OneOf_RequestUnion) async throws {
      try await stream.send(Etcdserverpb.WatchRequest(requestUnion: request).encoded())
    }

    func close() async {
      stream.cancel()
      await reader.value
    }
  }

  private struct Requests {
    var base: DifferentialTests.Generator
    var compacted: Int64 = 0

    /// - Parameter named: with chosen names, and nothing that was compacted: Go keeps the names of watchers
    ///   that ended so, and answers when they are cancelled again.
    mutating func create(named: Bool) -> Etcdserverpb.WatchCreateRequest {
      var request = Etcdserverpb.WatchCreateRequest(key: base.key())
      request.rangeEnd = base.end(request.key)
      switch Int.random(in: 0..<10, using: &base.random) {
      case 0...3: break
      // Before the first revision 3.5.1 watches; later versions refuse, as we do (`WatchHubTests`).
      case 4: request.startRevision = max(0, base.someRevision())
      case 5: request.startRevision = base.revision + Int64.random(in: -1...8, using: &base.random)
      default:
        request.startRevision = max(
          1, base.revision - Int64.random(in: 0...60, using: &base.random))
      }
      // Deletions of this very revision are kept since 3.5.17 and not before.
      if compacted > 0, request.startRevision == compacted { request.startRevision += 1 }
      if base.chance(4) { request.filters.append(.noput) }
      if base.chance(4) { request.filters.append(.nodelete) }
      request.prevKv = base.chance(2)
      request.fragment = base.chance(4)
      request.progressNotify = base.chance(4)
      guard named else { return request }
      if base.chance(4) { request.watchID = Int64.random(in: -70 ... -2, using: &base.random) }
      if base.chance(6) { request.watchID = Int64.random(in: 0...70, using: &base.random) }
      if request.startRevision > 0 {
        request.startRevision = max(request.startRevision, compacted + 1)
      }
      return request
    }
  }

  /// Writes the same to both; both are at the same revision afterwards.
  @MainActor private func write(
    _ requests: inout Requests, _ pair: DifferentialTests.Pair
  ) async throws {
    for _ in 0..<Int.random(in: 1...6, using: &requests.base.random) {
      let key = Bytes("k\(Int.random(in: 0..<12, using: &requests.base.random))")
      let (method, request): (MethodDescriptor, Bytes)
      switch Int.random(in: 0..<6, using: &requests.base.random) {
      case 0:
        method = Etcdserverpb.KVService.deleteRange
        request =
          Etcdserverpb.DeleteRangeRequest(key: key, rangeEnd: requests.base.end(key)).encoded()
      case 1:
        method = Etcdserverpb.KVService.txn
        request =
          Etcdserverpb.TxnRequest(success: [
            .init(request: .requestDeleteRange(.init(key: "k0", rangeEnd: "k2"))),
            .init(request: .requestPut(.init(key: key, value: "in a transaction"))),
            .init(request: .requestPut(.init(key: "other", value: key))),
          ]).encoded()
      default:
        method = Etcdserverpb.KVService.put
        let value = Bytes("v\(Int.random(in: 0..<1_000, using: &requests.base.random))")
        request = Etcdserverpb.PutRequest(key: key, value: value).encoded()
      }
      var answers: [String] = []
      for client in pair.clients {
        answers.append(await DifferentialTests.answer(client, method, request))
      }
      #expect(answers[0] == answers[1])
      if let revision = DifferentialTests.revision(in: answers[1]) {
        requests.base.revision = revision
      }
    }
  }

  /// Waits until both sides were told the same.
  private func settle(_ sides: [Side], _ what: String) async throws {
    let end = ContinuousClock.now + .seconds(15)
    while sides[0].transcript.told != sides[1].transcript.told {
      guard ContinuousClock.now < end else {
        let (real, ours) = (sides[0].transcript.told, sides[1].transcript.told)
        let id = Set(real.keys).union(ours.keys).sorted().first { real[$0] != ours[$0] } ?? 0
        Issue.record(
          "\(what): watcher \(id)\n  real: \(real[id] ?? [])\n  ours: \(ours[id] ?? [])")
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(4))
    }
    for side in sides { #expect(side.transcript.problems == []) }
  }

  private func awaitAnswers(_ count: Int, _ sides: [Side]) async throws {
    let end = ContinuousClock.now + .seconds(15)
    while sides.contains(where: { $0.transcript.answers < count }) {
      try #require(ContinuousClock.now < end, "a request is not answered")
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func watchersAreToldTheSame() async throws {
    let official = try #require(Binaries.go35)
    let seed = DifferentialTests.seed()
    print("seed \(seed), \(Self.watches) watches")
    let pair = try await DifferentialTests.Pair(official)
    defer { pair.close() }
    var requests = Requests(base: .init(random: SeededGenerator(state: seed)))
    for round in 0..<max(1, Self.watches / Self.watchesInRound) {
      try await write(&requests, pair)
      if round % 7 == 3 {
        let revision = max(1, requests.base.revision - 40)
        requests.compacted = revision
        for client in pair.clients {
          _ = try? await client.unary(
            Etcdserverpb.KVService.compact.path,
            Etcdserverpb.CompactionRequest(revision: revision, physical: true).encoded(),
            timeout: .seconds(20))
        }
      }
      let sides = [try await Side(pair.clients[0]), try await Side(pair.clients[1])]
      var answers = 0
      for number in 0..<Self.watchesInRound {
        let request = requests.create(named: round % 2 == 0)
        for side in sides { try await side.send(.createRequest(request)) }
        answers += 1
        if number % 10 == 9 {
          // Who begins with the next revision begins with the same one on both.
          try await awaitAnswers(answers, sides)
          try await write(&requests, pair)
        }
      }
      try await awaitAnswers(answers, sides)
      try await write(&requests, pair)
      try await settle(sides, "round \(round)")
      let known = sides[0].transcript.told.filter {
        $0.key >= 0 && $0.value.last?.hasPrefix("canceled") != true
      }.keys.sorted()
      for id in known.prefix(8) + [999] {
        for side in sides { try await side.send(.cancelRequest(.init(watchID: id))) }
      }
      try await awaitAnswers(answers + known.prefix(8).count, sides)
      try await write(&requests, pair)
      try await settle(sides, "round \(round), after cancelling")
      for side in sides { await side.close() }
    }
  }
}
