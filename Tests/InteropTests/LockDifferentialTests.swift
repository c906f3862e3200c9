import Bytes
import Calls
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

/// The same locks and elections at the real server and at ours, with clients that wait and that give up:
/// the same keys, and everybody is told the same.
@Suite(.serialized) struct LockDifferentialTests {
  static let steps = Int(ProcessInfo.processInfo.environment["LOCK_STEPS"] ?? "") ?? 1_000

  private typealias Lock = V3lockpb.LockService
  private typealias Election = V3electionpb.ElectionService
  private typealias KV = Etcdserverpb.KVService

  /// Calls of one server that may wait, and what came of them.
  private final class Side: Sendable {
    let client: GRPCClient
    private let ended = Mutex<[Int: String]>([:])
    private let tasks = Mutex<[Int: Task<Void, Never>]>([:])

    init(_ client: GRPCClient) { self.client = client }

    var answers: [Int: String] { ended.withLock { $0 } }

    func start(_ number: Int, _ method: MethodDescriptor, _ request: Bytes) {
      let task = Task { [client, weak self] in
        let answer: String
        do {
          let reply = try await client.unary(method.path, request)
          answer = try Self.text(method, reply.message)
        } catch { answer = "\(error)" }
        self?.ended.withLock { $0[number] = answer }
      }
      tasks.withLock { $0[number] = task }
    }

    func cancel(_ number: Int) { tasks.withLock { $0[number]?.cancel() } }

    func close() async {
      let all = tasks.withLock { $0.values.map { $0 } }
      for task in all { task.cancel() }
      for task in all { await task.value }
    }

    private static func text(_ method: MethodDescriptor, _ reply: Bytes) throws -> String {
      switch method.name {
      case "Lock": try V3lockpb.LockResponse.decode(reply).text { $0.header = nil }
      case "Unlock": try V3lockpb.UnlockResponse.decode(reply).text { $0.header = nil }
      case "Campaign": try V3electionpb.CampaignResponse.decode(reply).text { $0.header = nil }
      case "Proclaim": try V3electionpb.ProclaimResponse.decode(reply).text { $0.header = nil }
      case "Leader": try V3electionpb.LeaderResponse.decode(reply).text { $0.header = nil }
      default: try V3electionpb.ResignResponse.decode(reply).text { $0.header = nil }
      }
    }

    /// All keys, as they are.
    func keys() async throws -> String {
      let request = Etcdserverpb.RangeRequest(key: [0], rangeEnd: [0]).encoded()
      let reply = try await client.unary(KV.range.path, request, timeout: .seconds(20)).message
      var response = try Etcdserverpb.RangeResponse.decode(reply)
      response.header = .init(revision: response.header?.revision ?? 0)
      return response.json().string
    }
  }

  /// A call that has not been answered on either side.
  private struct Waiting {
    let number: Int
    let key: Bytes
  }

  private struct Generator {
    var random: SeededGenerator
    var waiting: [Waiting] = []
    /// Leaders that were told of.
    var leaders: [V3electionpb.LeaderKey] = []

    mutating func lease() -> Int64 { Int64.random(in: 1...5, using: &random) }
    mutating func name() -> Bytes { Bytes(Bool.random(using: &random) ? "a" : "b/c") }
    mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

    /// A request that may wait, unless its session waits already.
    mutating func enter(_ number: Int) -> (MethodDescriptor, Bytes)? {
      let (name, lease) = (name(), chance(20) ? 99 : lease())
      let isElection = Bool.random(using: &random)
      let full = Bytes((isElection ? "e" : "l") + name.string)
      let key = Bytes(full.string + "/\(lease)")
      guard !waiting.contains(where: { $0.key == key }) else { return nil }
      waiting.append(Waiting(number: number, key: key))
      guard isElection else {
        return (Lock.lock, V3lockpb.LockRequest(name: full, lease: lease).encoded())
      }
      let value = Bytes("v\(Int.random(in: 0..<3, using: &random))")
      return (
        Election.campaign,
        V3electionpb.CampaignRequest(name: full, lease: lease, value: value).encoded()
      )
    }

    /// A request that never waits, and takes no key away from a session that does.
    mutating func act() -> (MethodDescriptor, Bytes)? {
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2:
        let key = Bytes("l" + name().string + "/\(lease())")
        guard !waiting.contains(where: { $0.key == key }) else { return nil }
        return (Lock.unlock, V3lockpb.UnlockRequest(key: chance(20) ? Bytes() : key).encoded())
      case 3:
        return (
          Election.leader, V3electionpb.LeaderRequest(name: Bytes("e" + name().string)).encoded()
        )
      case 4, 5:
        let request = V3electionpb.ProclaimRequest(leader: someLeader(), value: "proclaimed")
        return (Election.proclaim, request.encoded())
      default:
        let leader = someLeader()
        guard leader == nil || !waiting.contains(where: { $0.key == leader?.key }) else {
          return nil
        }
        return (Election.resign, V3electionpb.ResignRequest(leader: leader).encoded())
      }
    }

