import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import Synchronization

/// The watches of all clients of a proxy, and the few of the cluster that they share: carries out what `WatchBoard`
/// decides. Confined to the loop of its upstream; watchers live on their own loops (`WatchBranch`).
///
/// What one loop is told by another comes in order, so that a watcher hears of its beginning, its events and its end
/// in that order.
final class WatchExchange: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`, but for `nextID`, which is atomic.

  let upstream: Upstream
  private let metrics: ProxyMetrics
  private let names: KeyNamespace
  private var board = WatchBoard()
  private var members: [WatchBoard.WatcherID: WatchAudience.Member] = [:]
  /// Who shares a watch, for those who make news ready.
  private var audiences: [WatchBoard.SharedID: WatchAudience] = [:]
  private var paces: [WatchBoard.SharedID: WatchPace] = [:]
  private var lines: [Bytes: WatchLine] = [:]
  /// The line that a watch is on.
  private var tokens: [WatchBoard.SharedID: Bytes] = [:]
  private let lastID = Atomic<UInt64>(0)
  private let onChange: @Sendable (_ keys: [Bytes]) -> Void

  /// - Parameter onChange: told of every key that has changed, as clients know it.
  init(
    _ upstream: Upstream, _ metrics: ProxyMetrics, names: KeyNamespace,
    onChange: @escaping @Sendable (_ keys: [Bytes]) -> Void
  ) {
    self.upstream = upstream
    self.metrics = metrics
    self.names = names
    self.onChange = onChange
  }

  /// A name for a watcher. Any thread.
  func makeID() -> WatchBoard.WatcherID { lastID.add(1, ordering: .relaxed).newValue }

  func close() {
    for line in lines.values { line.close() }
    lines = [:]
  }

  // MARK: clients

  func add(_ watcher: ProxyWatcher, _ branch: WatchBranch) {
    let contents = watcher.contents
    let place = board.add(
      watcher.id, watcher.keys, start: watcher.start, now: watcher.header.revision,
      wantsPrevious: contents.contains(.previous))
    let member = WatchAudience.Member(branch: branch, contents: contents, token: watcher.token)
    members[watcher.id] = member
    audiences[place.shared, default: WatchAudience()].add(member)
    branch.loop.execute { branch.join(watcher, place) }
    if place.isNew {
      tokens[place.shared] = watcher.token
      line(watcher.token).add(place.shared)
    }
    count()
  }

  func remove(_ watchers: [WatchBoard.WatcherID]) {
    for id in watchers { remove(id) }
    count()
  }

  private func remove(_ id: WatchBoard.WatcherID) {
    guard let member = members.removeValue(forKey: id), let watch = board.place(of: id) else {
      return
    }
    audiences[watch]?.remove(member)
    if board.remove(id) != nil { leave(watch) }
  }

  private func leave(_ watch: WatchBoard.SharedID) {
    audiences[watch] = nil
    paces[watch] = nil
    guard let token = tokens.removeValue(forKey: watch), let line = lines[token] else { return }
    line.remove(watch)
    rest(line)
  }

  /// A line without watches is ended.
  private func rest(_ line: WatchLine) {
    guard line.watches.isEmpty else { return }
    lines[line.token] = nil
    line.close()
  }

  /// How far the watchers of a stream have come.
  func ask(_ watchers: [WatchBoard.WatcherID], _ branch: WatchBranch, _ stream: ProxyWatchStream) {
    let shared = Set(watchers.compactMap { board.place(of: $0) })
    let asked = Set(shared.compactMap { tokens[$0] }).compactMap { lines[$0] }
    let question = ProgressQuestion(branch, stream, open: asked.count)
    for line in asked { line.ask(question) }
  }

  private func count() { metrics.coalescedWatchers.set(board.coalesced) }

  // MARK: the cluster

  private func line(_ token: Bytes) -> WatchLine {
    if let line = lines[token] { return line }
    let line = WatchLine(upstream, token: token)
    line.request = { [unowned self] in request($0) }
    line.onResponse = { [unowned self, unowned line] in take($0, line) }
    line.onFailure = { [unowned self, unowned line] in fail($0, line) }
    lines[token] = line
    return line
  }

  private func request(_ watch: WatchBoard.SharedID) -> Etcdserverpb.WatchCreateRequest? {
    guard let shared = board.shared[watch] else { return nil }
    return Etcdserverpb.WatchCreateRequest(
      key: shared.keys.key, rangeEnd: shared.keys.end, startRevision: shared.next,
      progressNotify: true, prevKv: shared.hasPrevious)
  }

  private func take(_ response: Etcdserverpb.WatchResponse, _ line: WatchLine) {
    if response.canceled { return refused(response, line) }
    if response.created { return }
    let header = response.header ?? .init()
    if response.watchID == -1 {
      for watch in line.watches { release(watch) }
      return answer(header, line)
    }
    guard let shared = board.shared[response.watchID] else { return }
    let events = response.events.filter { ($0.kv?.modRevision ?? 0) >= shared.next }
      .map(names.visible)
    if events.isEmpty, !response.events.isEmpty { return }
    if !events.isEmpty { onChange(events.compactMap { $0.kv?.key.detached() }) }
    hold(response.watchID, header, events, watchers: shared.watchers.count)
    let last = events.last?.kv?.modRevision ?? header.revision
    let merges = board.told(response.watchID, next: last &+ 1, now: header.revision)
    for merge in merges { take(merge) }
  }

  /// Tells news, at once or, when the last was told just now to very many, together with what comes soon.
  private func hold(
    _ watch: WatchBoard.SharedID, _ header: Etcdserverpb.ResponseHeader,
    _ events: [Mvccpb.Event], watchers: Int
  ) {
    if events.isEmpty {
      // Progress comes behind what it is about.
      release(watch)
      return tell(watch, header, [])
    }
    switch paces[watch, default: WatchPace()].take(
      header, events, watchers: watchers, now: upstream.loop.now)
    {
    case .tell: release(watch)
    case .tellLater(let time):
      upstream.loop.schedule(after: time) { [weak self] in
        self?.paces[watch]?.due()
        self?.release(watch)
      }
    case .wait: break
    }
  }

  /// Tells what is held of a watch.
  private func release(_ watch: WatchBoard.SharedID) {
    guard let held = paces[watch]?.release(now: upstream.loop.now) else { return }
    tell(watch, held.header, held.events)
  }

  private func tell(
    _ watch: WatchBoard.SharedID, _ header: Etcdserverpb.ResponseHeader, _ events: [Mvccpb.Event]
  ) {
    guard let audience = audiences[watch] else { return }
    let news = WatchNews(header, events, for: audience.contents)
    for branch in audience.branches { branch.loop.execute { branch.tell(news, watch) } }
    metrics.coalescedEvents.add((board.shared[watch]?.watchers.count ?? 1) &- 1)
  }

  private func take(_ merge: WatchBoard.Merge) {
    release(merge.from)
    release(merge.into)
    let moved = audiences[merge.from] ?? WatchAudience()
    for branch in moved.branches { branch.loop.execute { branch.take(merge) } }
    audiences[merge.into, default: WatchAudience()].add(moved)
    leave(merge.from)
    count()
  }

  /// The cluster has ended a watch, or has not begun it.
  private func refused(_ response: Etcdserverpb.WatchResponse, _ line: WatchLine) {
    let watch = response.watchID
    guard let shared = board.shared[watch] else { return }
    release(watch)
    line.ended(watch)
    defer { rest(line) }
    if response.compactRevision == 0, let other = other(than: line.token, of: shared) {
      // Who it was begun for may not watch any more; others may.
      return move(watch, shared, from: line.token, to: other, response)
    }
    tokens[watch] = nil
    paces[watch] = nil
    for id in shared.watchers { members[id] = nil }
    let told = Self.told(response)
    for branch in audiences.removeValue(forKey: watch)?.branches ?? [] {
      branch.loop.execute { branch.cancel(watch, told) }
    }
    board.end(watch)
    count()
  }

  /// The watches of a line cannot go on.
  private func fail(_ status: GRPCStatus, _ line: WatchLine) {
    for watch in line.watches {
      refused(
        Etcdserverpb.WatchResponse(
          header: .init(), watchID: watch, canceled: true, cancelReason: "\(status)"), line)
    }
  }

  private static func told(
    _ response: Etcdserverpb.WatchResponse
  ) -> Etcdserverpb.WatchResponse {
    var told = response
    told.created = false
    told.events = []
    return told
  }

  private func other(than token: Bytes, of shared: WatchBoard.Shared) -> Bytes? {
    shared.watchers.lazy.compactMap { self.members[$0]?.token }.first { $0 != token }
  }

  private func move(
    _ watch: WatchBoard.SharedID, _ shared: WatchBoard.Shared, from token: Bytes, to other: Bytes,
    _ response: Etcdserverpb.WatchResponse
  ) {
    let told = Self.told(response)
    for branch in audiences[watch]?.branches ?? [] {
      branch.loop.execute { branch.cancel(watch, told, token: token) }
    }
    for id in shared.watchers where members[id]?.token == token { remove(id) }
    tokens[watch] = other
    line(other).add(watch)
    count()
  }

  /// Everything up to a revision was told on a line.
  private func answer(_ header: Etcdserverpb.ResponseHeader, _ line: WatchLine) {
    let questions = line.questions
    line.questions = []
    for question in questions {
      if question.header.map({ header.revision < $0.revision }) ?? true { question.header = header }
      // checked: one less for each line that was asked
      question.open -= 1
      guard question.open == 0, let told = question.header else { continue }
      let (branch, stream) = (question.branch, question.stream)
      branch.loop.execute { branch.tellProgress(told, stream) }
    }
  }
}
