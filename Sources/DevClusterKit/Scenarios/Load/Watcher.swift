import EtcdClient

/// Watches the registers, until it has seen the last write of a scenario.
struct Watcher: Sendable {
  let client: ScenarioClient

  /// The key that is written last.
  static let lastKey = WatchVerdict.prefix + "end"

  /// Until its task is cancelled, or it is done.
  func run() async {
    let options = WatchOptions(createdNotify: true, requiresLeader: true)
    // So that one that is never told anything shows.
    client.recorder.record(
      .watch(.init(client: client.number, member: client.member, time: client.recorder.now())))
    let watch = client.etcd.watch(.prefix(Bytes(WatchVerdict.prefix)), options)
    do throws(EtcdClientError) {
      let updates = watch.makeAsyncIterator()
      while let update = try await updates.next() {
        var record = History.WatchRecord(
          client: client.number, member: client.member, time: client.recorder.now())
        switch update.kind {
        // checked: revisions are below 2^62
        case .created: record.from = update.header.revision + 1
        case .progress: continue
        case .events:
          record.changes = update.events.map(Self.change)
          record.isWhole = record.changes.contains { $0.key == Self.lastKey }
        }
        client.recorder.record(.watch(record))
        if record.isWhole { return }
      }
    } catch {
      // What it has not seen shows in the history; why it ended is told there.
      guard error != .cancelled else { return }
      client.recorder.record(
        .event(
          HistoryEvent(
            "watch-ended", at: client.recorder.now(),
            "the watch of client \(client.number) ended: \(error)", member: client.member)))
    }
  }

  private static func change(_ event: Mvccpb.Event) -> History.Change {
    History.Change(
      revision: event.kv?.modRevision ?? 0, key: event.kv?.key.string ?? "",
      value: event.type == .delete ? 0 : Int(event.kv?.value.string ?? "") ?? -1)
  }
}
