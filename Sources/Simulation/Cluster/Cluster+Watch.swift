import Bytes
import EtcdAPI
import MVCC
import Member
import Protobuf
import Raft
import Watch

/// Clients that watch, and what they were told.
struct WatchWorld {
  /// An event as a client sees it.
  struct Event: Equatable, CustomStringConvertible {
    let key: String
    /// `nil` = deleted.
    let value: Bytes?
    var description: String { "\(key)=\(value?.string ?? "deleted")" }
  }

  /// One client: it watches all keys or one, at a member, and goes to another one when it likes.
  struct Client {
    let key: String?
    /// First revision that it has not seen; 0 = it has not begun.
    var next: Int64 = 0
    var connection: Connection?
    /// What it was told, by revision.
    var seen: [Int64: [Event]] = [:]
    /// First revisions of runs without a gap.
    var begins: [Int64] = []
    /// Whether it reads nothing for a while.
    var isStalled = false
  }

  struct Connection {
    let member: MemberID
    let stream: WatchStreamID
    var isCreated = false
    /// Bytes that the client has not read.
    var queued = 0
    /// Whether the hub waits to hear of room.
    var isAwaited = false
  }

  var clients: [Client] = []
  /// Scans under way: asked for, and found.
  var scans: [MemberID: HistoryScan] = [:]
  var found: [MemberID: HistoryScan.Result] = [:]
  /// What each revision changed, as the first who saw all of it was told.
  var changes: [Int64: [Event]] = [:]
}

/// Checks:
/// 1. Who watches all keys is told of every revision once, in order, whichever member it goes to, but for
///    what was compacted when it came; who watches one is told of that key's changes among them.
/// 2. A revision is never split, and all who see it see the same.
/// 3. Nobody is cancelled for a compaction that took nothing of what it was to see.
/// 4. Progress never overtakes events.
/// 5. When all is well again, everybody has seen everything.
extension Cluster {
  // MARK: Clients

  func stepWatch(_ number: Int) {
    defer { queue.add(.watch(client: number), at: now + random.below(8 * Self.tickUnits)) }
    let client = watchWorld.clients[number]
    guard let connection = client.connection else { return connect(number) }
    // A member that was removed hears of nothing more.
    guard ids.contains(connection.member) else { return disconnect(number) }
    if faultsAllowed, chance(oneIn: 8) { return disconnect(number) }
    if faultsAllowed, chance(oneIn: 4) { watchWorld.clients[number].isStalled.toggle() }
    if !faultsAllowed { watchWorld.clients[number].isStalled = false }
    if chance(oneIn: 5) {
      watch(at: connection.member) { $0.requestProgress(on: connection.stream, &$1) }
    }
    read(number)
  }

