import Bytes
import EtcdAPI
import Member
import Protobuf
import Raft
import Watch

/// What faults that are built into the watch have to remember.
struct WatchFaults {
  /// The last events that somebody was sent by a member.
  var events: [MemberID: [Mvccpb.Event]] = [:]
  /// The newest revision when a member started again.
  var restarted: [MemberID: Int64] = [:]
  /// Clients of members that got a snapshot, until they hear something.
  var repeats: Set<Int> = []
}

/// Faults that Go etcd's watch had once, made where messages leave a member (`SimulationOptions.Mutant`).
extension Cluster {
  /// What a client hears instead of a response.
  func faulty(
    _ response: Etcdserverpb.WatchResponse, for number: Int, from id: MemberID
  ) -> [Etcdserverpb.WatchResponse] {
    guard let member = nodes[id]?.member else { return [response] }
    let compacted = member.core.status.compactRevision
    var response = response
    defer { if !response.events.isEmpty { watchWorld.faults.events[id] = response.events } }
    let said = response.events.count
    switch options.mutant {
    case .losesWatchMessages: return chance(oneIn: 40) ? [] : [response]
    case .losesCompactedDeletions:
      response.events.removeAll { $0.isDeletion(at: compacted) }
    case .losesLoneTombstones:
      let restarted = watchWorld.faults.restarted[id] ?? 0
      if restarted >= compacted { response.events.removeAll { $0.isDeletion(at: compacted) } }
    case .repeatsAfterInstall:
      guard watchWorld.faults.repeats.remove(number) != nil,
        let last = watchWorld.clients[number].heard
      else { break }
      return [last, response]
    case .skipsCompacted where response.compactRevision > 0:
      goOn(number, at: response.compactRevision, id)
      return []
    case .sharesEventBuffers where !response.events.isEmpty && chance(oneIn: 20):
      response.events.insert(contentsOf: watchWorld.faults.events[id] ?? [], at: 0)
    case .mistakesPrevious:
      for place in response.events.indices where response.events[place].prevKv != nil {
        response.events[place].prevKv = response.events[place].kv
      }
    case .mistakesCreation:
      for place in response.events.indices {
        guard let pair = response.events[place].kv, pair.version > 1 else { continue }
        response.events[place].kv?.version = 1
        response.events[place].kv?.createRevision = pair.modRevision
      }
    default: break
    }
    return said > 0 && response.events.isEmpty ? [] : [response]
  }

  /// Tells a client of progress as far as the store has come, whatever waits for it.
  func hastenProgress(_ number: Int, _ connection: WatchWorld.Connection) {
    guard let member = nodes[connection.member]?.member else { return }
    hear(
      Etcdserverpb.WatchResponse(
        header: .init(revision: member.core.status.revision), watchID: WatchMessage.nobody),
      number, from: connection.member)
  }

  /// Watches on behind a compaction, and says nothing.
  private func goOn(_ number: Int, at revision: Int64, _ id: MemberID) {
    let client = watchWorld.clients[number]
    guard let connection = client.connection, let member = nodes[id]?.member else { return }
    var request = Etcdserverpb.WatchCreateRequest(
      startRevision: revision, filters: client.filters, prevKv: connection.asksPrevious)
    if let key = client.key { request.key = Bytes(key) } else { request.rangeEnd = Bytes([0]) }
    let now = member.core.status.revision
    watch(at: id) { $0.create(request, on: connection.stream, now: now, &$1) }
  }
}

extension Mvccpb.Event {
  fileprivate func isDeletion(at revision: Int64) -> Bool {
    type == .delete && kv?.modRevision == revision
  }
}
