import Bytes
import Checkers
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
    /// Whether it says that the key was not there.
    let isCreation: Bool
    var description: String {
      "\(key)=\(value?.string ?? "deleted")\(isCreation ? ", new" : "")"
    }

    init(_ event: Mvccpb.Event) {
      let pair = event.kv ?? .init()
      key = pair.key.string
      value = event.type == .delete ? nil : pair.value
      isCreation = value != nil && pair.version == 1 && pair.createRevision == pair.modRevision
    }
  }

  /// What an event said that was there before.
  struct Previous {
    let revision: Int64
    let key: String
    let value: Bytes?
    /// Whether it may be gone: compacted.
    let isExcused: Bool
  }

  /// One client: it watches all keys or one, at a member, and goes to another one when it likes.
  struct Client {
    let key: String?
    /// What it does not want to hear of.
    var filters: [Etcdserverpb.WatchCreateRequest.FilterType] = []
    /// First revision that it has not seen; 0 = it has not begun.
    var next: Int64 = 0
    var connection: Connection?
    /// What it was told, by revision.
    var seen: [Int64: [Event]] = [:]
    /// First revision that it had to see; 0 = it has not begun.
    var first: Int64 = 0
    /// What it could not see: compacted before it came.
    var gaps: [Range<Int64>] = []
    /// The last events that it was sent, with their response.
    var heard: Etcdserverpb.WatchResponse?
    /// What it was told of what was there before, where it asked for that.
    var previous: [Previous] = []
    /// Whether it reads nothing for a while, and until when at least.
    var isStalled = false
    var stalledUntil = 0

    /// It has seen everything before a revision that it could see.
    mutating func begin(at revision: Int64) {
      if next == 0 { first = revision }
      if next > 0, next < revision { gaps.append(next..<revision) }
      first = min(first, revision)
      next = revision
    }

    /// Every second one watches all keys; of the others some want no puts, and some no deletions.
    init(number: Int, keys: [String]) {
      key = number % 2 == 0 ? nil : keys[number % keys.count]
      if number % 6 == 3 { filters = [.noput] }
      if number % 6 == 5 { filters = [.nodelete] }
    }
  }

  struct Connection {
    let member: MemberID
    let stream: WatchStreamID
    var isCreated = false
    let asksPrevious: Bool
    /// Bytes that the client has not read.
    var queued = 0
    /// Whether the hub waits to hear of room.
    var isAwaited = false
  }

  var clients: [Client] = []
  /// Scans under way: asked for, and found.
  var scans: [MemberID: HistoryScan] = [:]
  var found: [MemberID: HistoryScan.Result] = [:]
  var ledger = WatchLedger<Event>()
  var faults = WatchFaults()
}

extension Cluster {
  // MARK: Clients

  func stepWatch(_ number: Int) {
    defer {
      let pace = lifeWorld.isResting && faultsAllowed ? LifeOptions.restPace : 1
      queue.add(.watch(client: number), at: now + random.below(8 * pace * Self.tickUnits))
    }
    let client = watchWorld.clients[number]
    guard let connection = client.connection else { return connect(number) }
    // A member that was removed hears of nothing more.
    guard ids.contains(connection.member) else { return disconnect(number) }
    if faultsAllowed, chance(oneIn: 8), !watchesForLife(number) { return disconnect(number) }
    if faultsAllowed, chance(oneIn: 4) { watchWorld.clients[number].isStalled.toggle() }
    if now < watchWorld.clients[number].stalledUntil { watchWorld.clients[number].isStalled = true }
    if !faultsAllowed { watchWorld.clients[number].isStalled = false }
    if chance(oneIn: 5) {
      if options.mutant == .hastensProgress { hastenProgress(number, connection) }
      watch(at: connection.member) { $0.requestProgress(on: connection.stream, &$1) }
    }
    read(number)
  }

  private func connect(_ number: Int) {
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]!.member, !member.core.status.isLearner else { return }
    // Somebody who knows nothing reads all history that there is. The store begins empty, with revision 1.
    let oldest = member.core.status.compactRevision
    if faultsAllowed, oldest > 1, chance(oneIn: 2) { watchWorld.clients[number].begin(at: oldest) }
    let client = watchWorld.clients[number]
    let stream = member.hub.open()
    var request = Etcdserverpb.WatchCreateRequest(
      startRevision: client.next, filters: client.filters, prevKv: chance(oneIn: 2))
    watchWorld.clients[number].connection = WatchWorld.Connection(
      member: id, stream: stream, asksPrevious: request.prevKv)
    if let key = client.key { request.key = Bytes(key) } else { request.rangeEnd = Bytes([0]) }
    let revision = member.core.status.revision
    if options.mutant == .lowersFutureWatches {
      request.startRevision = min(request.startRevision, revision + 1)
    }
    if options.mutant == .forgetsFilters { request.filters = [] }
    watch(at: id) { $0.create(request, on: stream, now: revision, &$1) }
  }

  func disconnect(_ number: Int) {
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
    for number in watchers(of: id) { watchWorld.clients[number].connection = nil }
  }

  /// Clients that are connected to a member.
  func watchers(of id: MemberID) -> [Int] {
    watchWorld.clients.indices.filter { watchWorld.clients[$0].connection?.member == id }
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
      for number in watchers(of: id) { noteRoom(number, &member.hub, &out) }
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
}
