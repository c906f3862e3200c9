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
  private let stream: TokenStream
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
    stream = TokenStream(upstream, Etcdserverpb.WatchService.watch.path, token: token)
    stream.onOpen = { [weak self] in self?.opened($0) }
    stream.onMessage = { [weak self] in self?.take($0) }
    stream.onLost = { [weak self] in self?.lost($0) }
  }

  func add(_ watch: WatchBoard.SharedID) {
    watches.insert(watch)
    if let feed = stream.feed { create(watch, feed) } else { stream.begin() }
  }

  func remove(_ watch: WatchBoard.SharedID) {
    guard watches.remove(watch) != nil else { return }
    let cancel = Etcdserverpb.WatchCancelRequest(watchID: watch)
    stream.feed?.send(Etcdserverpb.WatchRequest(requestUnion: .cancelRequest(cancel)).encoded())
  }

  /// The cluster has ended it.
  func ended(_ watch: WatchBoard.SharedID) { watches.remove(watch) }

  func ask(_ question: ProgressQuestion) {
    questions.append(question)
    sendQuestion()
  }

  private func sendQuestion() {
    let ask = Etcdserverpb.WatchRequest(requestUnion: .progressRequest(.init()))
    stream.feed?.send(ask.encoded())
  }

  func close() { stream.close() }

  private func create(_ watch: WatchBoard.SharedID, _ feed: ClientFeed) {
    guard var request = request(watch) else { return }
    request.watchID = watch
    begun.append(watch)
    feed.send(Etcdserverpb.WatchRequest(requestUnion: .createRequest(request)).encoded())
  }

  private func opened(_ feed: ClientFeed) {
    begun = FIFO()
    for watch in watches.sorted() { create(watch, feed) }
    if !questions.isEmpty { sendQuestion() }
  }

  private func take(_ message: Bytes) {
    failures = 0
    guard var response = try? Etcdserverpb.WatchResponse.decode(message) else {
      // What no member says: another one may do better.
      return stream.abandon(.cancelled)
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
    if Self.lasting.contains(status.code) { onFailure(status) }
    beginLater()
  }

  private static let pauses = [10, 50, 100, 250, 500]

  private func beginLater() {
    guard !stream.isClosed, !watches.isEmpty || !questions.isEmpty else { return }
    let pause = Self.pauses[Swift.min(failures, Self.pauses.count &- 1)]
    failures &+= 1
    upstream.loop.schedule(after: .milliseconds(pause)) { [weak self] in
      guard let self, stream.feed == nil else { return }
      stream.begin()
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
