import Bytes
import EtcdAPI
import Protobuf

/// What one watch has seen, and so what it must see next: responses in, updates out. A value, and pure.
///
/// - Source: etcd `client/v3/watch.go` serveSubstream. There a watch from now on begins again at the
///   revision it was created at, and repeats an event of that revision.
struct WatchCursor {
  /// What a response means for who watches.
  enum Step: Equatable {
    /// Nothing yet.
    case nothing
    /// The watch exists; events from `next` on will come.
    case created(Etcdserverpb.WatchResponse)
    /// Whole revisions, or a notice of progress without events.
    case update(Etcdserverpb.WatchResponse)
    /// The server gives the watch up.
    case ended(Etcdserverpb.WatchResponse)
  }

  /// The first revision that was not seen; 0 while it is the server's choice.
  private(set) var next: Int64
  /// Events of a revision of which more fragments are to come.
  private var held: [Mvccpb.Event] = []

  /// - Parameter next: the first revision to see; 0 for what comes after the watch was made. Servers take
  ///   a negative one for the beginning.
  init(next: Int64) { self.next = next }

  /// The stream broke: what was not complete will be sent again.
  mutating func reconnect() { held = [] }

  mutating func take(_ response: Etcdserverpb.WatchResponse) -> Step {
    let revision = response.header?.revision ?? 0
    if response.canceled { return .ended(response) }
    if response.created {
      // Exactly this revision was the newest when the watch was made.
      if next == 0 { next = after(revision) }
      return .created(response)
    }
    if response.compactRevision != 0 { return .ended(response) }
    guard !response.events.isEmpty || response.fragment || !held.isEmpty else {
      // One that is for all watches of a stream may overtake events: etcd before 3.5.8 sends it at once.
      if response.watchID != Self.everybody { next = Swift.max(next, after(revision)) }
      return .update(response)
    }
    return take(events: response)
  }

  private mutating func take(events response: Etcdserverpb.WatchResponse) -> Step {
    var update = response
    // Nothing is seen twice, whatever a server sends.
    update.events = held + response.events.filter { ($0.kv?.modRevision ?? 0) >= next }
    update.fragment = false
    held = []
    if response.fragment, let last = update.events.last?.kv?.modRevision {
      // What follows may belong to the last revision.
      let complete = update.events.prefix { $0.kv?.modRevision != last }.count
      held = Array(update.events[complete...])
      update.events.removeSubrange(complete...)
    }
    guard let last = update.events.last?.kv?.modRevision else { return .nothing }
    next = Swift.max(next, after(last))
    return .update(update)
  }

  /// The id in notices that are for all watches of a stream.
  private static let everybody: Int64 = -1

  private func after(_ revision: Int64) -> Int64 {
    // checked: a server's number; the largest one stays.
    revision == .max ? revision : revision + 1
  }
}
