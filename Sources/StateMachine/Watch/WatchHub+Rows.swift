import Bytes
import MVCC

// New rows, and catching up on old ones.

extension WatchHub {
  /// Tells the watchers of rows that became visible.
  /// - Parameter state: the store with them.
  public mutating func take(
    _ rows: NewRows, _ state: StoreSnapshot, _ out: inout WatchOutput
  ) {
    guard rows.through > revision else { return }
    let known = revision
    revision = rows.through
    guard rows.after <= known else { return losePlace(known, &out) }
    if isScanning { keep(rows, state) }
    var room = limits.messages
    for (group, rows) in match(rows, after: known) {
      tell(group, rows, state, after: known, &room, &out)
    }
    payProgress(&out)
    scanIfNeeded(&out)
  }

  /// Another store is in place: what happened in between has to be read.
  private mutating func losePlace(_ known: Int64, _ out: inout WatchOutput) {
    recent = []
    recentBytes = 0
    for id in watcherIDs {
      guard let watcher = self[id], watcher.phase == .synced, watcher.next <= revision,
        streams[watcher.stream] != nil
      else { continue }
      fallBehind(id, next: Swift.max(watcher.next, known + 1))
    }
    scanIfNeeded(&out)
  }

  private mutating func keep(_ rows: NewRows, _ state: StoreSnapshot) {
    recent.append(Recent(rows: rows, state: state))
    recentBytes += rows.bytes
    // Who is not told by what is left reads again.
    while recentBytes > limits.recentBytes, !recent.isEmpty {
      recentBytes -= recent.removeFirst().rows.bytes
    }
  }

  /// The groups that rows concern, each with its rows, in the order in which the first of them came.
  private func match(
    _ rows: NewRows, after known: Int64
  ) -> [(group: WatcherIndex.GroupID, rows: [ChangedRow])] {
    var matched: [(group: WatcherIndex.GroupID, rows: [ChangedRow])] = []
    var places: [WatcherIndex.GroupID: Int] = [:]
    rows.visit { row in
      guard row.revision.main > known else { return }
      index.visit(row.key) { group in
        if let place = places[group] {
          matched[place].rows.append(row)
        } else {
          places[group] = matched.count
          matched.append((group, [row]))
        }
      }
    }
    return matched
  }

  /// Tells the synced watchers of a group.
  private mutating func tell(
    _ group: WatcherIndex.GroupID, _ rows: [ChangedRow], _ state: StoreSnapshot,
    after known: Int64, _ room: inout Int, _ out: inout WatchOutput
  ) {
    var ids: [WatcherID] = []
    index.members(of: group) { ids.append($0) }
    // Sets have no order, and a run of the simulation must be the same again.
    if ids.count > 1 { ids.sort() }
    var encoded: [WatchOptions: Events] = [:]
    for id in ids {
      guard let watcher = self[id], watcher.phase == .synced, watcher.next <= revision else {
        continue
      }
      // A watcher of a stream that is closed has no stream any more.
      guard let stream = streams[watcher.stream] else { continue }
      guard room > 0, !stream.isFull else {
        fallBehind(id, next: Swift.max(watcher.next, known + 1))
        continue
      }
      let events: Events
      if watcher.next > known + 1 {
        events = encode(rows, watcher.options, from: watcher.next, state)
      } else if let shared = encoded[watcher.options.contents] {
        events = shared
      } else {
        events = encode(rows, watcher.options, from: known + 1, state)
        encoded[watcher.options.contents] = events
      }
      room -= 1
      deliver(events, to: id, revision: revision, &out)
    }
  }

  /// Events of a watcher, or why there are none.
  enum Events {
    case some(EncodedEvents)
    case none
    case broken(String)
  }

  private func encode(
    _ rows: [ChangedRow], _ options: WatchOptions, from next: Int64, _ state: StoreSnapshot
  ) -> Events {
    let writer = EventWriter()
    do throws(StoreError) {
      for row in rows where row.revision.main >= next && options.wants(row) {
        writer.append(
          row, previous: options.contains(.previous) ? try state.previous(of: row) : nil)
      }
    } catch { return .broken("\(error)") }
    return writer.finish().map { .some($0) } ?? .none
  }

  /// Sends events to a watcher, which has seen everything up to `revision` then.
  private mutating func deliver(
    _ events: Events, to id: WatcherID, revision: Int64, _ out: inout WatchOutput
  ) {
    guard var watcher = self[id] else { return }
    switch events {
    case .none: break
    case .broken(let reason): return cancel(id, .broken(reason: reason), &out)
    case .some(let events):
      precondition(events.first >= watcher.next, "a watcher is sent what it has seen")
      precondition(events.last <= revision, "a watcher is sent what is not visible")
      watcher.isQuiet = false
      let parts =
        watcher.options.contains(.fragments)
        ? events.parts(of: limits.fragmentBytes) : [events.bytes]
      for (number, part) in parts.enumerated() {
        sent(
          WatchMessage(
            stream: watcher.stream, watchID: watcher.watchID, revision: revision,
            content: .events(
              part, count: number == 0 ? events.count : 0, more: number + 1 < parts.count)),
          &out)
      }
    }
    watcher.next = Swift.max(watcher.next, revision + 1)
    self[id] = watcher
  }

