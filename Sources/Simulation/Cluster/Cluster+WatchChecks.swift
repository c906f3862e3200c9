import Bytes
import Checkers
import EtcdAPI
import MVCC
import Member
import Protobuf
import Raft
import Watch

/// Checks:
/// 1. Who watches all keys is told of every revision once, in order, whichever member it goes to, but for
///    what was compacted when it came; who watches one is told of that key's changes among them.
/// 2. A revision is never split, and all who see it see the same.
/// 3. Nobody is cancelled for a compaction that took nothing of what it was to see.
/// 4. Progress never overtakes events.
/// 5. When all is well again, everybody has seen everything that it does not filter.
/// 6. What an event says of the time before it, the pair that was there or that there was none, is what
///    earlier events have told.
extension Cluster {
  func receive(_ message: WatchMessage, from id: MemberID) {
    guard
      let number = watchWorld.clients.firstIndex(where: {
        $0.connection?.member == id && $0.connection?.stream == message.stream
      })
    else { return }
    let (head, events) = message.encoded(header: .init(revision: message.revision))
    let response: Etcdserverpb.WatchResponse
    do throws(ProtobufError) {
      response = try .decode(Bytes(Array(head) + Array(events)))
    } catch { return problems.append("a watcher was sent a malformed response: \(error)") }
    watchWorld.clients[number].connection?.queued += head.count + events.count
    note(UInt64(bitPattern: message.revision) ^ UInt64(response.events.count))
    guard options.mutant != nil else { return hear(response, number, from: id) }
    for response in faulty(response, for: number, from: id) { hear(response, number, from: id) }
  }

  /// A client reads a response.
  func hear(_ response: Etcdserverpb.WatchResponse, _ number: Int, from id: MemberID) {
    let revision = response.header?.revision ?? 0
    trace("watcher \(number) at \(name(id)) from \(watchWorld.clients[number].next): \(response)")
    if response.created {
      watchWorld.clients[number].connection?.isCreated = true
      if watchWorld.clients[number].next == 0 {
        watchWorld.clients[number].begin(at: revision + 1)
      }
    } else if response.canceled {
      cancelled(number, response)
    } else if response.events.isEmpty {
      checkProgress(number, to: revision)
    } else {
      take(response.events, number, from: id)
      watchWorld.clients[number].heard = response
      watchWorld.clients[number].next = revision + 1
    }
  }

  private func cancelled(_ number: Int, _ response: Etcdserverpb.WatchResponse) {
    let client = watchWorld.clients[number]
    let compacted = response.compactRevision
    guard client.next < compacted else {
      problems.append("watcher \(number) was cancelled at \(client.next) for \(response)")
      return
    }
    counters.watchesCompacted += 1
    watchWorld.clients[number].begin(at: compacted)
    disconnect(number)
  }

  private func checkProgress(_ number: Int, to revision: Int64) {
    let client = watchWorld.clients[number]
    if client.key == nil, revision >= client.next {
      problems.append(
        "watcher \(number) of all keys hears of progress to \(revision) and has seen \(client.next - 1)"
      )
    }
    watchWorld.clients[number].next = max(client.next, revision + 1)
  }

  private func take(_ events: [Mvccpb.Event], _ number: Int, from id: MemberID) {
    counters.watchEvents += events.count
    let client = watchWorld.clients[number]
    notePrevious(of: events, number, from: id)
    let seesAll = client.key == nil
    let (found, wrong) = watchWorld.ledger.tell(
      events.map { ($0.kv?.modRevision ?? 0, WatchWorld.Event($0)) }, next: client.next,
      seesAll: seesAll, isDense: seesAll, ("watcher \(number)", name(id)))
    problems += wrong
    watchWorld.clients[number].seen.merge(found) { $1 }
  }

  private func notePrevious(of events: [Mvccpb.Event], _ number: Int, from id: MemberID) {
    guard watchWorld.clients[number].connection?.asksPrevious == true,
      let compacted = nodes[id]?.member?.core.status.compactRevision
    else { return }
    for event in events {
      guard let pair = event.kv else { continue }
      watchWorld.clients[number].previous.append(
        WatchWorld.Previous(
          revision: pair.modRevision, key: pair.key.string, value: event.prevKv?.value,
          isExcused: event.prevKv == nil && pair.modRevision - 1 < compacted))
    }
  }

  /// Whether everybody has seen everything.
  private func haveSeenAll(_ revision: Int64) -> Bool {
    watchWorld.clients.allSatisfy { client in
      client.connection?.isCreated == true && client.next > revision
        || client.key != nil && client.connection?.isCreated == true
          && nodes[client.connection!.member]?.member?.hub.behind == 0
          && nodes[client.connection!.member]?.member?.hub.revision ?? 0 >= revision
    }
  }

  func checkWatchers() {
    let revision = ids.compactMap { nodes[$0]!.member?.core.status.revision }.max() ?? 0
    // Who watches in a life may have gone away for long.
    let ticks = options.healTicks + (options.life == nil ? 0 : 8 * LifeOptions.restPace)
    work(until: now + ticks * Self.tickUnits) { self.haveSeenAll(revision) }
    guard problems.isEmpty else { return }
    guard haveSeenAll(revision) else {
      let late = watchWorld.clients.map { "\($0.key ?? "all"): \($0.next)" }
      problems.append("not all watchers have seen revision \(revision): \(late)")
      return
    }
    for (number, client) in watchWorld.clients.enumerated() {
      guard let key = client.key else { continue }
      // Of what lies before its first revision, or was compacted when it came, it need not know.
      let missing = watchWorld.ledger.missing(
        client.seen, upTo: revision, wants: { $0.key == key && client.wants($0) },
        isExcused: client.mayHaveMissed)
      for (at, told, wanted) in missing {
        problems.append("watcher \(number) of \(key) was told \(told) of \(at), not \(wanted)")
      }
    }
    checkContents()
  }

  /// What events say of what was there before must be what earlier ones have told.
  private func checkContents() {
    // What was there before each revision under the keys that it changes, as far as the events before it tell.
    var before: [Int64: [String: Bytes?]] = [:]
    var known: [String: Bytes?] = [:]
    var last: Int64 = 0
    for (revision, events) in watchWorld.ledger.changes.sorted(by: { $0.key < $1.key }) {
      // Behind a gap nothing is known.
      if revision != last + 1 { known = [:] }
      last = revision
      for event in events { before[revision, default: [:]][event.key] = known[event.key] }
      for event in events {
        if let there = known[event.key], event.isCreation != (event.value != nil && there == nil) {
          problems.append("revision \(revision) says \(event), and before it was \(there as Any)")
        }
        known[event.key] = .some(event.value)
      }
    }
    for (number, client) in watchWorld.clients.enumerated() {
      for told in client.previous where !told.isExcused {
        guard let there = before[told.revision]?[told.key],
          let events = watchWorld.ledger.changes[told.revision]?.filter({ $0.key == told.key })
        else { continue }
        // Of what a transaction deleted before nothing is told.
        guard events.count == 1, there != told.value else { continue }
        problems.append(
          "watcher \(number) was told that \(told.key) was \(told.value as Any) before "
            + "\(told.revision), where it was \(there as Any)")
      }
    }
  }
}

extension WatchWorld.Client {
  fileprivate func wants(_ event: WatchWorld.Event) -> Bool {
    !filters.contains(event.value == nil ? .nodelete : .noput)
  }

  /// Whether a revision lies before where the client began, or in a gap.
  fileprivate func mayHaveMissed(_ revision: Int64) -> Bool {
    revision < first || gaps.contains { $0.contains(revision) }
  }
}
