import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf

/// One stream of watches to the cluster, for those who show the same token; begun again when it breaks. Confined to the
/// loop of its upstream.
final class WatchLine {
  let token: Bytes
  private let upstream: Upstream
  private let metadata: Metadata
  private var feed: ClientFeed?
  private var isBeginning = false
  private var isClosed = false
  private var failures = 0
  /// Watches that are on the line.
  private(set) var watches: Set<WatchBoard.SharedID> = []
  /// Questions about progress that were sent, one behind the other.
  var questions: [ProgressQuestion] = []

  /// Watches that the cluster has not said to have begun, in the order in which they were asked for.
  private var begun = FIFO<WatchBoard.SharedID>()

  /// Gets each response, with the name of its watch.
  var onResponse: (Etcdserverpb.WatchResponse) -> Void = { _ in }
  /// Told why the watches cannot go on.
  var onFailure: (GRPCStatus) -> Void = { _ in }
  /// What a watch is to begin with, now.
  var request: (WatchBoard.SharedID) -> Etcdserverpb.WatchCreateRequest? = { _ in nil }

  init(_ upstream: Upstream, token: Bytes) {
    self.upstream = upstream
    self.token = token
    var metadata = Metadata()
    if !token.isEmpty { metadata.append(.init(name: "token", value: token)) }
    self.metadata = metadata
  }

  func add(_ watch: WatchBoard.SharedID) {
    watches.insert(watch)
    if let feed { create(watch, feed) } else { begin() }
  }

  func remove(_ watch: WatchBoard.SharedID) {
    guard watches.remove(watch) != nil else { return }
    let cancel = Etcdserverpb.WatchCancelRequest(watchID: watch)
    feed?.send(Etcdserverpb.WatchRequest(requestUnion: .cancelRequest(cancel)).encoded())
  }

  /// The cluster has ended it.
  func ended(_ watch: WatchBoard.SharedID) { watches.remove(watch) }

  func ask(_ question: ProgressQuestion) {
    questions.append(question)
    sendQuestion()
  }

  private func sendQuestion() {
    let ask = Etcdserverpb.WatchRequest(requestUnion: .progressRequest(.init()))
    feed?.send(ask.encoded())
  }

  func close() {
    isClosed = true
    feed?.cancel()
    feed = nil
  }

  private func create(_ watch: WatchBoard.SharedID, _ feed: ClientFeed) {
    guard var request = request(watch) else { return }
    request.watchID = watch
    begun.append(watch)
    feed.send(Etcdserverpb.WatchRequest(requestUnion: .createRequest(request)).encoded())
  }

  private func begin() {
    guard !isBeginning, !isClosed else { return }
    isBeginning = true
    upstream.connection(deadline: nil) { [weak self] result in
      guard let self, !isClosed else { return }
      isBeginning = false
      switch result {
      case .success(let client): begin(on: client)
      case .failure: beginLater()
      }
    }
  }

  private func begin(on client: GRPCClient) {
    do throws(GRPCStatus) {
      let feed = try client.feed(
        Etcdserverpb.WatchService.watch.path, metadata: metadata,
        onMessage: { [weak self] in self?.take($0) }, onEnd: { [weak self] in self?.lost($0) })
      self.feed = feed
      begun = FIFO()
      for watch in watches.sorted() { create(watch, feed) }
      if !questions.isEmpty { sendQuestion() }
    } catch { beginLater() }
  }

  private func take(_ message: Bytes) {
    failures = 0
    guard var response = try? Etcdserverpb.WatchResponse.decode(message) else {
      // What no member says: another one may do better.
      feed?.cancel()
      return lost(.cancelled)
    }
    if response.created, let watch = begun.popFirst() {
      // A watch that is refused has no name.
      response.watchID = watch
    }
    onResponse(response)
  }

  /// What another member would say, too.
  private static let lasting: Set<GRPCCode> = [
    .resourceExhausted, .unimplemented, .invalidArgument, .permissionDenied, .unauthenticated,
    .failedPrecondition,
  ]

  private func lost(_ status: GRPCStatus) {
    feed = nil
    if Self.lasting.contains(status.code) { onFailure(status) }
    beginLater()
  }

  private static let pauses = [10, 50, 100, 250, 500]

  private func beginLater() {
    guard !isClosed, !watches.isEmpty || !questions.isEmpty else { return }
    let pause = Self.pauses[Swift.min(failures, Self.pauses.count &- 1)]
    failures &+= 1
    upstream.loop.schedule(after: .milliseconds(pause)) { [weak self] in
      guard let self, feed == nil else { return }
      begin()
    }
  }
}

/// How far the watches of a client's stream have come, asked on all lines that they are on.
final class ProgressQuestion {
  let branch: WatchBranch
  let stream: ProxyWatchStream
  var open: Int
  var header: Etcdserverpb.ResponseHeader?

  init(_ branch: WatchBranch, _ stream: ProxyWatchStream, open: Int) {
    self.branch = branch
    self.stream = stream
    self.open = open
  }
}
