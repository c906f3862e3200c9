import Bytes
import EtcdAPI
import MVCC

// What clients ask for.

extension WatchHub {
  /// Begins to watch.
  /// - Parameters:
  ///   - now: newest revision of the member. Where nobody has watched until now, everything newer has to
  ///     come through `take`.
  ///   - refusal: why the client may not watch this, in etcd's words.
  /// - Source: etcd `v3rpc/watch.go` recvLoop, `mvcc/watcher.go` Watch.
  public mutating func create(
    _ request: Etcdserverpb.WatchCreateRequest, on streamID: WatchStreamID, now: Int64,
    refusal: String? = nil, _ out: inout WatchOutput
  ) {
    guard streams[streamID] != nil else { return }
    if count == 0 { revision = Swift.max(revision, now) }
    let now = Swift.max(now, revision)
    func refuse(_ reason: String) {
      out.messages.append(
        WatchMessage(
          stream: streamID, watchID: WatchMessage.nobody, revision: now,
          content: .refused(reason: reason)))
    }
    if request.startRevision < 0 { return refuse(Self.compactedReason) }
    if let refusal { return refuse(refusal) }
    let interval = KeyInterval(
      key: request.key.isEmpty ? Bytes([0]) : request.key.detached(),
      rangeEnd: request.rangeEnd.detached())
    if interval.isEmpty { return refuse("mvcc: watcher range is empty") }
    guard let watchID = name(request.watchID, on: streamID) else {
      return refuse("mvcc: duplicate watch ID provided on the WatchStream")
    }
    let isPast = request.startRevision != 0 && request.startRevision <= now
    let next = request.startRevision == 0 ? now + 1 : request.startRevision
    let id = makeName()
    self[id] = Watcher(
      stream: streamID, watchID: watchID, group: index.add(id, of: interval), serial: id.serial,
      options: WatchOptions(request), phase: .synced, next: next)
    streams[streamID]?.watchers[watchID] = id.place
    out.messages.append(
      WatchMessage(stream: streamID, watchID: watchID, revision: now, content: .created))
    if next > revision + 1 { streams[streamID]?.ahead.insert(id) }
    if isPast { fallBehind(id, next: next) }
    scanIfNeeded(&out)
  }

  private static let compactedReason = "etcdserver: mvcc: required revision has been compacted"

  /// The name that a new watcher gets; `nil` when it is taken.
  private mutating func name(_ wanted: Int64, on id: WatchStreamID) -> Int64? {
    guard let stream = streams[id] else { return nil }
    if wanted != 0 { return stream.watchers[wanted] == nil ? wanted : nil }
    var next = stream.nextID
    while stream.watchers[next] != nil { next &+= 1 }
    streams[id]?.nextID = next &+ 1
    return next
  }

  /// Stops watching; one that does not exist is ignored.
  public mutating func cancel(
    _ watchID: Int64, on streamID: WatchStreamID, now: Int64, _ out: inout WatchOutput
  ) {
    guard let id = streams[streamID]?.watchers[watchID].flatMap(id(at:)) else { return }
    end(id)
    out.messages.append(
      WatchMessage(
        stream: streamID, watchID: watchID, revision: Swift.max(now, revision), content: .canceled))
    payProgress(&out)
  }

  /// The client asks how far its watchers have come: it is told once all have come as far as the hub.
  ///
  /// - Source: etcd `RequestProgressAll`, which leaves the question unanswered when one has not.
  public mutating func requestProgress(on id: WatchStreamID, _ out: inout WatchOutput) {
    guard let stream = streams[id], !stream.watchers.isEmpty else { return }
    streams[id]?.owesProgress = true
    owing.insert(id)
    payProgress(&out)
  }

  /// Answers the questions about progress that can be answered now.
  mutating func payProgress(_ out: inout WatchOutput) {
    guard !owing.isEmpty else { return }
    // Sets have no order, and a run of the simulation must be the same again.
    for id in owing.count > 1 ? owing.sorted() : Array(owing) {
      guard let stream = streams[id], stream.owesProgress else {
        owing.remove(id)
        continue
      }
      guard stream.behind == 0, !stream.isFull, !isAhead(id) else { continue }
      owing.remove(id)
      streams[id]?.owesProgress = false
      guard !stream.watchers.isEmpty else { continue }
      out.messages.append(
        WatchMessage(
          stream: id, watchID: WatchMessage.nobody, revision: revision, content: .progress))
    }
  }

  /// Whether a watcher of a stream has its first revision still to come. Those that have not any more are
  /// looked at once.
  private mutating func isAhead(_ id: WatchStreamID) -> Bool {
    while let watcher = streams[id]?.ahead.first {
      if let next = self[watcher]?.next, next > revision + 1 { return true }
      streams[id]?.ahead.remove(watcher)
    }
    return false
  }

  /// A round of progress messages for those of a stream that asked for them and were sent nothing since the
  /// last round.
  ///
  /// - Source: etcd `v3rpc/watch.go` sendLoop, progressTicker.
  public mutating func tellProgress(on streamID: WatchStreamID, _ out: inout WatchOutput) {
    guard let stream = streams[streamID], !stream.isFull else { return }
    for (watchID, place) in stream.watchers {
      guard let id = id(at: place), var watcher = self[id], watcher.options.contains(.progress)
      else { continue }
      if watcher.isQuiet, watcher.phase == .synced, watcher.next <= revision + 1 {
        out.messages.append(
          WatchMessage(stream: streamID, watchID: watchID, revision: revision, content: .progress))
      }
      watcher.isQuiet = true
      self[id] = watcher
    }
  }
}
