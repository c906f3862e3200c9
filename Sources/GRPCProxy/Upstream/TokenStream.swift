import Bytes
import Calls
import EventLoops
import GRPC

/// One stream to the cluster for all clients that show the same token, begun when somebody needs it, on whatever
/// connection is up then. Who begins it again after it broke, and when, is decided by its owner. Confined to the loop of
/// its upstream.
final class TokenStream {
  private let upstream: Upstream
  private let path: String
  private let metadata: Metadata
  private(set) var feed: ClientFeed?
  private var isBeginning = false
  private(set) var isClosed = false

  /// It is there: what is under way is to be said again.
  var onOpen: (ClientFeed) -> Void = { _ in }
  var onMessage: (Bytes) -> Void = { _ in }
  /// There is none any more, or none was to be had.
  var onLost: (GRPCStatus) -> Void = { _ in }

  init(_ upstream: Upstream, _ path: String, token: Bytes) {
    self.upstream = upstream
    self.path = path
    var metadata = Metadata()
    if !token.isEmpty { metadata.append(.init(name: "token", value: token)) }
    self.metadata = metadata
  }

  func begin() {
    guard !isBeginning, !isClosed else { return }
    isBeginning = true
    upstream.connection(deadline: nil) { [weak self] result in
      guard let self, !isClosed else { return }
      isBeginning = false
      switch result {
      case .success(let client): begin(on: client)
      case .failure(let status): onLost(status)
      }
    }
  }

  private func begin(on client: GRPCClient) {
    do throws(GRPCStatus) {
      let feed = try client.feed(
        path, metadata: metadata, onMessage: { [weak self] in self?.onMessage($0) },
        onEnd: { [weak self] in self?.lost($0) })
      self.feed = feed
      onOpen(feed)
    } catch { onLost(error) }
  }

  private func lost(_ status: GRPCStatus) {
    feed = nil
    onLost(status)
  }

  /// What comes is not to be used: the stream counts as broken.
  func abandon(_ status: GRPCStatus) {
    feed?.cancel()
    lost(status)
  }

  func close() {
    isClosed = true
    feed?.cancel()
    feed = nil
  }
}