    mutating func someLeader() -> V3electionpb.LeaderKey? {
      if chance(15) { return nil }
      guard var leader = leaders.randomElement(using: &random) else { return nil }
      if chance(8) { leader.rev += 1 }
      if chance(20) { leader.lease = 99 }
      return leader
    }
  }

  /// Waits until both sides have done what was begun, and have the same keys and answers.
  ///
  /// What was begun has come so far when it is answered or has changed a key. A few calls do neither: those that
  /// wait behind themselves, and give up without a key.
  /// - Parameters:
  ///   - number: of the call that was begun; `nil` when one was given up.
  ///   - before: the keys before it.
  /// - Returns: the keys.
  private func settle(
    _ sides: [Side], _ what: String, _ number: Int?, after before: String
  ) async throws -> String {
    let begin = ContinuousClock.now
    let end = begin + .seconds(15)
    while true {
      let states = [
        (sides[0].answers, try await sides[0].keys()),
        (sides[1].answers, try await sides[1].keys()),
      ]
      let isDone =
        states[0].1 != before || number.map { states[0].0[$0] != nil } ?? false
        || ContinuousClock.now - begin > .milliseconds(300)
      if isDone, states[0] == states[1] { return states[1].1 }
      guard ContinuousClock.now < end else {
        let numbers = Set(states[0].0.keys).union(states[1].0.keys).sorted()
        let different = numbers.filter { states[0].0[$0] != states[1].0[$0] }.map {
          "\($0): real \(states[0].0[$0] ?? "waits"), ours \(states[1].0[$0] ?? "waits")"
        }
        Issue.record("\(what):\n\(different)\n  real: \(states[0].1)\n  ours: \(states[1].1)")
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  @MainActor private func withPair(
    _ body: @MainActor ([GRPCClient]) async throws -> Void
  ) async throws {
    let pair = try await DifferentialTests.Pair(try #require(Binaries.go35))
    defer { pair.close() }
    for client in pair.clients {
      for id in 1...5 as ClosedRange<Int64> {
        _ = try await client.unary(
          Etcdserverpb.LeaseService.leaseGrant.path,
          Etcdserverpb.LeaseGrantRequest(ttl: 10_000, id: id).encoded(), timeout: .seconds(20))
      }
    }
    try await body(pair.clients)
  }

  /// Whether the first in its line: its answer is under way then, and whether it gives up before that is chance.
  private static func leads(_ key: Bytes, _ keys: String) throws -> Bool {
    let response = try Etcdserverpb.RangeResponse(json: Bytes(keys))
    let text = key.string
    let line = text.prefix(through: text.lastIndex(of: "/") ?? text.startIndex)
    return response.kvs.filter { $0.key.string.hasPrefix(line) }
      .min { $0.createRevision < $1.createRevision }?.key == key
  }

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor
  func everybodyIsToldTheSame() async throws {
    let seed = DifferentialTests.seed()
    print("seed \(seed), \(Self.steps) steps")
    try await withPair { clients in
      let sides = clients.map { Side($0) }
      var generator = Generator(random: SeededGenerator(state: seed))
      var keys = try await sides[1].keys()
      for number in 0..<Self.steps {
        var what = "step \(number)"
        var begun: Int?
        if generator.chance(6),
          let given = try generator.waiting.filter({ try !Self.leads($0.key, keys) })
            .randomElement(using: &generator.random)
        {
          what += ": \(given.number) gives up"
          for side in sides { side.cancel(given.number) }
        } else if let (method, request) = generator.chance(2)
          ? generator.enter(number) : generator.act()
        {
          what += ": \(method.name) \(request)"
          begun = number
          for side in sides { side.start(number, method, request) }
        } else {
          continue
        }
        keys = try await settle(sides, what, begun, after: keys)
        let answers = sides[1].answers
        generator.waiting.removeAll { answers[$0.number] != nil }
        if let answer = answers[number], answer.contains("\"leader\""),
          let message = try? V3electionpb.CampaignResponse(json: Bytes(answer)),
          let leader = message.leader
        {
          generator.leaders.append(leader)
        }
      }
      #expect(generator.leaders.count > 2)
      #expect(sides[1].answers.count > Self.steps / 3)
      for side in sides { await side.close() }
    }
  }

  /// Observers see the same leaders and values, in the same order.
  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor
  func observersAreToldTheSame() async throws {
    try await withPair { clients in
      var told: [[String]] = []
      for client in clients {
        let stream = try await client.stream(Election.observe.path)
        try await stream.send(V3electionpb.LeaderRequest(name: "n").encoded())
        stream.finish()
        var lines: [String] = []
        for lease in 1...3 as ClosedRange<Int64> {
          let value = Bytes("leader \(lease)")
          let reply = try await client.unary(
            Election.campaign.path,
            V3electionpb.CampaignRequest(name: "n", lease: lease, value: value).encoded(),
            timeout: .seconds(20))
          lines.append(try await Self.next(stream))
          let leader = try V3electionpb.CampaignResponse.decode(reply.message).leader
          for word in ["one", "two"] as [Bytes] {
            _ = try await client.unary(
              Election.proclaim.path,
              V3electionpb.ProclaimRequest(leader: leader, value: word).encoded(),
              timeout: .seconds(20))
            lines.append(try await Self.next(stream))
          }
          _ = try await client.unary(
            Election.resign.path, V3electionpb.ResignRequest(leader: leader).encoded(),
            timeout: .seconds(20))
        }
        stream.cancel()
        told.append(lines)
      }
      #expect(told[0] == told[1])
      #expect(told[1].count == 9)
    }
  }

  private static func next(_ stream: ClientStream) async throws -> String {
    let bytes = try #require(try await stream.next())
    return try V3electionpb.LeaderResponse.decode(bytes).text {
      $0.header = DifferentialTests.strip($0.header)
    }
  }

  /// Whose lease ends while it waits never gets the lock, at either; ours says so at once.
  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor
  func anExpiredSessionIsRefusedByBoth() async throws {
    try await withPair { clients in
      let sides = clients.map { Side($0) }
      func both(_ number: Int, _ method: MethodDescriptor, _ request: some ProtobufMessage) {
        for side in sides { side.start(number, method, request.encoded()) }
      }
      both(1, Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      var keys = try await settle(sides, "the lock is taken", 1, after: "")
      both(2, Lock.lock, V3lockpb.LockRequest(name: "l", lease: 2))
      keys = try await settle(sides, "the second waits", 2, after: keys)
      for client in clients {
        _ = try await client.unary(
          Etcdserverpb.LeaseService.leaseRevoke.path,
          Etcdserverpb.LeaseRevokeRequest(id: 2).encoded(), timeout: .seconds(20))
      }
      both(3, Lock.unlock, V3lockpb.UnlockRequest(key: "l/1"))
      keys = try await settle(sides, "the lock is free", 3, after: keys)
      #expect(sides[1].answers[2]?.hasSuffix("mutex: session is expired") == true)
      for side in sides { await side.close() }
    }
  }

  /// Locks of several clients on a cluster whose leader is killed: never two at a time, as the keys show,
  /// and the line moves on.
  @Test @MainActor func locksOutliveTheirLeader() async throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    let loop = EventLoop(name: "lockers")
    loop.start()
    defer { loop.stop() }
    let survivor = cluster.members[0]
    try cluster.lead(cluster.members[1])
    // Over the peer port, too.
    var clients: [GRPCClient] = []
    for port in [survivor.clientPort, survivor.peerPort] {
      clients.append(
        try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop))
    }
    defer { for client in clients { client.abort() } }
    let holder = try await clients[0].unary(
      Lock.lock.path, V3lockpb.LockRequest(name: "l").encoded(), timeout: .seconds(20))
    let key = try V3lockpb.LockResponse.decode(holder.message).key
    let waiting = clients[1]
    async let second = Self.persistently(
      waiting, Lock.lock.path, V3lockpb.LockRequest(name: "l").encoded())
    let side = Side(clients[0])
    while try await !side.keys().contains("\"count\":\"2\"") {
      try await Task.sleep(for: .milliseconds(5))
    }
    cluster.members[1].kill()
    try survivor.waitHealthy()
    let unlock = V3lockpb.UnlockRequest(key: key).encoded()
    _ = try await Self.persistently(clients[0], Lock.unlock.path, unlock)
    let next = try V3lockpb.LockResponse.decode(try await second.message)
    #expect(next.key != key)
    #expect(next.key.hasPrefix("l/"))
  }

  /// Asks again when the leader changed on the way, which a busy machine may bring about at any time.
  private static func persistently(
    _ client: GRPCClient, _ path: String, _ request: Bytes
  ) async throws -> (message: Bytes, info: GRPCReplyInfo) {
    while true {
      do { return try await client.unary(path, request, timeout: .seconds(60)) } catch {
        guard "\(error)".contains("etcdserver: leader changed") else { throw error }
      }
    }
  }

  /// A holder that renews nothing loses the lock to the next in line when its lease ends.
  @Test @MainActor func aLockEndsWithItsLease() async throws {
    let cluster = Cluster(
      [Binaries.ours], extra: ["--heartbeat-interval", "10", "--election-timeout", "100"])
    try cluster.start()
    let loop = EventLoop(name: "lockers")
    loop.start()
    defer { loop.stop() }
    let client = try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: cluster.members[0].clientPort), loop: loop)
    defer { client.abort() }
    for (id, ttl) in [(1, 1), (2, 1_000)] as [(Int64, Int64)] {
      _ = try await client.unary(
        Etcdserverpb.LeaseService.leaseGrant.path,
        Etcdserverpb.LeaseGrantRequest(ttl: ttl, id: id).encoded(), timeout: .seconds(20))
      let lock = try await client.unary(
        Lock.lock.path, V3lockpb.LockRequest(name: "l", lease: id).encoded(), timeout: .seconds(20))
      #expect(try V3lockpb.LockResponse.decode(lock.message).key == Bytes("l/\(id)"))
    }
  }
}

extension ProtobufMessage {
  /// As JSON, without what must differ.
  fileprivate func text(_ change: (inout Self) -> Void) -> String {
    var message = self
    change(&message)
    return message.json().string
  }
}
