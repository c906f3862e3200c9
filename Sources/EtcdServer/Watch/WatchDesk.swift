import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Failpoints
import MVCC
import Member
import Synchronization
import Watch

/// The watchers of one loop: carries out what its `WatchHub` decides. Confined to the loop, but for
/// `isWatching`.
///
/// Rows come from turns of the core (`TurnRouter.tell`) while there are watchers. History is read from a
/// state of the store by a thread of its own.
final class WatchDesk: @unchecked Sendable {
  // @unchecked: confined to `loop`; `isWatching` is atomic.

  private let shared: SharedMember
  private let requests: RequestTable
  private var loop: EventLoop { requests.loop }
  private var hub: WatchHub
  private var streams: [WatchStreamID: ServerStream] = [:]
  /// Timers of streams with watchers that want to hear of progress.
  private var timers: [WatchStreamID: LoopTimer] = [:]
  private var isForgetting = false

  /// Whether turns of the core have to bring rows.
  private let watching = Atomic(false)
  var isWatching: Bool { watching.load(ordering: .sequentiallyConsistent) }

  /// Watchers of closed streams that are forgotten in one turn.
  private static let forgottenMax = 1_000
  /// Before history that could not be had is asked for again.
  private static let retryDelay = Duration.milliseconds(100)

  init(_ shared: SharedMember, _ requests: RequestTable) {
    self.shared = shared
    self.requests = requests
    hub = WatchHub(
      limits: .init(fragmentBytes: EtcdServer.messageBytesMax(shared.config)),
      seed: UInt64.random(in: .min ... .max))
  }

  // MARK: Streams

  func open(_ stream: ServerStream) -> WatchStreamID {
    loop.preconditionCurrent()
    let id = hub.open()
    streams[id] = stream
    shared.metrics.watches.streams.add(1)
    return id
  }

  func close(_ id: WatchStreamID) {
    loop.preconditionCurrent()
    hub.close(id)
    streams[id] = nil
    timers.removeValue(forKey: id)?.cancel()
    shared.metrics.watches.streams.add(-1)
    forget()
    count()
  }

  /// Forgets the watchers of closed streams, some a turn.
  private func forget() {
    guard !isForgetting else { return }
    guard hub.forget(atMost: Self.forgottenMax) else { return rest() }
    isForgetting = true
    loop.execute { [weak self] in
      self?.isForgetting = false
      self?.forget()
    }
  }

  /// Without watchers turns need not bring anything.
  private func rest() {
    if hub.count == 0 { watching.store(false, ordering: .sequentiallyConsistent) }
    count()
  }

  private var counted = (watchers: 0, slow: 0)

  private func count() {
    shared.metrics.watches.watchers.add(Double(hub.count - counted.watchers))
    shared.metrics.watches.slow.add(Double(hub.behind - counted.slow))
    counted = (hub.count, hub.behind)
  }

  // MARK: Requests

  /// - Parameter refusal: why the client may not, in etcd's words.
  func create(
    _ request: Etcdserverpb.WatchCreateRequest, on id: WatchStreamID, refusal: String?
  ) {
    // Before the revision is read: what is newer than that comes here.
    watching.store(true, ordering: .sequentiallyConsistent)
    perform {
      $0.create(request, on: id, now: shared.host.status.revision, refusal: refusal, &$1)
    }
    if request.progressNotify, refusal == nil { startTimer(id) }
    if hub.count == 0 { rest() }
  }

  func cancel(_ watchID: Int64, on id: WatchStreamID) {
    perform { $0.cancel(watchID, on: id, now: shared.host.status.revision, &$1) }
    if hub.count == 0 { rest() }
  }

  func requestProgress(on id: WatchStreamID) { perform { $0.requestProgress(on: id, &$1) } }

  /// - Source: etcd `v3rpc/watch.go` GetProgressReportInterval: a tenth at random on top, so that streams do
  ///   not report together.
  private func startTimer(_ id: WatchStreamID) {
    guard timers[id] == nil, streams[id] != nil else { return }
    let interval = shared.config.watchProgressNotifyInterval
    let most = Swift.max(interval.nanoseconds / 10, 1)
    let period = interval + .nanoseconds(Int64(clamping: UInt64.random(in: 0..<most)))
    timers[id] = loop.schedule(after: period, repeating: period) { [weak self] in
      self?.perform { $0.tellProgress(on: id, &$1) }
    }
  }

  // MARK: News

  /// Rows of a turn of the core.
  func take(_ rows: NewRows, _ state: StoreSnapshot) { perform { $0.take(rows, state, &$1) } }

  // MARK: What the hub wants

  private func perform(_ change: (inout WatchHub, inout WatchOutput) -> Void) {
    loop.preconditionCurrent()
    var out = WatchOutput()
    change(&hub, &out)
    var scan: HistoryScan?
    while true {
      if let wanted = out.scan { scan = wanted }
      guard !out.messages.isEmpty else { break }
      let touched = send(out.messages)
      out = WatchOutput()
      for id in touched { note(id, in: &hub, &out) }
    }
    if let scan { read(scan) }
    count()
  }

  /// - Returns: the streams that got something, each once.
  private func send(_ messages: [WatchMessage]) -> [WatchStreamID] {
    let term = shared.host.status.term
    var header = Etcdserverpb.ResponseHeader(
      clusterID: shared.host.clusterID, memberID: shared.host.memberID.rawValue,
      raftTerm: term.rawValue)
    var touched: [WatchStreamID] = []
    var seen: Set<WatchStreamID> = []
    var events = 0
    for message in messages {
      guard let stream = streams[message.stream] else { continue }
      header.revision = message.revision
      if case .events(_, let count, _) = message.content { events += count }
      Failpoint.hit(.beforeSendWatchResponse)
      // A stream that is over is closed by its task.
      try? stream.enqueue(message.body(header: header))
      if seen.insert(message.stream).inserted { touched.append(message.stream) }
    }
    shared.metrics.watches.events.add(events)
    return touched
  }

  /// Tells the hub how much waits on a stream, and again once it has left.
  private func note(_ id: WatchStreamID, in hub: inout WatchHub, _ out: inout WatchOutput) {
    guard let stream = streams[id], stream.isOpen,
      hub.note(queued: stream.queuedBytes, on: id, &out)
    else { return }
    stream.onWritable { [weak self] in
      guard let self else { return }
      perform { self.note(id, in: &$0, &$1) }
    }
  }

  private func read(_ scan: HistoryScan) {
    requests.readLocal { [self] result, _ in
      switch result {
      case .failure: fail(scan)
      case .success(let state):
        let loop = loop
        shared.historyReader.execute { [self] in
          let found = scan.run(on: state.snapshot)
          loop.execute { self.perform { $0.scanned(found, &$1) } }
        }
      }
    }
  }

  /// The member ends, or is not ready: watchers wait.
  private func fail(_ scan: HistoryScan) {
    hub.scanFailed(scan)
    loop.schedule(after: Self.retryDelay) { [weak self] in self?.perform { $0.retry(&$1) } }
  }
}

extension WatchMessage {
  /// Events up to this size are copied behind the head; larger ones are sent as they are shared.
  private static let joinedBytesMax = 4 << 10

  /// The response as it is sent.
  fileprivate func body(header: Etcdserverpb.ResponseHeader) -> MessageBody {
    let (head, events) = encoded(header: header)
    if events.isEmpty { return .bytes(head) }
    guard events.count <= Self.joinedBytesMax else { return .chunks([head, events]) }
    return .framed(head.count + events.count) {
      $0.append(head)
      $0.append(events)
    }
  }
}
