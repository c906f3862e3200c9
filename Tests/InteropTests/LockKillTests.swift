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

/// One lock, many clients, and members that are killed: never do two hold it at a time.
@Suite(.serialized) struct LockKillTests {
  private typealias Lock = V3lockpb.LockService
  private typealias Lease = Etcdserverpb.LeaseService

  /// From the revision at which a client was told that it has the lock, to that of its release; `nil` when it
  /// is not known which attempt released it.
  private struct Held: Sendable {
    let client: Int
    let from: Int64
    let to: Int64?
  }

  private final class Worker: Sendable {
    let number: Int
    let ports: [Int]
    let loop: EventLoop
    let end: ContinuousClock.Instant
    let held = Mutex<[Held]>([])

    init(_ number: Int, _ ports: [Int], _ loop: EventLoop, until end: ContinuousClock.Instant) {
      self.number = number
      self.ports = ports
      self.loop = loop
      self.end = end
    }

    /// A call at any member; `nil` when it fails.
    private func call(
      _ method: MethodDescriptor, _ request: some ProtobufMessage, _ timeout: Duration
    ) async -> Bytes? {
      do {
        let client = try await GRPCClient.connect(
          to: .tcp(host: "127.0.0.1", port: ports.randomElement() ?? 0), loop: loop)
        defer { client.abort() }
        return try await client.unary(method.path, request.encoded(), timeout: timeout).message
      } catch { return nil }
    }

    func run() async throws {
      while ContinuousClock.now < end {
        // Each attempt is a session of its own: what is left of one that failed goes with its lease.
        guard
          let granted = await call(
            Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 600), .seconds(3))
        else {
          try await Task.sleep(for: .milliseconds(20))
          continue
        }
        let lease = try Etcdserverpb.LeaseGrantResponse.decode(granted).id
        try await hold(lease)
        for _ in 0..<200 {
          let request = Etcdserverpb.LeaseRevokeRequest(id: lease)
          if await call(Lease.leaseRevoke, request, .seconds(3)) != nil { break }
          let life = Etcdserverpb.LeaseTimeToLiveRequest(id: lease)
          if let left = await call(Lease.leaseTimeToLive, life, .seconds(3)),
            try Etcdserverpb.LeaseTimeToLiveResponse.decode(left).ttl < 0
          {
            break
          }
          try await Task.sleep(for: .milliseconds(20))
        }
      }
    }

    private func hold(_ lease: Int64) async throws {
      let request = V3lockpb.LockRequest(name: "l", lease: lease)
      guard let answer = await call(Lock.lock, request, .seconds(4)) else { return }
      let lock = try V3lockpb.LockResponse.decode(answer)
      try await Task.sleep(for: .milliseconds(Int.random(in: 0...10)))
      let unlock = V3lockpb.UnlockRequest(key: lock.key)
      let released = await call(Lock.unlock, unlock, .seconds(3))
      let to = try released.map { try V3lockpb.UnlockResponse.decode($0).header?.revision ?? 0 }
      held.withLock {
        $0.append(Held(client: number, from: lock.header?.revision ?? 0, to: to))
      }
    }
  }

  @Test @MainActor func neverTwoAtATime() async throws {
    let seconds = Int(ProcessInfo.processInfo.environment["LOCK_SECONDS"] ?? "") ?? 15
    let cluster = Cluster(
      [Binaries.ours, Binaries.ours, Binaries.ours],
      extra: ["--heartbeat-interval", "50", "--election-timeout", "500"])
    try cluster.start()
    let loop = EventLoop(name: "lockers")
    loop.start()
    defer { loop.stop() }
    let end = ContinuousClock.now + .seconds(seconds)
    // Over the peer ports, too.
    let ports = cluster.members.map(\.clientPort) + cluster.members.map(\.peerPort)
    let workers = (0..<8).map { Worker($0, ports, loop, until: end) }
    let tasks = workers.map { worker in Task { try await worker.run() } }
    var kills = 0
    while ContinuousClock.now < end {
      try await Task.sleep(for: .milliseconds(700))
      let victim = cluster.members[Int.random(in: 0..<3)]
      victim.kill()
      kills += 1
      try await Task.sleep(for: .milliseconds(300))
      victim.start()
      try victim.waitHealthy()
    }
    for task in tasks { try await task.value }
    let held = workers.flatMap { worker in worker.held.withLock { $0 } }.sorted {
      ($0.from, $0.to ?? .max) < ($1.from, $1.to ?? .max)
    }
    print("\(held.count) times held, \(kills) kills")
    #expect(held.count > 20)
    #expect(kills > 2)
    for (one, next) in zip(held, held.dropFirst()) {
      guard let to = one.to else { continue }
      #expect(to <= next.from, "\(one) and \(next)")
    }
  }
}