  private func connect(_ number: Int) {
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]!.member, !member.core.status.isLearner else { return }
    let client = watchWorld.clients[number]
    let stream = member.hub.open()
    watchWorld.clients[number].connection = WatchWorld.Connection(member: id, stream: stream)
    var request = Etcdserverpb.WatchCreateRequest(
      startRevision: client.next, prevKv: chance(oneIn: 2))
    if let key = client.key { request.key = Bytes(key) } else { request.rangeEnd = Bytes([0]) }
    let revision = member.core.status.revision
    watch(at: id) { $0.create(request, on: stream, now: revision, &$1) }
  }

  private func disconnect(_ number: Int) {
    guard let connection = watchWorld.clients[number].connection else { return }
    watchWorld.clients[number].connection = nil
    guard let member = nodes[connection.member]!.member else { return }
    member.hub.close(connection.stream)
    while member.hub.forget(atMost: 1) {}
  }

  /// The process is gone, and its connections with it.
  func loseWatchers(of id: MemberID) {
    watchWorld.scans[id] = nil
    watchWorld.found[id] = nil
    for number in watchWorld.clients.indices
    where watchWorld.clients[number].connection?.member == id {
      watchWorld.clients[number].connection = nil
    }
  }

  /// The client reads what waits on its stream.
  private func read(_ number: Int) {
    guard !watchWorld.clients[number].isStalled,
      let connection = watchWorld.clients[number].connection
    else { return }
    watchWorld.clients[number].connection?.queued = 0
    guard connection.isAwaited else { return }
    watchWorld.clients[number].connection?.isAwaited = false
    watch(at: connection.member) { self.noteRoom(number, &$0, &$1) }
  }

  // MARK: Members

  /// Changes a member's hub and carries out what it wants.
  func watch(at id: MemberID, _ change: (inout WatchHub, inout WatchOutput) -> Void) {
    guard let member = nodes[id]?.member else { return }
    var out = WatchOutput()
    change(&member.hub, &out)
    while true {
      if let scan = out.scan {
        watchWorld.scans[id] = scan
        queue.add(.scan(id, life: nodes[id]!.life), at: now + random.below(2 * Self.tickUnits))
      }
      let messages = out.messages
      out = WatchOutput()
      guard !messages.isEmpty else { break }
      for message in messages { receive(message, from: id) }
      for number in watchWorld.clients.indices
      where watchWorld.clients[number].connection?.member == id {
        noteRoom(number, &member.hub, &out)
      }
    }
    if let problem = member.hub.checkInvariants() {
      problems.append("the watchers of \(name(id)): \(problem)")
    }
  }

  private func noteRoom(_ number: Int, _ hub: inout WatchHub, _ out: inout WatchOutput) {
    guard var connection = watchWorld.clients[number].connection else { return }
    if !watchWorld.clients[number].isStalled { connection.queued = 0 }
    connection.isAwaited = hub.note(queued: connection.queued, on: connection.stream, &out)
    watchWorld.clients[number].connection = connection
  }

  /// The thread that reads history gets a state of the store.
  func scan(_ id: MemberID) {
    guard let member = nodes[id]?.member, let scan = watchWorld.scans.removeValue(forKey: id) else {
      return
    }
    watchWorld.found[id] = scan.run(on: member.core.snapshot())
    queue.add(.scanned(id, life: nodes[id]!.life), at: now + random.below(2 * Self.tickUnits))
  }

  func scanned(_ id: MemberID) {
    guard let found = watchWorld.found.removeValue(forKey: id) else { return }
    watch(at: id) { $0.scanned(found, &$1) }
  }

  // MARK: Checks

  private func receive(_ message: WatchMessage, from id: MemberID) {
    guard
      let number = watchWorld.clients.firstIndex(where: {
        $0.connection?.member == id && $0.connection?.stream == message.stream
      })
    else { return }
    if options.mutant == .losesWatchMessages, chance(oneIn: 40) { return }
    let (head, events) = message.encoded(header: .init(revision: message.revision))
    let response: Etcdserverpb.WatchResponse
    do throws(ProtobufError) {
      response = try .decode(Bytes(Array(head) + Array(events)))
    } catch { return problems.append("a watcher was sent a malformed response: \(error)") }
    watchWorld.clients[number].connection?.queued += head.count + events.count
    note(UInt64(bitPattern: message.revision) ^ UInt64(response.events.count))
    let revision = response.header?.revision ?? 0
    trace("watcher \(number) at \(name(id)) from \(watchWorld.clients[number].next): \(response)")
    if response.created {
      watchWorld.clients[number].connection?.isCreated = true
      if watchWorld.clients[number].next == 0 {
        watchWorld.clients[number].next = revision + 1
        watchWorld.clients[number].begins = [revision + 1]
      }
    } else if response.canceled {
      cancelled(number, response)
    } else if response.events.isEmpty {
      checkProgress(number, to: revision)
    } else {
      take(response.events, number, from: id)
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
    watchWorld.clients[number].next = compacted
    watchWorld.clients[number].begins.append(compacted)
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
    var found: [Int64: [WatchWorld.Event]] = [:]
    var last = client.next - 1
    for event in events {
      let pair = event.kv ?? .init()
      if pair.modRevision < last || pair.modRevision < client.next {
        problems.append("watcher \(number) at \(name(id)) saw \(pair.modRevision) after \(last)")
      }
      if client.key == nil, pair.modRevision > last + 1 {
        problems.append("watcher \(number) at \(name(id)) saw \(pair.modRevision) after \(last)")
      }
      last = pair.modRevision
      found[pair.modRevision, default: []].append(
        WatchWorld.Event(key: pair.key.string, value: event.type == .delete ? nil : pair.value))
    }
    for (revision, changes) in found.sorted(by: { $0.key < $1.key }) {
      watchWorld.clients[number].seen[revision] = changes
      guard client.key == nil else { continue }
      if let known = watchWorld.changes[revision], known != changes {
        problems.append("revision \(revision) is \(known), and at \(name(id)) \(changes)")
      }
      watchWorld.changes[revision] = changes
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
    work(until: now + options.healTicks * Self.tickUnits) { self.haveSeenAll(revision) }
    guard problems.isEmpty else { return }
    guard haveSeenAll(revision) else {
      let late = watchWorld.clients.map { "\($0.key ?? "all"): \($0.next)" }
      problems.append("not all watchers have seen revision \(revision): \(late)")
      return
    }
    for (number, client) in watchWorld.clients.enumerated() {
      guard let key = client.key else { continue }
      // Of what lies before its first revision, or was compacted when it came, it need not know.
      for (at, changes) in watchWorld.changes.sorted(by: { $0.key < $1.key }) {
        let wanted = changes.filter { $0.key == key }
        let told = client.seen[at] ?? []
        guard told != wanted else { continue }
        let isExcused = told.isEmpty && client.mayHaveMissed(at)
        if !isExcused {
          problems.append("watcher \(number) of \(key) was told \(told) of \(at), not \(wanted)")
        }
      }
    }
  }
}

extension WatchWorld.Client {
  /// Whether a revision lies where the client was not watching: before it began, or before where it began
  /// anew and behind what it had seen by then.
  fileprivate func mayHaveMissed(_ revision: Int64) -> Bool {
    guard let first = begins.first, revision >= first else { return true }
    return begins.dropFirst().contains { begin in
      let before = seen.keys.filter { $0 < begin }.max() ?? first - 1
      return revision < begin && revision > before
    }
  }
}