  private mutating func cancel(
    _ id: WatcherID, _ content: WatchMessage.Content, _ out: inout WatchOutput
  ) {
    guard let watcher = self[id] else { return }
    end(id)
    // Go's header has no revision here either.
    out.messages.append(
      WatchMessage(stream: watcher.stream, watchID: watcher.watchID, revision: 0, content: content))
  }

  // MARK: Catching up

  /// A watcher has to read history from `next` on, once its stream has room.
  mutating func fallBehind(_ id: WatcherID, next: Int64) {
    guard let watcher = self[id], let stream = streams[watcher.stream] else { return }
    if stream.isFull {
      set(id, .parked, next: next)
      streams[watcher.stream]?.parked.append(id)
    } else {
      set(id, .lagging, next: next)
      lagging.append(id)
    }
  }

  /// Asks for history when somebody needs it and no scan is under way.
  mutating func scanIfNeeded(_ out: inout WatchOutput) {
    guard !isScanning, laggingHead < lagging.count else { return }
    var readers: [HistoryScan.Reader] = []
    while laggingHead < lagging.count, readers.count < limits.scanWatchers {
      let id = lagging[laggingHead]
      laggingHead += 1
      // It may be gone, or have been taken by the scan before.
      guard let watcher = self[id], watcher.phase == .lagging, streams[watcher.stream] != nil else {
        continue
      }
      guard streams[watcher.stream]?.isFull == false else {
        fallBehind(id, next: watcher.next)
        continue
      }
      set(id, .scanning, next: watcher.next)
      readers.append(
        HistoryScan.Reader(
          id: id, interval: index.interval(of: watcher.group), options: watcher.options,
          next: watcher.next))
    }
    if laggingHead == lagging.count {
      lagging = []
      laggingHead = 0
    } else if laggingHead > 1_024, laggingHead * 2 > lagging.count {
      lagging.removeFirst(laggingHead)
      laggingHead = 0
    }
    guard !readers.isEmpty else { return }
    isScanning = true
    out.scan = HistoryScan(
      readers: readers, limits: .init(bytes: limits.scanBytes, rows: limits.scanRows))
  }

  /// Takes what a scan has found.
  public mutating func scanned(_ result: HistoryScan.Result, _ out: inout WatchOutput) {
    precondition(isScanning, "a scan that nobody asked for")
    isScanning = false
    for (id, finding) in result.findings {
      guard let watcher = self[id], watcher.phase == .scanning else { continue }
      guard let stream = streams[watcher.stream] else { continue }
      switch finding {
      case .compacted(let revision): cancel(id, .compacted(revision: revision), &out)
      case .broken(let reason): cancel(id, .broken(reason: reason), &out)
      case .events where stream.isFull: fallBehind(id, next: watcher.next)
      case .events(let events):
        // Header and progress tell of no more than what was read.
        deliver(events.map { .some($0) } ?? .none, to: id, revision: result.through, &out)
        goOn(id, result, &out)
      }
    }
    recent = []
    recentBytes = 0
    payProgress(&out)
    scanIfNeeded(&out)
  }

  /// A scan could not be made: its watchers wait for the next one.
  public mutating func scanFailed(_ scan: HistoryScan) {
    isScanning = false
    recent = []
    recentBytes = 0
    for reader in scan.readers where self[reader.id]?.phase == .scanning {
      fallBehind(reader.id, next: reader.next)
    }
  }

  /// Asks for the history that is waited for, after a failure.
  public mutating func retry(_ out: inout WatchOutput) { scanIfNeeded(&out) }

  /// A watcher that has read up to a revision is told what came since, or reads on.
  private mutating func goOn(
    _ id: WatcherID, _ result: HistoryScan.Result, _ out: inout WatchOutput
  ) {
    guard let watcher = self[id], let stream = streams[watcher.stream] else { return }
    let isWhole = result.through == result.revision
    let keeps = result.through >= revision || (recent.first?.rows.after ?? .max) <= result.through
    guard isWhole, keeps, !stream.isFull else { return fallBehind(id, next: watcher.next) }
    let interval = index.interval(of: watcher.group)
    for piece in recent where piece.rows.through > result.through {
      var rows: [ChangedRow] = []
      piece.rows.visit { row in
        if row.revision.main > result.through, interval.contains(row.key) { rows.append(row) }
      }
      guard !rows.isEmpty, let next = self[id]?.next else { continue }
      guard streams[watcher.stream]?.isFull == false else { return fallBehind(id, next: next) }
      deliver(
        encode(rows, watcher.options, from: next, piece.state), to: id,
        revision: piece.rows.through, &out)
    }
    guard let next = self[id]?.next else { return }
    set(id, .synced, next: next)
  }
}
