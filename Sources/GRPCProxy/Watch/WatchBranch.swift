import Bytes
import Calls
import EtcdAPI
import EventLoops

/// The watchers of one loop, by the watch of the cluster that they share. Confined to its loop.
final class WatchBranch: @unchecked Sendable {
  // @unchecked: confined to `loop`.

  let loop: EventLoop
  private let partBytes: Int
  private var groups: [WatchBoard.SharedID: [ProxyWatcher]] = [:]
  private var streams: [ObjectIdentifier: ProxyWatchStream] = [:]

  /// - Parameter partBytes: the most that a client takes at a time that asks for parts.
  init(_ loop: EventLoop, partBytes: Int) {
    self.loop = loop
    self.partBytes = partBytes
  }

  func open(_ call: ServerStream) -> ProxyWatchStream {
    let stream = ProxyWatchStream(call)
    streams[ObjectIdentifier(stream)] = stream
    return stream
  }

  /// - Returns: the watchers that it had.
  func close(_ stream: ProxyWatchStream) -> [WatchBoard.WatcherID] {
    streams[ObjectIdentifier(stream)] = nil
    let watchers = stream.watchers.values
    stream.watchers = [:]
    for watcher in watchers { leave(watcher) }
    return watchers.map(\.id)
  }

  /// A watcher shares a watch from now on; its client is told.
  func join(_ watcher: ProxyWatcher, _ place: WatchBoard.Place) {
    let stream = watcher.stream
    guard stream.watchers[watcher.name] === watcher else { return }
    watcher.first = place.first
    enter(watcher, place.shared)
    var header = watcher.header
    if watcher.start == 0 { header.revision = place.first &- 1 }
    stream.send(
      Etcdserverpb.WatchResponse(header: header, watchID: watcher.name, created: true))
  }

  private func enter(_ watcher: ProxyWatcher, _ group: WatchBoard.SharedID) {
    watcher.group = group
    watcher.slot = groups[group]?.count ?? 0
    groups[group, default: []].append(watcher)
  }

  /// It is told nothing more.
  func leave(_ watcher: ProxyWatcher) {
    guard let group = watcher.group, let last = groups[group]?.popLast() else { return }
    watcher.group = nil
    if last !== watcher {
      groups[group]?[watcher.slot] = last
      last.slot = watcher.slot
    }
    if groups[group]?.isEmpty == true { groups[group] = nil }
  }

  func take(_ merge: WatchBoard.Merge) {
    for watcher in groups.removeValue(forKey: merge.from) ?? [] {
      watcher.first = Swift.max(watcher.first, merge.next)
      enter(watcher, merge.into)
    }
  }

  func tell(_ news: WatchNews, _ group: WatchBoard.SharedID) {
    for watcher in groups[group] ?? [] where !news.isProgress || watcher.wantsProgress {
      let messages = news.messages(
        watcher.contents, from: watcher.first, named: watcher.name,
        partBytes: watcher.wantsParts ? partBytes : nil)
      for message in messages { watcher.stream.send(message) }
    }
  }

  /// A watch of the cluster is over for those who share it.
  /// - Parameter token: of those alone who showed it; `nil` for all.
  func cancel(
    _ group: WatchBoard.SharedID, _ response: Etcdserverpb.WatchResponse, token: Bytes? = nil
  ) {
    for watcher in groups[group] ?? [] where token == nil || watcher.token == token {
      leave(watcher)
      watcher.stream.watchers[watcher.name] = nil
      var response = response
      response.watchID = watcher.name
      watcher.stream.send(response)
    }
  }

  /// Everything up to a revision was told on a stream.
  func tellProgress(_ header: Etcdserverpb.ResponseHeader, _ stream: ProxyWatchStream) {
    guard streams[ObjectIdentifier(stream)] === stream else { return }
    stream.send(Etcdserverpb.WatchResponse(header: header, watchID: -1))
  }
}
