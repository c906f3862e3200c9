import Bytes
import EtcdAPI
import MVCC
import Protobuf
import Raft
import TestSupport

@testable import Watch

/// One random run of a hub over a store, and what its clients check.
struct WatchRun {
  /// What can be built in, to see that a run finds it.
  enum Fault: CaseIterable, Sendable {
    /// A piece of news is lost.
    case losesRows
    /// Rows come again.
    case repeatsRows
    /// The hub believes that it was told of rows that it was not.
    case tellsOfProgressEarly
  }

  /// Something that happened to a key.
  struct Happened {
    let revision: Int64
    let isDeletion: Bool
    let key: Bytes
    let pair: Mvccpb.KeyValue
    let previous: Mvccpb.KeyValue?
  }

  /// A watcher as its client sees it.
  struct Client {
    let request: Etcdserverpb.WatchCreateRequest
    /// First revision of interest.
    var start: Int64
    /// Position in `history` of the next thing to look at.
    var position = 0
    /// Everything up to here was sent, as far as the client was told.
    var seen: Int64 = 0
  }

  private struct Key: Hashable {
    let stream: WatchStreamID
    let watchID: Int64
  }

  var hub: WatchHub
  var fault: Fault?
  private(set) var problem: String?
  private(set) var events = 0
  private var random: SplitMix64
  private var store = MVCCStore(committed: MemoryRows())
  private var committed = MemoryRows()
  private var frozen: FrozenBatch?
  private var told: Int64 = 0
  private var history: [Happened] = []
  private var live: [Bytes: Mvccpb.KeyValue] = [:]
  private var clients: [Key: Client] = [:]
  /// Those that were asked for and not created yet, in order.
  private var asked: [WatchStreamID: [Etcdserverpb.WatchCreateRequest]] = [:]
  private var news: [(NewRows, StoreSnapshot)] = []
  private var streams: [WatchStreamID] = []
  /// Bytes on each stream, and those whose hub waits to hear of room.
  private var queued: [WatchStreamID: Int] = [:]
  private var waits: Set<WatchStreamID> = []
  private var scan: HistoryScan?
  private var found: HistoryScan.Result?

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    var limits = WatchHub.Limits(fragmentBytes: 120)
    limits.streamBytes = 200 + random.below(2_000)
    limits.scanWatchers = 1 + random.below(5)
    limits.scanBytes = 50 + random.below(500)
    limits.scanRows = 3 + random.below(40)
    limits.recentBytes = random.below(600)
    limits.messages = 1 + random.below(12)
    hub = WatchHub(limits: limits, seed: random.next())
    // What was written before anybody watches.
    for _ in 0..<random.below(30) { write() }
    tellRows()
    news = []
  }

  static func response(_ message: WatchMessage) throws -> Etcdserverpb.WatchResponse {
    let (head, events) = message.encoded(header: .init(revision: message.revision))
    return try .decode(Bytes(Array(head) + Array(events)))
  }

  private mutating func fail(_ text: String) { problem = problem ?? text }

  private mutating func pick<T>(_ all: [T]) -> T? {
    all.isEmpty ? nil : all[random.below(all.count)]
  }

  private mutating func key() -> Bytes { Bytes([UInt8(97 + random.below(4))]) }

  // MARK: The store

  private mutating func write() {
    let revision = store.revision + 1
    var writes: [(key: Bytes, value: Bytes?)] = []
    for _ in 0..<(1 + random.below(3)) {
      let key = key()
      guard !writes.contains(where: { $0.key == key }) else { continue }
      let value = Bytes(repeatElement(UInt8(random.below(256)), count: random.below(40)))
      writes.append((key, random.below(4) == 0 ? nil : value))
    }
    let request = Etcdserverpb.TxnRequest(
      success: writes.map { write in
        guard let value = write.value else {
          return .init(request: .requestDeleteRange(.init(key: write.key)))
        }
        return .init(request: .requestPut(.init(key: write.key, value: value)))
      })
    do { _ = try store.apply(request) } catch { return fail("a write failed: \(error)") }
    for (key, value) in writes {
      let before = live[key]
      if let value {
        let pair = Mvccpb.KeyValue(
          key: key, createRevision: before?.createRevision ?? revision, modRevision: revision,
          version: (before?.version ?? 0) + 1, value: value)
        live[key] = pair
        history.append(
          Happened(
            revision: revision, isDeletion: false, key: key, pair: pair, previous: before))
      } else if let before {
        live[key] = nil
        history.append(
          Happened(
            revision: revision, isDeletion: true, key: key,
            pair: .init(key: key, modRevision: revision), previous: before))
      }
    }
  }

  private mutating func tellRows() {
    guard let rows = store.takeNewRows(after: told) else { return }
    told = rows.through
    if fault == .losesRows, random.below(10) == 0 { return }
    news.append((rows, store.snapshot()))
  }

  private mutating func commit() {
    if let batch = frozen {
      committed = committed.applying(batch)
      store.didCommit(committed)
      frozen = nil
    } else {
      tellRows()
      frozen = store.freeze(appliedIndex: LogIndex(UInt64(store.revision)), term: 1)
    }
  }

  // MARK: The hub

  private mutating func perform(_ change: (inout WatchHub, inout WatchOutput) -> Void) {
    var out = WatchOutput()
    change(&hub, &out)
    while true {
      if let wanted = out.scan {
        if scan != nil || found != nil { fail("two scans at a time") }
        scan = wanted
      }
      let messages = out.messages
      out = WatchOutput()
      guard !messages.isEmpty else { return }
      var touched: [WatchStreamID] = []
      for message in messages where streams.contains(message.stream) {
        queued[message.stream, default: 0] += 40
        if case .events(let bytes, _, _) = message.content {
          queued[message.stream, default: 0] += bytes.count
        }
        check(message)
        if !touched.contains(message.stream) { touched.append(message.stream) }
      }
      for id in touched { note(id, &out) }
    }
  }

  private mutating func note(_ id: WatchStreamID, _ out: inout WatchOutput) {
    if hub.note(queued: queued[id] ?? 0, on: id, &out) { waits.insert(id) }
  }

  private mutating func create() {
    guard let stream = pick(streams) else { return }
    var request = Etcdserverpb.WatchCreateRequest(key: key())
    switch random.below(4) {
    case 0: break
    case 1: request.rangeEnd = Bytes([0])
    default: request.rangeEnd = Bytes([request.key[0] + UInt8(random.below(3))])
    }
    switch random.below(5) {
    case 0, 1: break
    case 2: request.startRevision = store.revision + Int64(random.below(6))
    default: request.startRevision = 1 + Int64(random.below(Int(store.revision)))
    }
    if random.below(4) == 0 { request.filters.append(.noput) }
    if random.below(4) == 0 { request.filters.append(.nodelete) }
    request.prevKv = random.below(3) == 0
    request.fragment = random.below(3) == 0
    request.progressNotify = random.below(3) == 0
    if random.below(3) == 0 { request.watchID = Int64(random.below(6)) }
    asked[stream, default: []].append(request)
    let now = store.revision
    perform { $0.create(request, on: stream, now: now, &$1) }
  }

  private mutating func runScan() {
    guard let scan else { return }
    self.scan = nil
    found = scan.run(on: store.snapshot())
  }

  private mutating func deliverNews() {
    guard !news.isEmpty else { return }
    let (rows, state) = news.removeFirst()
    perform { $0.take(rows, state, &$1) }
    if fault == .repeatsRows, random.below(10) == 0 {
      hub.revision = rows.after
      perform { $0.take(rows, state, &$1) }
    }
  }

  mutating func step() throws {
    switch random.below(100) {
    case 0..<30:
      for _ in 0..<(1 + random.below(3)) { write() }
      tellRows()
    case 30..<50: deliverNews()
    case 50..<58: create()
    case 58..<66: runScan()
    case 66..<74:
      if let result = found {
        found = nil
        perform { $0.scanned(result, &$1) }
      }
    case 74..<82: drain(pick(streams))
    case 82..<85: if streams.count < 4 { streams.append(hub.open()) }
    case 85: close()
    case 86..<88: cancel()
    case 88..<91: if let id = pick(streams) { perform { $0.requestProgress(on: id, &$1) } }
    case 91: if let id = pick(streams) { perform { $0.tellProgress(on: id, &$1) } }
    case 92..<97: commit()
    case 97:
      if store.revision > 3, random.below(3) == 0 {
        _ = try? store.compact(to: store.revision - Int64(random.below(20)))
      }
    case 98:
      tellRows()
      _ = store.compactStep(limit: 1_000, dropsMax: 1_000)
    default: _ = hub.forget(atMost: 2)
    }
    if fault == .tellsOfProgressEarly, random.below(20) == 0 { hub.revision = store.revision }
  }

  private mutating func drain(_ id: WatchStreamID?) {
    guard let id, streams.contains(id) else { return }
    queued[id] = 0
    guard waits.remove(id) != nil else { return }
    perform { hub, out in
      if hub.note(queued: 0, on: id, &out) { preconditionFailure("an empty stream is full") }
    }
  }

  private mutating func close() {
    guard let id = pick(streams) else { return }
    streams.removeAll { $0 == id }
    clients = clients.filter { $0.key.stream != id }
    asked[id] = nil
    waits.remove(id)
    hub.close(id)
  }

  private mutating func cancel() {
    guard let id = pick(streams) else { return }
    let now = store.revision
    let watchID = Int64(random.below(6))
    perform { $0.cancel(watchID, on: id, now: now, &$1) }
  }

  /// Everything arrives: then everybody has seen everything.
  mutating func finish() throws {
    tellRows()
    for _ in 0..<10_000 where problem == nil {
      for id in streams { drain(id) }
      if !news.isEmpty {
        deliverNews()
      } else if scan != nil {
        runScan()
      } else if let result = found {
        found = nil
        perform { $0.scanned(result, &$1) }
      } else if hub.behind == 0 {
        break
      }
    }
    if hub.behind > 0 { fail("\(hub.behind) watchers never catch up") }
    for (key, client) in clients where problem == nil {
      if let missing = next(client), missing.revision > 0 {
        fail("watcher \(key.watchID) never saw revision \(missing.revision)")
      }
    }
  }

  // MARK: The clients

  private func wants(_ client: Client, _ event: Happened) -> Bool {
    event.revision >= client.start
      && !client.request.filters.contains(event.isDeletion ? .nodelete : .noput)
      && KeyInterval(key: client.request.key, rangeEnd: client.request.rangeEnd)
        .contains(event.key)
  }

  /// What a client has to be told next.
  private func next(_ client: Client) -> Happened? {
    history[client.position...].first { wants(client, $0) }
  }

  private mutating func check(_ message: WatchMessage) {
    let response: Etcdserverpb.WatchResponse
    do { response = try Self.response(message) } catch { return fail("malformed: \(error)") }
    let key = Key(stream: message.stream, watchID: response.watchID)
    if response.created {
      guard let request = asked[message.stream]?.first else { return fail("nobody asked") }
      asked[message.stream]?.removeFirst()
      guard !response.canceled else { return }
      guard clients[key] == nil else { return fail("watcher \(key.watchID) exists") }
      let now = response.header?.revision ?? 0
      clients[key] = Client(
        request: request, start: request.startRevision == 0 ? now + 1 : request.startRevision)
      return
    }
    if response.watchID == WatchMessage.nobody {
      let revision = response.header?.revision ?? 0
      for (key, client) in clients where key.stream == message.stream {
        checkProgress(client, revision)
      }
      return
    }
    guard var client = clients[key] else { return fail("no watcher \(key.watchID)") }
    if response.canceled {
      clients[key] = nil
      // As it was asked for.
      if response.compactRevision == 0 { return }
      let next = Swift.max(client.start, client.seen + 1)
      if next >= response.compactRevision {
        fail("cancelled for a compaction at \(response.compactRevision), next \(next)")
      }
      return
    }
    client.seen = Swift.max(client.seen, response.header?.revision ?? 0)
    defer { clients[key] = client }
    if response.events.isEmpty { return checkProgress(client, response.header?.revision ?? 0) }
    for event in response.events { check(event, &client) }
    let last = response.events.last?.kv?.modRevision ?? 0
    if response.header?.revision ?? 0 < last { fail("events newer than their header") }
    if !response.fragment, let next = next(client), next.revision == last {
      fail("revision \(last) was split")
    }
    if response.fragment, !client.request.fragment { fail("a fragment that nobody asked for") }
  }

  private mutating func checkProgress(_ client: Client, _ revision: Int64) {
    if let next = next(client), next.revision <= revision {
      fail("progress to \(revision) before revision \(next.revision) was sent")
    }
    if client.start > revision + 1 { fail("progress before the start") }
  }

  private mutating func check(_ event: Mvccpb.Event, _ client: inout Client) {
    events += 1
    guard
      let place = history.indices[client.position...].first(where: { wants(client, history[$0]) })
    else { return fail("an event that did not happen: \(event)") }
    let wanted = history[place]
    client.position = place + 1
    guard event.kv == wanted.pair, (event.type == .delete) == wanted.isDeletion else {
      return fail("\(event) instead of \(wanted)")
    }
    let isCreation = !wanted.isDeletion && wanted.pair.createRevision == wanted.revision
    let previous = client.request.prevKv && !isCreation ? wanted.previous : nil
    if event.prevKv != previous,
      event.prevKv != nil || wanted.revision - 1 >= store.compactRevision
    {
      fail("previous \(String(describing: event.prevKv)), not \(String(describing: previous))")
    }
  }
}
