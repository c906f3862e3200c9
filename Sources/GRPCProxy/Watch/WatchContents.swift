import Bytes
import Calls
import EtcdAPI
import Protobuf

/// Which events a watcher wants, and how: those that agree share the bytes.
struct WatchContents: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  static let noPuts = WatchContents(rawValue: 1)
  static let noDeletions = WatchContents(rawValue: 2)
  /// Each event brings the pair that was there before.
  static let previous = WatchContents(rawValue: 4)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ request: Etcdserverpb.WatchCreateRequest) {
    self = request.prevKv ? .previous : []
    for filter in request.filters {
      switch filter {
      case .noput: insert(.noPuts)
      case .nodelete: insert(.noDeletions)
      case .unrecognized: break
      }
    }
  }

  /// The events that are wanted, from a revision on.
  func select(_ events: [Mvccpb.Event], from first: Int64) -> [Mvccpb.Event] {
    events.compactMap { event in
      guard (event.kv?.modRevision ?? 0) >= first,
        !contains(event.type == .put ? .noPuts : .noDeletions)
      else { return nil }
      var event = event
      if !contains(.previous) { event.prevKv = nil }
      return event
    }
  }
}

/// What a watch of the cluster has told, made ready for all who share it: encoded once for those who want the same, but
/// for the name of the watcher, which is put in front.
struct WatchNews: Sendable {
  let header: Etcdserverpb.ResponseHeader
  private let events: [Mvccpb.Event]
  /// The encoded responses without names; empty for those who want none of the events.
  private let bodies: [WatchContents: Bytes]

  /// - Parameters:
  ///   - events: none for news of progress.
  ///   - wanted: what the watchers want.
  init(
    _ header: Etcdserverpb.ResponseHeader, _ events: [Mvccpb.Event],
    for wanted: some Sequence<WatchContents>
  ) {
    self.header = header
    self.events = events
    var bodies: [WatchContents: Bytes] = [:]
    for contents in wanted {
      bodies[contents] = Self.body(
        header, contents.select(events, from: 0), isProgress: events.isEmpty)
    }
    self.bodies = bodies
  }

  var isProgress: Bool { events.isEmpty }
  /// The revisions of the first event and the last; that of the header where there is none.
  var first: Int64 { events.first?.kv?.modRevision ?? header.revision }
  var last: Int64 { events.last?.kv?.modRevision ?? header.revision }

  private static func body(
    _ header: Etcdserverpb.ResponseHeader, _ events: [Mvccpb.Event], isProgress: Bool
  ) -> Bytes {
    guard isProgress || !events.isEmpty else { return Bytes() }
    return Etcdserverpb.WatchResponse(header: header, events: events).encoded()
  }

  /// The messages for a watcher; none where it wants nothing of this.
  /// - Parameters:
  ///   - first: the first revision that it is told.
  ///   - partBytes: the most that it takes at a time; `nil` for everything.
  func messages(
    _ contents: WatchContents, from first: Int64, named id: Int64, partBytes: Int?
  ) -> [MessageBody] {
    if isProgress {
      return header.revision &+ 1 >= first ? [Self.named(id, bodies[contents] ?? Bytes())] : []
    }
    let whole =
      first > self.first
      ? Self.body(header, contents.select(events, from: first), isProgress: false)
      : bodies[contents] ?? Self.body(header, contents.select(events, from: 0), isProgress: false)
    if whole.isEmpty { return [] }
    guard let partBytes, whole.count > partBytes else { return [Self.named(id, whole)] }
    return parts(contents.select(events, from: first), id, partBytes)
  }

  /// Events up to this size are copied behind the name; larger ones are sent as they are shared.
  private static let joinedBytesMax = 4 << 10

  /// A response that begins with the name of its watcher.
  static func named(_ id: Int64, _ body: Bytes) -> MessageBody {
    guard id != 0 else { return .bytes(body) }
    var name = ByteWriter(capacity: 11)
    // Field 2, a varint.
    name.append(0x10)
    name.appendVarint(UInt64(bitPattern: id))
    let head = name.finish()
    guard body.count <= joinedBytesMax else { return .chunks([head, body]) }
    // checked: a few bytes and a few thousand
    return .framed(head.count + body.count) {
      $0.append(head)
      $0.append(body)
    }
  }

  /// - Source: etcd `v3rpc/watch.go` sendFragments: all but the last part say that more comes.
  private func parts(_ events: [Mvccpb.Event], _ id: Int64, _ partBytes: Int) -> [MessageBody] {
    var parts: [[Mvccpb.Event]] = []
    var current: [Mvccpb.Event] = []
    var bytes = 0
    for event in events {
      let size = event.encodedSize
      if !current.isEmpty, bytes &+ size > partBytes {
        parts.append(current)
        current = []
        bytes = 0
      }
      current.append(event)
      bytes &+= size
    }
    parts.append(current)
    return parts.indices.map { at in
      var response = Etcdserverpb.WatchResponse(header: header, watchID: id, events: parts[at])
      response.fragment = at < parts.count &- 1
      return .bytes(response.encoded())
    }
  }
}
