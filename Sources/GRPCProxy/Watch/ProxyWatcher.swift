import Bytes
import Calls
import EtcdAPI
import EventLoops
import Protobuf

/// A watcher of a client, on the loop of its stream. `group` and `slot` belong to the `WatchBranch` of that loop.
final class ProxyWatcher: @unchecked Sendable {
  // @unchecked: `first`, `group` and `slot` are confined to the loop of `stream`; the rest is immutable.

  /// Unlike all others of the process.
  let id: WatchBoard.WatcherID
  /// What the client calls it.
  let name: Int64
  let keys: WatchBoard.Keys
  let contents: WatchContents
  let wantsProgress: Bool
  let wantsParts: Bool
  let start: Int64
  /// What was read when the client's right to watch was looked at.
  let header: Etcdserverpb.ResponseHeader
  /// What shows who the client is.
  let token: Bytes
  let stream: ProxyWatchStream

  /// The first revision that it is told.
  var first: Int64 = 0
  var group: WatchBoard.SharedID?
  var slot = 0

  init(
    id: WatchBoard.WatcherID, name: Int64, _ request: Etcdserverpb.WatchCreateRequest,
    keys: WatchBoard.Keys, header: Etcdserverpb.ResponseHeader, stream: ProxyWatchStream
  ) {
    self.id = id
    self.name = name
    self.keys = keys
    contents = WatchContents(request)
    wantsProgress = request.progressNotify
    wantsParts = request.fragment
    start = request.startRevision
    self.header = header
    token = stream.token
    self.stream = stream
  }
}

/// A client's stream of watches. Confined to its loop.
final class ProxyWatchStream: @unchecked Sendable {
  // @unchecked: confined to `call.loop`.

  let call: ServerStream
  let token: Bytes
  var watchers: [Int64: ProxyWatcher] = [:]
  private var nextName: Int64 = 0
  private(set) var isOver = false

  /// Bytes that wait for a client: one that takes no more is ended, and begins again where it was.
  static let queuedBytesMax = 16 << 20

  init(_ call: ServerStream) {
    self.call = call
    token = call.metadata.first("token") ?? Bytes()
  }

  /// The name that a new watcher gets; `nil` when it is taken.
  func name(_ wanted: Int64) -> Int64? {
    if wanted != 0 { return watchers[wanted] == nil ? wanted : nil }
    while watchers[nextName] != nil { nextName &+= 1 }
    defer { nextName &+= 1 }
    return nextName
  }

  func send(_ body: MessageBody) {
    guard !isOver, call.isOpen else { return }
    // A stream that is over is closed by its task.
    try? call.enqueue(body)
    guard call.queuedBytes > Self.queuedBytesMax else { return }
    end(
      GRPCStatus(
        .unavailable,
        "the client does not read: \(call.queuedBytes) bytes of events wait for it, more than "
          + "\(Self.queuedBytesMax); watch again from the last revision that was read"))
  }

  func send(_ response: Etcdserverpb.WatchResponse) { send(.bytes(response.encoded())) }

  /// Ends the stream from this side.
  func end(_ status: GRPCStatus) {
    isOver = true
    call.interrupt(status)
  }
}
