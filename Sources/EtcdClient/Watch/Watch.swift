import Bytes
import Calls
import EtcdAPI
import Protobuf
import Synchronization

/// What a watch tells, besides which keys it is about.
public struct WatchOptions: Sendable, Hashable {
  /// The first revision whose events are wanted, which may be past or future; 0 for what happens from now
  /// on.
  public var startRevision: Int64
  /// Whether events carry what was there before.
  public var previous: Bool
  /// Whether writes are told.
  public var puts: Bool
  /// Whether deletions are told.
  public var deletes: Bool
  /// Whether the server says now and then how far it is, while nothing happens: an update without events.
  public var progressNotify: Bool
  /// Whether the first update, without events, says that the watch exists, and since which revision.
  public var createdNotify: Bool
  /// Whether the watch leaves a member that knows no leader and goes on at another one, so that it does not
  /// stand still behind a broken network.
  public var requiresLeader: Bool

  /// The defaults tell every change from now on.
  public init(
    startRevision: Int64 = 0, previous: Bool = false, puts: Bool = true, deletes: Bool = true,
    progressNotify: Bool = false, createdNotify: Bool = false, requiresLeader: Bool = false
  ) {
    self.startRevision = startRevision
    self.previous = previous
    self.puts = puts
    self.deletes = deletes
    self.progressNotify = progressNotify
    self.createdNotify = createdNotify
    self.requiresLeader = requiresLeader
  }
}

/// What a watch has to tell.
public struct WatchUpdate: Sendable, Hashable {
  /// Why there is an update.
  public enum Kind: Sendable, Hashable {
    /// The watch exists: everything behind the header's revision will be told.
    case created
    /// Something happened.
    case events
    /// Everything up to the header's revision was told.
    case progress
  }
  /// What it is about.
  public let kind: Kind
  /// The state of the member that tells it.
  public let header: Etcdserverpb.ResponseHeader
  /// All events of one revision or of several, in the order of revisions; empty but for `events`.
  public let events: [Mvccpb.Event]

  init(_ kind: Kind, _ response: Etcdserverpb.WatchResponse) {
    self.kind = kind
    header = response.header ?? .init()
    events = response.events
  }
}

extension EtcdClient {
  /// Watches keys.
  ///
  ///     for try await update in client.watch(.prefix("config/")) {
  ///       for event in update.events { … }
  ///     }
  ///
  /// Every walk over the sequence is a watch of its own, which lives as long as its iterator. It goes on by
  /// itself over broken connections, members that went away and changes of the leader, without a gap and
  /// without telling anything twice: by a watch that begins with the first revision that was not seen. It
  /// waits as long as no member can be reached. Events of one revision are never told apart.
  ///
  /// Nothing is read ahead: a server sends no more than the window of a stream, 1 MiB, to who does not read.
  ///
  /// The walk throws `EtcdClientError`: `compacted` when the revisions that come next are gone,
  /// `refused` with etcd's error when the server gives the watch up, `cancelled` with the task.
  public func watch(_ keys: KeyRange, _ options: WatchOptions = WatchOptions()) -> Watch {
    Watch(client: self, keys: keys, options: options)
  }

  /// Changes of keys as they happen; see `watch(_:_:)`.
  public struct Watch: AsyncSequence, Sendable {
    public typealias Element = WatchUpdate
    public typealias Failure = EtcdClientError

    let client: EtcdClient
    let keys: KeyRange
    let options: WatchOptions
    private let walks = Walks()

    init(client: EtcdClient, keys: KeyRange, options: WatchOptions) {
      self.client = client
      self.keys = keys
      self.options = options
    }

    /// Begins a watch of its own with the first update that is asked for.
    public func makeAsyncIterator() -> Iterator {
      let feed = client.feed(keys, options)
      walks.add(feed)
      return Iterator(client: client, feed: feed)
    }

    /// Asks how far the walks over this sequence have come. Each gets an update without events once the
    /// server has told it everything up to the revision in it.
    /// - Throws: `EtcdClientError` when a connection is broken; the walks themselves go on.
    public func requestProgress() async throws(EtcdClientError) {
      for feed in walks.all {
        try await client.run { (_) async throws(GRPCStatus) in try await feed.requestProgress() }
      }
    }

    /// Takes update after update. Giving it up ends the watch.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
      let client: EtcdClient
      let feed: WatchFeed

      /// The next update; never `nil` before an error was thrown.
      public func next() async throws(EtcdClientError) -> WatchUpdate? {
        let step = try await client.run { (_) async throws(GRPCStatus) in try await feed.next() }
        switch step {
        case nil: return nil
        case .created(let response): return WatchUpdate(.created, client.names.visible(response))
        case .update(let response):
          return WatchUpdate(
            response.events.isEmpty ? .progress : .events, client.names.visible(response))
        case .ended(let response): throw EtcdClientError(ended: response)
        }
      }

      /// The next update; never `nil` before an error was thrown.
      public func next(
        isolation actor: isolated (any Actor)?
      ) async throws(EtcdClientError) -> WatchUpdate? { try await next() }
    }
  }
}

extension EtcdClient {
  fileprivate func feed(_ keys: KeyRange, _ options: WatchOptions) -> WatchFeed {
    let keys = names.whole(keys)
    var filters: [Etcdserverpb.WatchCreateRequest.FilterType] = []
    if !options.puts { filters.append(.noput) }
    if !options.deletes { filters.append(.nodelete) }
    return WatchFeed(
      ownSession,
      Etcdserverpb.WatchCreateRequest(
        key: keys.key, rangeEnd: keys.end, startRevision: options.startRevision,
        progressNotify: options.progressNotify, filters: filters, prevKv: options.previous,
        fragment: true),
      .init(requiresLeader: options.requiresLeader, tellsCreation: options.createdNotify))
  }
}

extension EtcdClientError {
  /// Why a server ended a watch.
  ///
  /// Texts of Go's servers have gRPC's words in front: `rpc error: code = … desc = …`.
  init(ended response: Etcdserverpb.WatchResponse) {
    let reason = response.cancelReason
    if response.compactRevision != 0 {
      self = .compacted(revision: response.compactRevision)
    } else if let known = EtcdError.known.first(where: { reason.hasSuffix($0.message) }) {
      self = .refused(known)
    } else {
      self = .refused(
        EtcdError(.cancelled, reason.isEmpty ? "the server ended the watch" : reason))
    }
  }
}

/// The walks over one sequence that are not over.
private final class Walks: Sendable {
  private struct Walk { weak var feed: WatchFeed? }
  private let walks = Mutex<[Walk]>([])

  func add(_ feed: WatchFeed) {
    walks.withLock { walks in
      walks.removeAll { $0.feed == nil }
      walks.append(Walk(feed: feed))
    }
  }

  var all: [WatchFeed] { walks.withLock { $0.compactMap(\.feed) } }
}
