import Bytes
import Calls
import Concurrency
import EtcdAPI
import Protobuf

/// Follows who leads under a name.
///
/// Not every value that was ever proclaimed is told, but always the newest. What is compacted away
/// meanwhile is passed over, where Go etcd ends.
///
/// - Source: etcd `concurrency.Election.observe`.
struct LeaderObserver: Sendable {
  typealias Tell = (V3electionpb.LeaderResponse) async throws -> Void

  let name: Bytes
  let session: SessionCalls

  /// Tells of leaders until the task is cancelled.
  /// - Throws: what made following impossible, and what `tell` throws.
  func run(_ tell: Tell) async throws -> Never {
    var told: Int64 = 0
    while true {
      try Task.checkCancellation()
      guard let leader = try await current(), var header = leader.header, let kv = leader.kv else {
        continue
      }
      // After a compaction it may be the one told last.
      if kv.modRevision > told {
        told = kv.modRevision
        try await tell(leader)
      }
      header.revision += 1
      try await follow(kv.key, from: header.revision) {
        if let kv = $0.kv { told = kv.modRevision }
        try await tell($0)
      }
    }
  }

  /// Who leads, or the first who does; `nil` when that was compacted away.
  private func current() async throws -> V3electionpb.LeaderResponse? {
    let oldest = Contender.oldest(name)
    let answer = try await session.ask(oldest)
    if let kv = answer.kvs.first { return .init(header: answer.header, kv: kv) }
    let stream = try session.watch([
      .init(
        key: oldest.key, rangeEnd: oldest.rangeEnd,
        startRevision: (answer.header?.revision ?? 0) + 1, filters: [.nodelete])
    ])
    defer { stream.cancel() }
    while let response = try await stream.nextWatchResponse() {
      try Self.check(response)
      if response.canceled { return nil }
      guard let kv = response.events.first?.kv, var header = response.header else { continue }
      header.revision = kv.modRevision
      return .init(header: header, kv: kv)
    }
    return nil
  }

  /// Tells of what is put under a key until it is deleted.
  private func follow(_ key: Bytes, from revision: Int64, _ tell: Tell) async throws {
    let stream = try session.watch([.init(key: key, startRevision: revision)])
    defer { stream.cancel() }
    while let response = try await stream.nextWatchResponse() {
      try Self.check(response)
      if response.canceled { return }
      for event in response.events {
        guard event.type == .put else { return }
        try await tell(.init(header: response.header, kv: event.kv))
      }
    }
  }

  /// - Throws: why a watch was refused; not that its history is gone.
  private static func check(_ response: Etcdserverpb.WatchResponse) throws(GRPCStatus) {
    guard response.canceled, response.compactRevision == 0 else { return }
    throw GRPCStatus(.unknown, response.cancelReason)
  }
}
